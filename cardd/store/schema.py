"""The row that says of a registry: which version, for which site, sealed by whose keystore."""

from typing import Any

from sqlalchemy import inspect, select

from cardd.errors import KmsUnavailable, Refused, StartCode, StartError
from cardd.store.connections import FAILURES, Database
from cardd.store.sealing import RowSealer, TableSeal
from cardd.store.tables import SCHEMA_VERSION, FirstRows, schema_version

VERSION = select(*schema_version.columns)


def first_rows(sealer: RowSealer, site: bytes) -> FirstRows:
    """Return the rows that a new registry begins with, sealed."""
    generation, mac = TableSeal(schema_version, sealer).seal([SCHEMA_VERSION, site])
    row = {"version": SCHEMA_VERSION, "site": site, "mac_generation": generation, "mac": mac}
    return [(schema_version, row)]


def require(database: Database, sealer: RowSealer, site: bytes, name: str) -> None:
    """Return where this program, this keystore and this site can use the database.

    Raises StartError: `registry_version`; `registry_unavailable` where it is no registry, is
    damaged, or is sealed under another keystore; `config_invalid` where it is another site's.
    """
    try:
        rows = _rows(database)
    except FAILURES as error:
        raise StartError(StartCode.REGISTRY_UNAVAILABLE, database.explain(error)) from None
    if len(rows) != 1:
        raise StartError(
            StartCode.REGISTRY_UNAVAILABLE,
            f"{name} is not a registry of cardd; correct kms.registry in the configuration",
        )
    _require_version(rows[0][0], name)
    _require_seal(rows[0], sealer, name)
    if rows[0][1] != site:
        raise StartError(
            StartCode.CONFIG_INVALID,
            f"the badges of the registry {name} were encoded with another badge.system_identifier "
            "or badge.aid_order: put back the values it was made with, or no badge is recognised",
        )


def _require_version(found: Any, name: str) -> None:
    if found == SCHEMA_VERSION:
        return
    remedy = "install the cardd that wrote it, or restore its own backup"
    if isinstance(found, int) and found < SCHEMA_VERSION:
        remedy = (
            "it is of an older cardd and cannot be migrated yet: install the cardd that wrote it, "
            "or move keystore and registry away and make new ones with `cardd-kms init`"
        )
    raise StartError(
        StartCode.REGISTRY_VERSION,
        f"the registry {name} has schema version {found!r}, and this program needs "
        f"{SCHEMA_VERSION}; {remedy}",
        found=found,
        needed=SCHEMA_VERSION,
    )


def _rows(database: Database) -> list[tuple[Any, ...]]:
    with database.engine.connect() as connection:
        if not inspect(connection).has_table(schema_version.name):
            return []
        return [tuple(row) for row in connection.execute(VERSION)]


def _require_seal(row: tuple[Any, ...], sealer: RowSealer, name: str) -> None:
    try:
        TableSeal(schema_version, sealer).check(row)
    except KmsUnavailable:
        # Masters that do not answer yet are no reason not to start: each read checks its row.
        return
    except Refused:
        raise StartError(
            StartCode.REGISTRY_UNAVAILABLE,
            f"the registry {name} was made with another keystore, or was altered; use the "
            "keystore and the registry that belong together",
        ) from None
