"""The row that says of a registry: which version, for which site, sealed by whose keystore."""

import os
from typing import Any

from sqlalchemy import Connection, Table, inspect, select

from cardd.errors import KmsUnavailable, Refused, StartCode, StartError
from cardd.store import tables
from cardd.store.connections import FAILURES, Database
from cardd.store.sealing import RowSealer, TableSeal, Value
from cardd.store.tables import SCHEMA_VERSION, FirstRows, schema_version

OLDEST = 2
"""The first schema version that can be migrated."""

VERSION = select(*schema_version.columns)


def first_rows(sealer: RowSealer, site: bytes) -> FirstRows:
    """Return the rows that a new registry begins with, sealed."""
    sealed = {
        tables.schema_version: (SCHEMA_VERSION, site),
        tables.registry_identity: (os.urandom(16), 0, 0, 0, 1),
    }
    return [
        (tables.alembic_version, {"version_num": str(SCHEMA_VERSION)}),
        *((table, _sealed(table, sealer, values)) for table, values in sealed.items()),
    ]


def _sealed(table: Table, sealer: RowSealer, values: tuple[Value, ...]) -> dict[str, Any]:
    names = [column.name for column in table.columns]
    return dict(zip(names, (*values, *TableSeal(table, sealer).seal(values)), strict=True))


def require(database: Database, sealer: RowSealer, site: bytes, name: str) -> None:
    """Return where this program, this keystore and this site can use the database.

    Raises StartError: `registry_version`; `registry_unavailable` where it is no registry, is
    damaged, or is sealed under another keystore; `config_invalid` where it is another site's.
    """
    try:
        with database.engine.connect() as connection:
            row = _only(_rows(connection), name)
    except FAILURES as error:
        raise StartError(StartCode.REGISTRY_UNAVAILABLE, database.explain(error)) from None
    _require_version(row[0], name)
    _require_seal(row, sealer, name)
    if row[1] != site:
        raise StartError(
            StartCode.CONFIG_INVALID,
            f"the badges of the registry {name} were encoded with another badge.keys, "
            "badge.system_identifier or badge.aid_order: put back the values it was made with, or "
            "no badge is recognised",
        )


def _require_version(found: Any, name: str) -> None:
    if found == SCHEMA_VERSION:
        return
    remedy = (
        "install the cardd that wrote it, or let that one bring it back with "
        f"`cardd-kms migrate --to {SCHEMA_VERSION}`"
    )
    if isinstance(found, int) and OLDEST <= found < SCHEMA_VERSION:
        remedy = "stop every key service that uses it, and run `cardd-kms migrate`"
    elif isinstance(found, int) and found < OLDEST:
        remedy = (
            "it is of an older cardd and cannot be migrated: install the cardd that wrote it, "
            "or move keystore and registry away and make new ones with `cardd-kms init`"
        )
    raise StartError(
        StartCode.REGISTRY_VERSION,
        f"the registry {name} has schema version {found!r}, and this program needs "
        f"{SCHEMA_VERSION}; {remedy}",
        found=found,
        needed=SCHEMA_VERSION,
    )


def version_of(connection: Connection, sealer: RowSealer, name: str) -> int:
    """Return a registry's schema version, as its sealed row says it.

    Raises StartError (`registry_unavailable`) as `require`; FAILURES as the driver does.
    """
    row = _only(_rows(connection), name)
    _require_seal(row, sealer, name, answering=True)
    version: int = row[0]
    return version


def require_newest(connection: Connection, sealer: RowSealer, name: str) -> None:
    """Return where the registry has this program's version; errors as `require`."""
    _require_version(version_of(connection, sealer, name), name)


def _only(rows: list[tuple[Any, ...]], name: str) -> tuple[Any, ...]:
    if len(rows) == 1:
        return rows[0]
    raise StartError(
        StartCode.REGISTRY_UNAVAILABLE,
        f"{name} is not a registry of cardd; correct kms.registry in the configuration, or make "
        "one with `cardd-kms init`",
    )


def _rows(connection: Connection) -> list[tuple[Any, ...]]:
    if not inspect(connection).has_table(schema_version.name):
        return []
    return [tuple(row) for row in connection.execute(VERSION)]


def _require_seal(
    row: tuple[Any, ...], sealer: RowSealer, name: str, *, answering: bool = False
) -> None:
    """Refuse another keystore's registry; `answering` asks for masters that answer now."""
    try:
        TableSeal(schema_version, sealer).check(row)
    except KmsUnavailable:
        # Masters that do not answer yet are no reason not to start: each read checks its row.
        if answering:
            raise
    except Refused:
        raise StartError(
            StartCode.REGISTRY_UNAVAILABLE,
            f"the registry {name} was made with another keystore, or was altered; use the "
            "keystore and the registry that belong together",
        ) from None
