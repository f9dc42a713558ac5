"""SQLite: the file, its pragmas, its errors. All that is SQLite's alone is here."""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from cardd.errors import KmsUnavailable, StartCode, StartError
from cardd.store import tables
from cardd.store.connections import FAILURES, Database

BUSY_TIMEOUT_S = 0.3
_FAILURES = (*FAILURES, sqlite3.Error, OSError)

_REMEDIES = {
    "SQLITE_BUSY": "another program (a backup, a shell) holds it locked; end that one, try again",
    "SQLITE_LOCKED": "another program holds it locked; end that one, try again",
    "SQLITE_FULL": "the disk is full; free some space",
    "SQLITE_READONLY": "it cannot be written to; check the owner and mode of file and directory",
    "SQLITE_CANTOPEN": "it cannot be opened; check that it is there, its owner and its mode",
    "SQLITE_PERM": "it cannot be opened; check its owner and its mode",
    "SQLITE_IOERR": "the disk failed; check it and the system's log",
    "SQLITE_CORRUPT": "it is damaged; restore it from a backup",
    "UnicodeDecodeError": "it is damaged; restore it from a backup",
    "SQLITE_NOTADB": "it is not an SQLite database; restore it from a backup",
}


def open_database(path: Path) -> Database:
    """Return the database in an existing file.

    Raises StartError: `registry_not_found`, or `registry_unavailable` where the file cannot be
    used or is no database.
    """
    if not path.exists():
        raise StartError(
            StartCode.REGISTRY_NOT_FOUND,
            f"there is no registry at {path}; create it with `cardd-kms init`, or correct "
            "kms.registry in the configuration",
        )
    try:
        with closing(_connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        status = path.stat()
    except _FAILURES as error:
        raise StartError(StartCode.REGISTRY_UNAVAILABLE, _sentence(path, error)) from None
    return _database(path, (status.st_dev, status.st_ino))


def create_database(path: Path, rows: tables.FirstRows) -> None:
    """Make the file (mode 0600) with its tables and their first rows, complete or not at all.

    Raises StartError: `registry_exists`, or `registry_unavailable` where it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            _lay_out(draft, rows)
            # A link, unlike a renaming, never replaces what is there.
            path.hardlink_to(draft)
        finally:
            draft.unlink()
        _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except FileExistsError:
        raise StartError(
            StartCode.REGISTRY_EXISTS,
            f"there is already a registry at {path}; use it, or move it away first",
        ) from None
    except _FAILURES as error:
        raise StartError(StartCode.REGISTRY_UNAVAILABLE, _sentence(path, error)) from None


def backup(path: Path, version: int) -> Path:
    """Copy the file as it is now, with its log, to one beside it (mode 0600), synced.

    Raises StartError (`registry_unavailable`) where it cannot be copied; no half copy stays.
    """
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    copy = path.with_name(f"{path.name}.schema-{version}.{moment}")
    try:
        os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            with closing(_connect(path)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            _sync(copy, os.O_RDWR)
            _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except BaseException:
            copy.unlink()
            raise
    except _FAILURES as error:
        raise StartError(
            StartCode.REGISTRY_UNAVAILABLE,
            f"the registry is not changed, as it cannot be copied to {copy}: "
            f"{_sentence(path, error)}",
        ) from None
    return copy


def _lay_out(draft: Path, rows: tables.FirstRows) -> None:
    status = draft.stat()
    database = _database(draft, (status.st_dev, status.st_ino))
    with database.engine.connect() as connection:
        connection.exec_driver_sql(database.begin)
        tables.lay_out(connection, rows)
        connection.exec_driver_sql("COMMIT")


def _sync(path: Path, mode: int) -> None:
    descriptor = os.open(path, mode | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _database(path: Path, identity: tuple[int, int]) -> Database:
    """Return the database in a file, known by its device and inode number."""

    def check() -> None:
        try:
            status = path.stat()
        except OSError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != identity:
            raise KmsUnavailable(
                f"the registry {path} was moved or replaced while in use; restart this service"
            )

    engine = create_engine(
        "sqlite://",
        creator=lambda: _connect(path),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
    )
    return Database(
        engine=engine,
        begin="BEGIN IMMEDIATE",
        snapshot="BEGIN",
        single_writer=True,
        explain=lambda error: _sentence(path, error),
        check=check,
        fragile=False,
        gone=lambda _: False,
    )


def _connect(path: Path) -> sqlite3.Connection:
    """Open the file; never create it. The connection moves between threads only to be closed."""
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # No function may run from a view or trigger that somebody put into the file.
        connection.execute("PRAGMA trusted_schema = OFF")
    except (sqlite3.Error, UnicodeDecodeError):
        connection.close()
        raise
    # Text that is no UTF-8 reaches the check of the row's MAC, which then names the row.
    connection.text_factory = _text
    return connection


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _sentence(path: Path, error: Exception) -> str:
    """Say what an error means and what to do, without its own text, which may quote values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(cause, "sqlite_errorname", None) or type(cause).__name__
    if isinstance(cause, OSError) and cause.strerror:
        return f"the registry {path} cannot be used: {cause.strerror}; check the path and its mode"
    primary = "_".join(name.split("_")[:2])
    remedy = _REMEDIES.get(primary, "look at the system's log, then restart this service")
    return f"the registry {path} cannot be used ({name}): {remedy}"
