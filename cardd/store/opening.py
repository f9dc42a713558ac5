"""From the configuration's `kms.registry` to a registry."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from cardd.errors import StartCode, StartError
from cardd.store import schema, sqlite
from cardd.store.connections import Database
from cardd.store.registry import SqlRegistry
from cardd.store.sealing import RowSealer
from cardd.store.tables import FirstRows

_SQLITE = "sqlite:"
_POSTGRESQL = "postgresql:"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a registry is, as the configuration says it. `name` is for messages."""

    name: str
    open: Callable[[], Database]
    create: Callable[[FirstRows], None]


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
    )


def open_registry(
    url: str, sealer: RowSealer, site: bytes = b"", *, password_file: Path | None = None
) -> SqlRegistry:
    """Open a registry that exists.

    `site` stands for what the badges' keys depend on besides the masters; it is compared with what
    the registry was made with.

    Raises StartError: as `place`, and `registry_not_found`, `registry_version`,
    `registry_unavailable`.
    """
    where = place(url, password_file)
    database = where.open()
    schema.require(database, sealer, site, where.name)
    return SqlRegistry(database, sealer)


def create_registry(
    url: str, sealer: RowSealer, site: bytes = b"", *, password_file: Path | None = None
) -> SqlRegistry:
    """Create an empty registry and open it; StartError as `open_registry`, or `registry_exists`."""
    place(url, password_file).create(schema.first_rows(sealer, site))
    return open_registry(url, sealer, site, password_file=password_file)


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
