"""What can be wrong with an audit file, and how each is told from the others."""

from collections.abc import Iterable
from enum import StrEnum
from itertools import islice

from cardd.kms.audit.lines import BrokenLine, Entry, Head, follow, parse

LOOK_AHEAD_LINES = 1000


class Finding(StrEnum):
    """What was done to a file."""

    EDITED = "edited"
    DELETED = "deleted"
    INSERTED = "inserted"
    MOVED = "moved"
    CUT_SHORT = "cut_short"
    TRUNCATED = "truncated"
    NO_BEGINNING = "no_beginning"
    OTHER_REPLICA = "other_replica"
    CHECKPOINT_INVALID = "checkpoint_invalid"
    REWRITTEN = "rewritten"
    UNKNOWN_TO_WITNESS = "unknown_to_witness"
    WITNESS_INVALID = "witness_invalid"


class Found(Exception):
    """Something is wrong. `line` is the number of the first line that shows it; 0 is none."""

    def __init__(self, finding: Finding, line: int, reason: str) -> None:
        super().__init__(reason)
        self.finding = finding
        self.line = line


def diagnose(line: bytes, before: Entry | None, head: Head, following: Iterable[bytes]) -> Found:
    """Return why a line does not follow `head`, whose line `before` is (None: the first follows).

    `following` are the lines after it, of which up to `LOOK_AHEAD_LINES` are read.
    """
    nearby = list(islice(following, LOOK_AHEAD_LINES))
    later = _offset_of_next(head, nearby)
    try:
        entry = parse(line)
    except BrokenLine as error:
        at = head.seq + 1
        if later == 0:
            return Found(Finding.INSERTED, at, f"it was put in: {error}")
        return Found(Finding.EDITED, at, str(error))
    if later is not None:
        moved = entry.seq > head.seq + 1 and line not in nearby
        return _out_of_place(entry, head, later if moved else None)
    return _without_successor(entry, before, head)


def _offset_of_next(head: Head, following: Iterable[bytes]) -> int | None:
    """Return how many lines stand before the one that follows `head`; None where it is not near."""
    for offset, line in enumerate(following):
        try:
            follow(line, head)
        except BrokenLine:
            continue
        return offset
    return None


def _out_of_place(entry: Entry, head: Head, later: int | None) -> Found:
    at = head.seq + 1
    if later is not None:
        reason = f"it was moved: it is line {entry.seq}, and line {at} is {later + 1} further down"
        return Found(Finding.MOVED, at, reason)
    reason = f"it was put in: it calls itself line {entry.seq}, and the true line {at} comes later"
    return Found(Finding.INSERTED, at, reason)


def _without_successor(entry: Entry, before: Entry | None, head: Head) -> Found:
    """Return why a good line stands where the one that follows `head` is nowhere to be seen."""
    at = head.seq + 1
    if entry.seq > at:
        missing = f"line {at} is" if entry.seq == at + 1 else f"lines {at} to {entry.seq - 1} are"
        return Found(Finding.DELETED, at, f"{missing} missing: here stands line {entry.seq}")
    if entry.seq == at and before is None:
        return Found(Finding.EDITED, at, "it is no first line")
    if entry.seq == at:
        reason = f"it was replaced: line {at} carries the hash of another one"
        return Found(Finding.EDITED, head.seq, reason)
    if before is not None and (entry.seq, entry.prev) == (before.seq, before.prev):
        reason = f"it was put in or replaced: there is another line {head.seq} after it"
        return Found(Finding.INSERTED, head.seq, reason)
    return Found(Finding.INSERTED, at, f"it was put in: it is line {entry.seq}, out of its place")
