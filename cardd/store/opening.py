"""From the configuration's `kms.registry` to a registry."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Connection

from cardd.config import Kms
from cardd.errors import StartCode, StartError
from cardd.store import schema, sqlite
from cardd.store.connections import Database
from cardd.store.registry import SqlRegistry
from cardd.store.sealing import RowSealer
from cardd.store.tables import FirstRows

CREDENTIAL = "cardd-registry-password"
_SQLITE = "sqlite:"
_POSTGRESQL = "postgresql:"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a registry is, as the configuration says it. `name` is for messages.

    `maintain` opens it for long work. `require_unused` raises StartError (`registry_in_use`) where
    a key service uses it, within the transaction of a connection. `backup` copies a file, named
    after its schema version, and returns the copy; None where the server's own tools do that.
    """

    name: str
    open: Callable[[], Database]
    create: Callable[[FirstRows], None]
    maintain: Callable[[], Database]
    require_unused: Callable[[Connection], None]
    backup: Callable[[int], Path | None]


def place(url: str, password_file: Path | None = None) -> Place:
    """Read `sqlite:/absolute/path` or `postgresql://…` (postgres_address).

    Raises StartError: `config_invalid`, `backend_not_installed`.
    """
    if url.startswith(_POSTGRESQL):
        postgres, parse = _postgres()
        address = parse(url, password_file)
        return Place(
            address.name,
            lambda: postgres.open_database(address),
            lambda rows: postgres.create_database(address, rows),
            lambda: postgres.open_database(address, patient=True),
            lambda connection: postgres.require_unused(connection, address),
            lambda _: None,
        )
    path = Path(url.removeprefix(_SQLITE))
    if not url.startswith(_SQLITE) or not path.is_absolute() or "\0" in url:
        raise StartError(
            StartCode.CONFIG_INVALID,
            "kms.registry is not understood; write sqlite:/absolute/path or "
            "postgresql://USER@HOST/DATABASE",
        )
    return Place(
        str(path),
        lambda: sqlite.open_database(path),
        lambda rows: sqlite.create_database(path, rows),
        lambda: sqlite.open_database(path),
        lambda _: None,  # it has one writer, which holds the lock of its audit file
        lambda version: sqlite.backup(path, version),
    )


def configured(kms: Kms) -> Place:
    """Return where the configuration says that the registry is; StartError as `place`.

    The password is in `registry_password_file`, or in the credential `cardd-registry-password` that
    systemd gives.
    """
    file = kms.registry_password_file
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if file is None and folder and (Path(folder) / CREDENTIAL).exists():
        file = Path(folder) / CREDENTIAL
    return place(kms.registry, file)


def open_registry(where: Place, sealer: RowSealer, site: bytes = b"") -> SqlRegistry:
    """Open a registry that exists.

    `site` stands for what the badges' keys depend on besides the masters; it is compared with what
    the registry was made with.

    Raises StartError: `registry_not_found`, `registry_version`, `registry_unavailable`,
    `config_invalid` where it is another site's.
    """
    database = where.open()
    schema.require(database, sealer, site, where.name)
    return SqlRegistry(database, sealer)


def create_registry(where: Place, sealer: RowSealer, site: bytes = b"") -> SqlRegistry:
    """Create an empty registry and open it; StartError as `open_registry`, or `registry_exists`."""
    where.create(schema.first_rows(sealer, site))
    return open_registry(where, sealer, site)


def _postgres() -> tuple[ModuleType, Callable[[str, Path | None], Any]]:
    try:
        from cardd.store import postgres, postgres_address  # noqa: PLC0415 - its driver is an extra
    except ImportError:
        raise StartError(
            StartCode.BACKEND_NOT_INSTALLED,
            "kms.registry is on PostgreSQL, and its driver is not installed; "
            "`pip install cardd[postgres]`",
        ) from None
    return postgres, postgres_address.parse
