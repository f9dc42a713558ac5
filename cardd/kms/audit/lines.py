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


class _Line(_Body, frozen=True, forbid_unknown_fields=True):
    hash: _HexDigest


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain stands: the number and the hash of its last line."""

    seq: int
    hash: str


GENESIS = Head(0, "0" * 64)


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


def write(head: Head, time: float, event: str, facts: Mapping[str, object]) -> tuple[bytes, Head]:
    """Return the line that follows `head`, its newline included, and the new head.

    `time` is in Unix seconds. Raises ValueError for a line over MAXIMUM_LINE, and as `fact`.
    """
    moment = datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")
    body = _Body(
        seq=head.seq + 1,
        time=moment.removesuffix("+00:00") + "Z",
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


def follow(line: bytes, previous: Head | None) -> Head:
    """Return the head after a line (without its newline) that must follow `previous`.

    `previous` None accepts any place in a chain. Raises ValueError with the reason.
    """
    try:
        parsed = _decoder.decode(line)
        body = _Body(parsed.seq, parsed.time, parsed.event, parsed.facts, parsed.prev)
        unhashed, written = msgspec.json.encode(body), msgspec.json.encode(parsed)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        raise ValueError("it is not an audit line") from None
    if hashlib.sha256(unhashed).hexdigest() != parsed.hash:
        raise ValueError("it was changed: its hash is wrong")
    if written != line:
        raise ValueError("it was rewritten: it is not in the form in which lines are written")
    if previous is not None and (parsed.seq, parsed.prev) != (previous.seq + 1, previous.hash):
        raise ValueError("it does not follow the line before it: lines were removed or moved")
    return Head(parsed.seq, parsed.hash)


def lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file without their newlines; raise ValueError for one that has none."""
    while line := file.readline(MAXIMUM_LINE + 1):
        if not line.endswith(b"\n"):
            raise ValueError("it is incomplete, or too long")
        yield line[:-1]


_decoder = msgspec.json.Decoder(_Line)
