"""What was done to a row whose MAC does not verify: the one change without which it verifies."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from sqlalchemy import Connection, and_, bindparam, not_, select

from cardd.badges.states import BadgeState, RevocationReason, SuspensionReason
from cardd.errors import Refused
from cardd.store.rows import RowKind
from cardd.store.sealing import RowSealer, TableSeal
from cardd.store.verification.audited import LastWord
from cardd.store.verification.findings import Fault, Finding, shown

_WHO = "restore it from a backup, and find out who wrote it"
_REASONS = (None, *RevocationReason, *SuspensionReason)
_VERSIONS_BACK = 5

Row = Sequence[Any]


class Diagnosis:
    """Explains the altered rows of one table."""

    def __init__(self, kind: RowKind[Any], sealer: RowSealer) -> None:
        table = kind.table
        self._name = table.name
        self._names = [column.name for column in table.columns]
        self._seal = TableSeal(table, sealer)
        self._keys = tuple(table.primary_key.columns)
        here = and_(*(column == bindparam(f"key_{at}") for at, column in enumerate(self._keys)))
        self._same_mac = select(*self._keys).where(table.c.mac == bindparam("mac"), not_(here))

    def explain(self, connection: Connection, row: Row, word: LastWord | None) -> Finding:
        """Say what was done to a row, as exactly as can be known."""
        key = tuple(row[: len(self._keys)])
        known = "" if word is None else f" The audit's last word on it is {word}."
        fault, text = (
            self._state(row)
            or self._holder(row, word)
            or self._version(row)
            or self._copied(connection, row, key)
            or (Fault.ALTERED, f"it was altered outside cardd: its MAC does not verify; {_WHO}.")
        )
        return Finding(fault, self._name, shown(key if len(key) > 1 else key[0]), text + known)

    def _verifies(self, row: Row, **changes: Any) -> bool:
        changed = list(row)
        for name, value in changes.items():
            changed[self._names.index(name)] = value
        try:
            self._seal.check(changed)
        except Refused:
            return False
        return True

    def _state(self, row: Row) -> tuple[Fault, str] | None:
        if "reason" not in self._names:
            return None
        now = row[self._names.index("state")]
        for state, reason in product(BadgeState, _REASONS):
            value = None if reason is None else reason.value
            if not self._verifies(row, state=state.value, reason=value):
                continue
            why = f" ({value})" if value else ""
            if state is BadgeState.REVOKED and now != state.value:
                return Fault.REVOCATION_UNDONE, (
                    f"its revocation{why} was undone outside cardd: its state was written over "
                    f"with {now!a}; revoke it again from a restored row, and {_WHO}."
                )
            return Fault.STATE_CHANGED, (
                f"its state was changed outside cardd, from {state.value}{why} to {now!a}; "
                f"{_WHO}."
            )
        return None

    def _holder(self, row: Row, word: LastWord | None) -> tuple[Fault, str] | None:
        if self._name != "badge":
            return None
        now = row[self._names.index("holder_id")]
        for holder in {None, word.holder if word else None}:
            if holder != now and self._verifies(row, holder_id=holder):
                was = f"it was holder {holder}'s" if holder else "it had no holder"
                return Fault.HOLDER_SWAPPED, (
                    f"its holder was swapped outside cardd: {was}, and now it names {shown(now)}; "
                    f"{_WHO}."
                )
        return None

    def _version(self, row: Row) -> tuple[Fault, str] | None:
        now = row[self._names.index("version")]
        if type(now) is not int:
            return None
        for version in _near(now):
            if self._verifies(row, version=version):
                return Fault.VERSION_CHANGED, (
                    f"its version was changed outside cardd, from {version} to {now}; {_WHO}."
                )
        return None

    def _copied(
        self, connection: Connection, row: Row, key: tuple[Any, ...]
    ) -> tuple[Fault, str] | None:
        if not isinstance(row[-1], bytes):
            return None
        here = {f"key_{at}": value for at, value in enumerate(key)} | {"mac": row[-1]}
        found = connection.execute(self._same_mac, here).first()
        if found is None:
            return None
        other = tuple(found)
        return Fault.COPIED, (
            f"it is a copy of row {shown(other if len(other) > 1 else other[0])} put under another "
            f"key, or has its seal; {_WHO}."
        )


def _near(version: int) -> Iterator[int]:
    for step in range(1, _VERSIONS_BACK + 1):
        yield version + step
        if version > step:
            yield version - step
