"""Takes lines out of an audit, as JSON lines or CSV. Pseudonyms stay what they are."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TextIO

import msgspec

from cardd.kms.audit.lines import Entry, moment

COLUMNS = ("seq", "time", "event", "facts", "hash")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which lines: from a time on, before a time, of some events (`badge.*`); none means all.

    Times are as lines have them, which compare as they sort.
    """

    since: str | None = None
    before: str | None = None
    events: tuple[str, ...] = ()

    def of(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the lines that are meant."""
        return (entry for entry in entries if self._means(entry))

    def _means(self, entry: Entry) -> bool:
        if self.since is not None and entry.time < self.since:
            return False
        if self.before is not None and entry.time >= self.before:
            return False
        return not self.events or any(fnmatchcase(entry.event, each) for each in self.events)


def parse_time(text: str, *, end: bool = False) -> str:
    """Return a time as lines have it: of `2026-11-22`, or of `2026-11-22T08:00[:30][+01:00]`.

    A day is UTC's, and as an `end` it is meant whole. Raises ValueError.
    """
    given = datetime.fromisoformat(text)
    if given.tzinfo is None:
        given = given.replace(tzinfo=UTC)
    if end and "T" not in text and " " not in text:
        given += timedelta(days=1)
    return moment(given.timestamp())


def write_json(entries: Iterable[Entry], out: TextIO) -> None:
    """Write lines as they are in the audit: whoever has them all can verify the chain."""
    out.writelines(msgspec.json.encode(entry).decode() + "\n" for entry in entries)


def write_csv(entries: Iterable[Entry], out: TextIO) -> None:
    """Write lines as CSV (RFC 4180), the facts as JSON in one column."""
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for entry in entries:
        facts = msgspec.json.encode(entry.facts).decode()
        writer.writerow((entry.seq, entry.time, entry.event, facts, entry.hash))
