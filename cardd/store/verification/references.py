"""What must hold between rows: who is referred to is there, and what is unique is once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Select, func, select

from cardd.store import tables
from cardd.store.verification.findings import Fault, Finding, shown

_RESTORE = "restore what is missing from a backup"


@dataclass(frozen=True, slots=True)
class Reference:
    """A column whose value must be found in one of others, or be NULL."""

    column: Column[Any]
    leads_to: tuple[Column[Any], ...]
    what: str


REFERENCES = (
    Reference(tables.badge.c.holder_id, (tables.holder.c.id,), "its holder"),
    Reference(tables.presence.c.holder_id, (tables.holder.c.id,), "its holder"),
    Reference(tables.presence.c.badge_id, (tables.badge.c.id,), "its badge"),
    Reference(
        tables.stored_key.c.badge_id, (tables.badge.c.id, tables.journal.c.badge_id), "its badge"
    ),
)


def broken_references(connection: Connection) -> Iterator[Finding]:
    """Yield the rows that refer to what is not there."""
    for reference in REFERENCES:
        table = reference.column.table
        key = next(iter(table.primary_key))
        query = select(key, reference.column).where(reference.column.is_not(None))
        for target in reference.leads_to:
            query = query.where(~select(target).where(target == reference.column).exists())
        for found, missing in connection.execute(query):
            yield Finding(
                Fault.REFERENCE,
                str(table.name),
                shown(found),
                f"{reference.what}, {shown(missing)}, is not in the registry: that row was deleted "
                f"outside cardd; {_RESTORE}.",
            )


def duplicates(connection: Connection) -> Iterator[Finding]:
    """Yield the values that several rows have and one may have: a constraint was taken away."""
    for table in tables.metadata.sorted_tables:
        unique = [tuple(table.primary_key.columns)]
        unique += [(column,) for column in table.columns if column.unique]
        for columns in unique:
            query: Select[Any] = select(*columns).group_by(*columns).having(func.count() > 1)
            for row in connection.execute(query):
                key = tuple(row)
                yield Finding(
                    Fault.DUPLICATE,
                    str(table.name),
                    shown(key if len(key) > 1 else key[0]),
                    f"several rows have this {columns[0].name}: its uniqueness was taken from the "
                    "table outside cardd, and rows were put in; restore the registry from a "
                    "backup.",
                )
