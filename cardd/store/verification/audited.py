"""What audit files say of the rows: the last version of each, kept in a file of this process.

A site has a million badges and years of audit: the system's temporary folder has room for what the
memory has not. Only ids, versions and events are kept there, and the file has no name.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from cardd.kms.audit.lines import Entry, Fact

# The facts that name a row, and that say its version once the change is stored.
_ROWS = (
    ("badge", "badge", "badge_version"),
    ("holder", "holder", "holder_version"),
    ("presence", "sid", "presence_version"),
)
_HOLDER_FACT = "holder"


@dataclass(frozen=True, slots=True)
class LastWord:
    """The last change of a row that an audit file speaks of. `holder` is a badge's, if it says."""

    version: int
    event: str
    state: str | None
    holder: str | None
    source: str
    line: int
    time: str

    def __str__(self) -> str:
        return f"{self.event} at {self.time} (line {self.line} of {self.source})"


class Audited:
    """The last words on all rows. `note_found` marks those that the registry has."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file
        self._file.execute(
            "CREATE TABLE seen (kind TEXT, id TEXT, version INT, event TEXT, state TEXT, "
            "holder TEXT, source TEXT, line INT, time TEXT, found INT DEFAULT 0, "
            "PRIMARY KEY (kind, id)) WITHOUT ROWID"
        )

    def take(self, source: str, entries: Iterable[Entry]) -> None:
        """Read an audit file to its end. Errors as the entries raise them."""
        for entry in entries:
            for kind, name, version in _ROWS:
                if type(entry.facts.get(version)) is int:
                    self._note(kind, entry.facts.get(name), entry.facts[version], source, entry)

    def of(self, kind: str, key: object) -> LastWord | None:
        """Return the last word on a row; None where no file speaks of it."""
        if not isinstance(key, str):
            return None
        row = self._file.execute(_SELECT + "WHERE kind = ? AND id = ?", (kind, _plain(key)))
        found = row.fetchone()
        return None if found is None else LastWord(*found[1:])

    def note_found(self, kind: str, keys: Iterable[object]) -> None:
        """Mark rows that are there."""
        named = [(kind, _plain(key)) for key in keys if isinstance(key, str)]
        self._file.executemany("UPDATE seen SET found = 1 WHERE kind = ? AND id = ?", named)

    def missing(self, kind: str) -> Iterator[tuple[str, LastWord]]:
        """Yield the rows that were not found."""
        rows = self._file.execute(_SELECT + "WHERE kind = ? AND found = 0 ORDER BY id", (kind,))
        for key, *word in rows:
            yield key, LastWord(*word)

    def _note(self, kind: str, key: Fact, version: Fact, source: str, entry: Entry) -> None:
        if not isinstance(key, str):
            return
        holder = entry.facts.get(_HOLDER_FACT) if kind == "badge" else None
        state = entry.facts.get("state")
        self._file.execute(
            _INSERT, (kind, key, version, entry.event, state, holder, source, entry.seq, entry.time)
        )


_SELECT = "SELECT id, version, event, state, holder, source, line, time FROM seen "
# Of several replicas' files the highest version counts. Whose a badge is stays known from before.
_INSERT = (
    "INSERT INTO seen (kind, id, version, event, state, holder, source, line, time) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET version = excluded.version, "
    "event = excluded.event, state = excluded.state, source = excluded.source, "
    "line = excluded.line, time = excluded.time, holder = coalesce(excluded.holder, holder) "
    "WHERE excluded.version >= version"
)


def _plain(key: str) -> str:
    """Return a key that SQLite takes, as an altered one may be no Unicode."""
    return key.encode("utf-8", "backslashreplace").decode()


@contextmanager
def open_audited() -> Iterator[Audited]:
    """Keep last words for the length of a block."""
    with closing(sqlite3.connect("", isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode = OFF")
        yield Audited(file)
