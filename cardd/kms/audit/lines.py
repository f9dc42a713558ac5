"""The lines of the audit file: JSON, each carrying the hash of the one before it.

`hash` is the SHA-256 of the line as written without its `hash` member, so that a line cannot be
changed, taken out, put in or moved without changing all that follow. There is one way to write a
line: one that reads the same and is written otherwise is not accepted.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, BinaryIO

import msgspec
from msgspec import Meta

MAXIMUM_LINE = 16_384

Fact = str | int | bool | None
_HexDigest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seq: Annotated[int, Meta(ge=1)]
    time: str
    event: str
    facts: dict[str, Fact]
    prev: _HexDigest


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain stands: the number and the hash of its last line."""

    seq: int
    hash: str


class Entry(_Body, frozen=True, forbid_unknown_fields=True):
    """What a line says."""

    hash: _HexDigest

    @property
    def head(self) -> Head:
        """Where the chain stands after it."""
        return Head(self.seq, self.hash)


class BrokenLine(ValueError):
    """A line is not as it was written; the message is the reason, in a clause."""


GENESIS = Head(0, "0" * 64)
BEGUN = "audit.begun"
"""The event of each file's first line, whose facts are those of `Chain`."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Whose record a file is: the name of the replica, and 32 random hexadecimal digits."""

    replica: str
    id: str


def fact(name: str, value: object) -> Fact:
    """Return a fact as a line carries it: bytes as hexadecimal, an enumeration as its value.

    Raises TypeError for any other type, a Secret above all, and ValueError for an integer that
    does not fit 64 bits.
    """
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str):
        # A lone surrogate has no UTF-8 form; what the record is about may be hostile.
        return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"the audit fact {name!r} does not fit 64 bits")
    if value is None or isinstance(value, int):
        return value
    raise TypeError(f"the audit fact {name!r} is a {type(value).__name__}, which is not recorded")


def moment(time: float) -> str:
    """Return a time in Unix seconds as lines have it: ISO 8601, UTC, milliseconds."""
    text = datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def write(head: Head, time: float, event: str, facts: Mapping[str, object]) -> tuple[bytes, Head]:
    """Return the line that follows `head`, its newline included, and the new head.

    `time` is in Unix seconds. Raises ValueError for a line over MAXIMUM_LINE, and as `fact`.
    """
    body = _Body(
        seq=head.seq + 1,
        time=moment(time),
        event=event,
        facts={name: fact(name, value) for name, value in facts.items()},
        prev=head.hash,
    )
    unhashed = msgspec.json.encode(body)
    digest = hashlib.sha256(unhashed).hexdigest()
    line = b'%b,"hash":"%b"}\n' % (unhashed[:-1], digest.encode("ascii"))
    if len(line) > MAXIMUM_LINE:
        raise ValueError(f"an audit line of {len(line)} bytes is over {MAXIMUM_LINE}")
    return line, Head(body.seq, digest)


def parse(line: bytes) -> Entry:
    """Return what a line (without its newline) says, whatever stands before it.

    Raises BrokenLine where it is no line of an audit, or not as it was written.
    """
    try:
        parsed = _decoder.decode(line)
        body = _Body(parsed.seq, parsed.time, parsed.event, parsed.facts, parsed.prev)
        unhashed, written = msgspec.json.encode(body), msgspec.json.encode(parsed)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        raise BrokenLine("it is not an audit line") from None
    if hashlib.sha256(unhashed).hexdigest() != parsed.hash:
        raise BrokenLine("it was changed: its hash is wrong")
    if written != line:
        raise BrokenLine("it was rewritten: it is not in the form in which lines are written")
    return parsed


def follow(line: bytes, previous: Head | None) -> Entry:
    """Return what a line says that must follow `previous`; None accepts any place in a chain.

    Raises BrokenLine.
    """
    entry = parse(line)
    if previous is not None and (entry.seq, entry.prev) != (previous.seq + 1, previous.hash):
        raise BrokenLine("it does not follow the line before it: lines were removed or moved")
    return entry


def chain_of(first: Entry) -> Chain:
    """Return whose chain a first line begins; raise BrokenLine where it begins none."""
    replica, identifier = first.facts.get("replica"), first.facts.get("chain")
    if first.event != BEGUN or not isinstance(replica, str) or not isinstance(identifier, str):
        raise BrokenLine("it does not say whose record this is, as a first line does")
    return Chain(replica, identifier)


def lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file without their newlines; raise BrokenLine for one that has none."""
    while line := file.readline(MAXIMUM_LINE + 1):
        if not line.endswith(b"\n"):
            raise BrokenLine("it is incomplete, or too long")
        yield line[:-1]


_decoder = msgspec.json.Decoder(Entry)
