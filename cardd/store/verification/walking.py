"""Verifies a whole registry, also while it is in use: it looks at one moment of it.

Rows are read as a stream; what the memory holds does not grow with their number.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from cardd.cps.identity import canonical_national_id
from cardd.errors import Refused, StartCode, StartError
from cardd.store import rows, schema, tables
from cardd.store.connections import FAILURES, Database
from cardd.store.opening import Place
from cardd.store.sealing import RowSealer, TableSeal
from cardd.store.verification.audited import Audited, LastWord
from cardd.store.verification.diagnosis import Diagnosis
from cardd.store.verification.findings import Fault, Finding, shown
from cardd.store.verification.references import broken_references, duplicates

PAGE_ROWS = 1000
_KINDS = (
    *(rows.HOLDER, rows.BADGE, rows.PRESENCE, rows.JOURNAL, rows.STORED_KEY),
    *(rows.IDENTITY, rows.REPLICA_MARK),
)
_NEVER_DELETED = ("holder", "badge")


@dataclass(slots=True)
class Counts:
    """What was looked at. `unknown` rows are newer than the audit says, or not in it at all."""

    rows: int = 0
    audited: int = 0
    unknown: int = 0


@dataclass(slots=True)
class Verification:
    """One verification; `findings` does it, and `counts` says afterwards how much there was."""

    where: Place
    sealer: RowSealer
    audited: Audited
    counts: Counts = field(default_factory=Counts)

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong. The audit was read before.

        Raises StartError as `open_registry`, `registry_unavailable` where the database fails on
        the way; KmsUnavailable where the masters do not answer.
        """
        database = self.where.maintain()
        try:
            with database.engine.connect() as connection:
                connection.exec_driver_sql(database.snapshot)
                streaming = connection.execution_options(yield_per=PAGE_ROWS)
                schema.require_newest(streaming, self.sealer, self.where.name)
                yield from self._identity(streaming)
                for kind in _KINDS:
                    yield from self._table(database, streaming, kind)
                yield from broken_references(streaming)
                yield from duplicates(streaming)
                yield from _index(streaming)
            for name in _NEVER_DELETED:
                yield from self._missing(name)
        except FAILURES as error:
            raise StartError(StartCode.REGISTRY_UNAVAILABLE, database.explain(error)) from None
        finally:
            database.engine.dispose()

    def _identity(self, connection: Connection) -> Iterator[Finding]:
        for table in (tables.schema_version, tables.registry_identity):
            count = connection.execute(select(func.count()).select_from(table)).scalar()
            if count != 1:
                yield Finding(
                    Fault.IDENTITY,
                    table.name,
                    "-",
                    f"it has {count} rows and must have one: rows were put in or taken out outside "
                    "cardd; restore the registry from a backup.",
                )

    def _table(
        self, database: Database, connection: Connection, kind: "rows.RowKind[Any]"
    ) -> Iterator[Finding]:
        seal = TableSeal(kind.table, self.sealer)
        diagnosis = Diagnosis(kind, self.sealer)
        version_at = [column.name for column in kind.table.columns].index("version")
        found = connection.execute(select(*kind.table.columns))
        for page in found.partitions(PAGE_ROWS):
            self.audited.note_found(kind.table.name, (row[0] for row in page))
            for row in page:
                self.counts.rows += 1
                word = self.audited.of(kind.table.name, row[0])
                try:
                    seal.check(row)
                    kind.entity(row)
                except (Refused, TypeError, ValueError):
                    with database.engine.connect() as other:
                        yield diagnosis.explain(other, row, word)
                    continue
                if word is not None:
                    yield from self._compare(database, kind, row, row[version_at], word)
                elif kind.table.name in _NEVER_DELETED:
                    self.counts.unknown += 1

    def _compare(
        self, database: Database, kind: "rows.RowKind[Any]", row: Any, version: int, word: LastWord
    ) -> Iterator[Finding]:
        self.counts.audited += 1
        if version > word.version:
            self.counts.unknown += 1
        if version >= word.version or _now(database, kind, row[0]) >= word.version:
            return
        was = f" as {word.state}" if word.state else ""
        yield Finding(
            Fault.OLD_ROW,
            kind.table.name,
            shown(row[0]),
            f"the registry has version {version} of it, and the audit recorded version "
            f"{word.version}{was}: {word}. An old row was put back; or that change was never "
            "stored, as the database failed or the key service was killed at that moment. Make "
            "the change again, and find out which it was.",
        )

    def _missing(self, name: str) -> Iterator[Finding]:
        for key, word in self.audited.missing(name):
            yield Finding(
                Fault.MISSING,
                name,
                shown(key),
                f"the audit knows it, last by {word}, and the registry has no such row: it was "
                "deleted outside cardd, or never stored, as the database failed at that moment. "
                "Restore it from a backup.",
            )


def _now(database: Database, kind: "rows.RowKind[Any]", key: object) -> int:
    """Return a row's version now, once whoever is changing it is done; 0 where it is gone."""
    column = kind.table.columns[0]
    query = select(kind.table.c.version).where(column == bindparam("key"))
    with database.engine.connect() as connection:
        connection.exec_driver_sql(database.begin)
        found = connection.execute(query.with_for_update(key_share=True), {"key": key}).scalar()
        connection.exec_driver_sql("ROLLBACK")
    return int(found or 0)


def _index(connection: Connection) -> Iterator[Finding]:
    """Yield what the index of national identifiers says and the holders do not, or the reverse."""
    people, index = tables.holder, tables.holder_national_id
    found = connection.execute(
        select(index.c.holder_id, index.c.national_id, people.c.national_ids).outerjoin_from(
            index, people
        )
    )
    for holder, national_id, text in found:
        if not isinstance(text, str) or national_id not in _canonical(text):
            yield Finding(
                Fault.INDEX,
                index.name,
                shown(holder),
                "it finds this holder by a national identifier that is not theirs: it was put in "
                "outside cardd. Nobody is let in by it; delete that row.",
            )
    indexed = select(func.count()).where(index.c.holder_id == people.c.id).scalar_subquery()
    with_ids = select(people.c.id, people.c.national_ids, indexed)
    for holder, text, count in connection.execute(with_ids.where(people.c.national_ids != "[]")):
        if isinstance(text, str) and count < len(_canonical(text)):
            yield Finding(
                Fault.INDEX,
                index.name,
                shown(holder),
                "a national identifier of this holder is missing in it: it was deleted outside "
                "cardd, and their CPS is not recognised. Restore it from a backup.",
            )


def _canonical(text: str) -> frozenset[str]:
    try:
        return frozenset(map(canonical_national_id, json.loads(text))) - {""}
    except (TypeError, ValueError):
        return frozenset()
