"""The MAC of a row: what it covers, and its check.

A row is sealed over the table's name, the names of its columns and every value but the MAC itself:
whoever writes to the database without the master `registry` cannot swap a holder, undo a
revocation or carry a MAC from one row to another. A whole row put back as it was in the past
verifies: only the audit tells that.
"""

import hmac
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

from sqlalchemy import TableClause

from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms.ports import Masters, Purpose

Value = str | bytes | int | None

_FORMAT = b"cardd registry row 1"


class RowSealer(Protocol):
    """The keyed function that seals rows. Thread-safe."""

    def current(self) -> int:
        """Return the generation under which rows are sealed now, 1 to 255."""

    def mac(self, generation: int, message: bytes) -> bytes:
        """Return the MAC of a message; KmsUnavailable where there is no such generation."""


class MastersSealer:
    """Seals rows with the master `registry`."""

    def __init__(self, masters: Masters) -> None:
        self._masters = masters

    def current(self) -> int:
        """Return the master's current generation."""
        return self._masters.current(Purpose.REGISTRY)

    def mac(self, generation: int, message: bytes) -> bytes:
        """Return the 16-byte AES-CMAC of a message."""
        return self._masters.mac(Purpose.REGISTRY, generation, message)


def canonical(header: bytes, values: Sequence[Any]) -> bytes:
    """Return the bytes that stand for a row, and for no other.

    Each value carries its type and ends by itself: `N`, `I42;`, `T5:hello`, `B2:..`. Raises
    ValueError for text that is not Unicode or holds NUL and for an integer beyond 64 bits, and
    TypeError for a value of another type: no database keeps those.
    """
    parts = [header]
    for value in values:
        kind = type(value)
        if value is None:
            parts.append(b"N")
        elif kind is str:
            raw = value.encode()
            if b"\0" in raw:
                raise ValueError("text holds NUL")
            parts.append(b"T%d:%b" % (len(raw), raw))
        elif kind is int:
            if not -(1 << 63) <= value < 1 << 63:
                raise ValueError("an integer has more than 64 bits")
            parts.append(b"I%d;" % value)
        elif kind is bytes:
            parts.append(b"B%d:%b" % (len(value), value))
        else:
            raise TypeError(f"a row does not hold {kind.__name__}")
    return b"".join(parts)


class TableSeal:
    """Seals and checks the rows of one table, whose last columns are `mac_generation` and `mac`."""

    def __init__(self, table: TableClause, sealer: RowSealer) -> None:
        columns = [str(column.name) for column in table.columns]
        if columns[-2:] != ["mac_generation", "mac"]:
            raise ValueError(f"table {table.name} does not end with its seal")
        self._table = str(table.name)
        self._header = canonical(_FORMAT, [self._table, len(columns) - 1, *columns[:-1]])
        self._sealer = sealer

    def seal(self, values: Sequence[Value]) -> tuple[int, bytes]:
        """Return generation and MAC of a row; Refused where a value cannot be stored."""
        generation = self._sealer.current()
        try:
            message = canonical(self._header, [*values, generation])
        except (TypeError, ValueError) as error:
            raise Refused(
                Code.INVALID_REQUEST, f"the {self._table} cannot be stored: {error}; correct it"
            ) from None
        return generation, self._sealer.mac(generation, message)

    def check(self, row: Sequence[Any]) -> None:
        """Return where the MAC of a row verifies, else raise Refused (`registry_integrity`)."""
        generation, stored = row[-2], row[-1]
        if type(generation) is not int or not 1 <= generation <= 255 or type(stored) is not bytes:
            self.refuse(row)
        try:
            message = canonical(self._header, row[:-1])
        except (TypeError, ValueError):
            self.refuse(row)
        if not hmac.compare_digest(self._mac(row, generation, message), stored):
            self.refuse(row)

    def _mac(self, row: Sequence[Any], generation: int, message: bytes) -> bytes:
        try:
            return self._sealer.mac(generation, message)
        except KmsUnavailable:
            current = self._sealer.current()
            if generation == current:
                raise
            # Where the masters do answer, it is the row's generation that does not exist.
            self._sealer.mac(current, message)
            self.refuse(row)

    def refuse(self, row: Sequence[Any]) -> NoReturn:
        """Raise Refused (`registry_integrity`) naming the table and the key of a row."""
        key = row[0].hex() if isinstance(row[0], bytes) else repr(row[0])
        raise Refused(
            Code.REGISTRY_INTEGRITY,
            f"the row {key} of table {self._table} was altered outside cardd: its MAC does not "
            "verify. It is not used; restore it from a backup and find out who wrote it",
            table=self._table,
            key=key,
        )
