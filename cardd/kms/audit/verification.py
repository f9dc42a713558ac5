"""Whether an audit file is as it was written: its chain, its checkpoints, and what a witness saw.

It is read once, from the first line on, and little of it is kept at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from cardd.errors import StartCode, StartError
from cardd.files import open_regular
from cardd.kms.audit.checkpoints import CHECKPOINT, Checkpoint, CheckpointKeys
from cardd.kms.audit.findings import Finding, Found, diagnose
from cardd.kms.audit.lines import (
    GENESIS,
    BrokenLine,
    Chain,
    Entry,
    Head,
    chain_of,
    follow,
    lines,
    moment,
)
from cardd.kms.audit.storage import damaged
from cardd.kms.audit.testimony import Testimony

CHECKPOINT_DELAY_LINES = 20_000
"""How many lines after the one it speaks of a checkpoint may stand."""


@dataclass(slots=True)
class Report:
    """What was found of a file that is as it was written, as far as can be known.

    `covered` is the last line that a checkpoint in the file speaks of (0: none), and
    `witnessed` the last one that the witness speaks of (None: it was not asked, or knows none).
    `others` are the last checkpoints of other chains of the same replica at the witness.
    """

    chain: Chain
    lines: int = 0
    last_time: str = ""
    checkpoints: int = 0
    covered: int = 0
    covered_time: str = ""
    witnessed: Checkpoint | None = None
    others: tuple[Checkpoint, ...] = ()


def verify(
    path: Path,
    *,
    keys: CheckpointKeys | None = None,
    replica: str | None = None,
    witness: Path | None = None,
) -> Report:
    """Verify a whole audit file, from its first line.

    `keys` verify the checkpoints, which are left out without; `replica` is whose file it must be;
    `witness` is the file of a witness, which needs `keys`.
    Raises StartError: `audit_damaged`, whose message, `finding` and `line` name what was done and
    the first line that shows it; `audit_unavailable` where a file cannot be read.
    """
    reading = path
    try:
        with open_regular(path) as file:
            whose = _beginning(file, replica)
            run = _Run(path, Report(whose), keys)
            file.seek(0)
            if witness is None:
                run.follow(file, iter(()))
            else:
                assert keys is not None, "what a witness has cannot be believed without keys"
                testimony = Testimony(witness, keys, whose)
                reading = witness
                run.follow(file, testimony.checkpoints())
                run.require_known(testimony, witness)
    except Found as found:
        raise damaged(path, found.line or None, str(found), found.finding) from None
    except OSError as error:
        raise StartError(
            StartCode.AUDIT_UNAVAILABLE,
            f"the file {error.filename or reading} cannot be read: {error.strerror}",
        ) from error
    return run.report


def entries(path: Path) -> Iterator[Entry]:
    """Yield what the lines say, the chain verified on the way. Errors as `verify`."""
    head = GENESIS
    try:
        with open_regular(path) as file:
            for line in lines(file):
                entry = follow(line, head)
                head = entry.head
                yield entry
    except BrokenLine as error:
        raise damaged(path, head.seq + 1, str(error)) from None
    except OSError as error:
        raise StartError(
            StartCode.AUDIT_UNAVAILABLE, f"the audit file {path} cannot be read: {error.strerror}"
        ) from error


def _beginning(file: BinaryIO, replica: str | None) -> Chain:
    line = next(_whole(file), None)
    if line is None:
        raise Found(Finding.NO_BEGINNING, 0, "it is empty")
    try:
        first = follow(line, GENESIS)
    except BrokenLine:
        raise diagnose(line, None, GENESIS, _readable(file)) from None
    try:
        whose = chain_of(first)
    except BrokenLine as error:
        raise Found(Finding.NO_BEGINNING, 1, str(error)) from None
    if replica is not None and whose.replica != replica:
        raise Found(
            Finding.OTHER_REPLICA,
            1,
            f"it is the record of the replica {whose.replica!r}, not of {replica!r}",
        )
    return whose


def _whole(file: BinaryIO) -> Iterator[bytes]:
    number = 0
    try:
        for line in lines(file):
            number += 1
            yield line
    except BrokenLine:
        raise Found(
            Finding.CUT_SHORT,
            number + 1,
            "it is cut short or too long; after a power cut the next start shows what was there",
        ) from None


@dataclass(slots=True)
class _Run:
    path: Path
    report: Report
    keys: CheckpointKeys | None
    head: Head = GENESIS
    before: Entry | None = None
    recent: list[str] = field(default_factory=lambda: [""] * CHECKPOINT_DELAY_LINES)

    def follow(self, file: BinaryIO, seen: Iterator[Checkpoint]) -> None:
        """Verify line after line, and what the witness has seen of each."""
        expected = next(seen, None)
        for line in _whole(file):
            self._next(line, file)
            while expected is not None and expected.seq == self.head.seq:
                self._compare(expected)
                expected = next(seen, None)
        if expected is not None:
            last = max(chain((expected,), seen), key=lambda checkpoint: checkpoint.seq)
            raise Found(
                Finding.TRUNCATED,
                self.head.seq,
                f"it is the last one, and the witness saw line {last.seq} at {moment(last.iat)}: "
                f"{last.seq - self.head.seq} lines were cut off, or an older copy was put back",
            )

    def require_known(self, testimony: Testimony, witness: Path) -> None:
        """Raise Found where the witness knows this replica, and not this chain."""
        self.report.others = tuple(testimony.others.values())
        if self.report.witnessed is None and self.report.others:
            last = max(self.report.others, key=lambda checkpoint: checkpoint.iat)
            raise Found(
                Finding.UNKNOWN_TO_WITNESS,
                0,
                f"the witness {witness} has seen another record of this replica, last at "
                f"{moment(last.iat)}, and nothing of this one: it is not the file that was written "
                "then",
            )

    def _next(self, line: bytes, file: BinaryIO) -> None:
        try:
            entry = follow(line, self.head)
        except BrokenLine:
            raise diagnose(line, self.before, self.head, _readable(file)) from None
        self.before, self.head = entry, entry.head
        self.recent[entry.seq % CHECKPOINT_DELAY_LINES] = entry.hash
        if entry.event == CHECKPOINT and self.keys is not None:
            self._check(entry, self.keys)
        self.report.lines, self.report.last_time = entry.seq, entry.time

    def _check(self, entry: Entry, keys: CheckpointKeys) -> None:
        try:
            checkpoint = keys.verify(str(entry.facts.get("jws")))
        except ValueError as error:
            reason = f"its checkpoint is not good: {error}"
            raise Found(Finding.CHECKPOINT_INVALID, entry.seq, reason) from None
        whose = Chain(checkpoint.replica, checkpoint.chain)
        oldest = max(self.report.covered, entry.seq - CHECKPOINT_DELAY_LINES)
        if whose != self.report.chain or not oldest < checkpoint.seq < entry.seq:
            reason = "its checkpoint belongs to another place or another file"
            raise Found(Finding.CHECKPOINT_INVALID, entry.seq, reason)
        if self._hash_of(checkpoint.seq) != checkpoint.hash:
            raise Found(
                Finding.REWRITTEN,
                entry.seq,
                f"its checkpoint was signed for another line {checkpoint.seq}: that line or some "
                "before it were changed, and the hashes computed anew",
            )
        self.report.checkpoints += 1
        self.report.covered, self.report.covered_time = checkpoint.seq, moment(checkpoint.iat)

    def _compare(self, seen: Checkpoint) -> None:
        if seen.hash != self.head.hash:
            raise Found(
                Finding.REWRITTEN,
                self.head.seq,
                f"the witness saw another one at {moment(seen.iat)}: this line or some before it "
                "were changed, and the hashes computed anew",
            )
        self.report.witnessed = seen

    def _hash_of(self, seq: int) -> str:
        return self.recent[seq % CHECKPOINT_DELAY_LINES]


def _readable(file: BinaryIO) -> Iterator[bytes]:
    try:
        yield from lines(file)
    except BrokenLine:
        return
