"""From the configuration's `kms.registry` to a registry."""

from pathlib import Path

from cardd.errors import StartCode, StartError
from cardd.store import schema, sqlite
from cardd.store.registry import SqlRegistry
from cardd.store.sealing import RowSealer

_SQLITE = "sqlite:"


def open_registry(url: str, sealer: RowSealer, site: bytes = b"") -> SqlRegistry:
    """Open a registry that exists: `sqlite:/absolute/path`.

    `site` stands for what the badges' keys depend on besides the masters; it is compared with what
    the registry was made with.

    Raises StartError: `config_invalid`, `registry_not_found`, `registry_version`,
    `registry_unavailable`.
    """
    path = _path(url)
    database = sqlite.open_database(path)
    schema.require(database, sealer, site, str(path))
    return SqlRegistry(database, sealer)


def create_registry(url: str, sealer: RowSealer, site: bytes = b"") -> SqlRegistry:
    """Create an empty registry and open it; StartError as `open_registry`, or `registry_exists`."""
    sqlite.create_database(_path(url), schema.first_row(sealer, site))
    return open_registry(url, sealer, site)


def _path(url: str) -> Path:
    path = Path(url.removeprefix(_SQLITE))
    if not url.startswith(_SQLITE) or not path.is_absolute() or "\0" in url:
        raise StartError(
            StartCode.CONFIG_INVALID,
            f"kms.registry {url!r} is not understood; write sqlite:/absolute/path",
        )
    return path
