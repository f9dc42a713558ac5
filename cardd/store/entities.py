"""The rows of one table as entities: sealed when written, checked when read."""

from collections.abc import Sequence
from typing import Any, Generic, NoReturn, TypeVar

from sqlalchemy import Column, Select, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from cardd.errors import Code, Refused
from cardd.store.connections import Connections, Look, look
from cardd.store.rows import RowKind
from cardd.store.sealing import RowSealer, TableSeal

Entity = TypeVar("Entity")


class Entities(Generic[Entity]):
    """Insert, replace, find and delete in one table. Its first columns are its primary key.

    Raises KmsUnavailable; Refused `registry_integrity` where a MAC does not verify, `conflict`
    as the methods say, `invalid_request` for a value that no database keeps.
    """

    def __init__(self, kind: RowKind[Entity], sealer: RowSealer, connections: Connections) -> None:
        self._kind = kind
        self._seal = TableSeal(kind.table, sealer)
        self._connections = connections
        self.columns = tuple(kind.table.columns)
        self.width = len(self.columns)
        self._names = [column.name for column in self.columns]
        self._version_at = self._names.index("version")
        # The values are in the order of the columns, so that these bind by place.
        self._keys = [f"old_{at}" for at in range(len(kind.table.primary_key.columns))]
        here = [
            column == bindparam(name)
            for column, name in zip(self.columns, self._keys, strict=False)
        ]
        self._insert = insert(kind.table).inline()
        self._update = (
            update(kind.table)
            .where(*here, kind.table.c.version == bindparam("old_version"))
            .values({name: bindparam(name) for name in self._names})
        )
        self._delete = delete(kind.table).where(*here)

    def query(self, column: Column[Any]) -> Select[Any]:
        """Build the query of rows by one column, as the parameter `key`."""
        return select(*self.columns).where(column == bindparam("key"))

    def look(self, query: Select[Any]) -> Look:
        """Build both forms of a query, which locks this table's rows in a transaction."""
        return look(query, self._kind.table)

    def by(self, column: Column[Any]) -> Look:
        """Build the look-up of rows by one column, as the parameter `key`."""
        return self.look(self.query(column))

    def add(self, entity: Entity) -> None:
        """Insert; `conflict` where a unique value is taken or a reference leads nowhere."""
        try:
            self._connections.change(self._insert, self._sealed(self._kind.values(entity)))
        except IntegrityError:
            raise self._conflict(self._kind.taken) from None

    def put(self, entity: Entity) -> Entity:
        """Replace the row of the entity's version; return the entity with the next version."""
        old = self._kind.values(entity)
        row = self._sealed(self._next(old))
        row |= self._key(old) | {"old_version": old[self._version_at]}
        try:
            changed = self._connections.change(self._update, row)
        except IntegrityError:
            raise self._conflict(self._kind.taken) from None
        if not changed:
            raise self._conflict("it changed meanwhile, or is gone; read it again")
        return self._kind.entity([row[name] for name in self._names])

    def put_first(self, entity: Entity) -> Entity:
        """Insert what did not exist, as if a row of the entity's version were replaced."""
        first = self._kind.entity(self._next(self._kind.values(entity)))
        self.add(first)
        return first

    def drop(self, *key: object) -> None:
        """Delete by key; none is no error. `conflict` where another row refers to it."""
        try:
            self._connections.change(self._delete, self._key(key))
        except IntegrityError:
            raise self._conflict("another row refers to it, so it stays") from None

    def all(self, query: Select[Any] | Look, column: Column[Any], key: object) -> list[Entity]:
        """Return what a query of `by` finds; a row that has not that key is none of cardd's."""
        at = self._names.index(column.name)
        found = []
        for row in self._connections.rows(query, {"key": key}):
            found.append(self.read(row))
            if row[at] != key:
                self._seal.refuse(row)
        return found

    def one(self, query: Select[Any] | Look, column: Column[Any], key: object) -> Entity | None:
        """Return the one row that a query of `by` finds."""
        found = self.all(query, column, key)
        return found[0] if found else None

    def read(self, row: Sequence[Any]) -> Entity:
        """Return the entity of a row after its check."""
        self._seal.check(row)
        try:
            return self._kind.entity(row)
        except (TypeError, ValueError):
            self._seal.refuse(row)

    def refuse(self, row: Sequence[Any]) -> NoReturn:
        """Raise Refused (`registry_integrity`) for a row that contradicts another."""
        self._seal.refuse(row)

    def _key(self, values: Sequence[object]) -> dict[str, Any]:
        return dict(zip(self._keys, values, strict=False))

    def _next(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        at = self._version_at
        return (*values[:at], values[at] + 1, *values[at + 1 :])

    def _sealed(self, values: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip(self._names, (*values, *self._seal.seal(values)), strict=True))

    def _conflict(self, why: str) -> Refused:
        return Refused(Code.CONFLICT, f"the {self._kind.table.name} is not changed: {why}")
