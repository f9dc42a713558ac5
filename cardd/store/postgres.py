"""PostgreSQL: its connections, its transactions, its errors. Needs the extra `postgres`.

Transactions are READ COMMITTED, and what they read to decide they lock (`connections.Look`): a
revocation and a tap of one badge wait for each other, on whichever replicas they are, and each sees
what the other stored. No transaction fails because of another that it had nothing to do with, as
under SERIALIZABLE, where a tap would have to be repeated at the card. A row that changed between
two transactions is found by its version.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
from sqlalchemy import (
    Connection,
    NullPool,
    Text,
    bindparam,
    create_engine,
    func,
    inspect,
    literal_column,
    select,
)
from sqlalchemy.exc import DBAPIError

from cardd.errors import StartCode, StartError
from cardd.store import tables
from cardd.store.connections import FAILURES, Channel, Database
from cardd.store.postgres_address import Address
from cardd.store.postgres_feed import CHANNEL, feeding
from cardd.store.postgres_link import IN_USE, Door, Explained, Link, gone

_AGAIN = "another change holds the row; try again"
_REMEDIES = {
    "55P03": _AGAIN,
    "40P01": "two changes crossed, and this one was given up; try again",
    "40001": "two changes crossed, and this one was given up; try again",
    "57014": "a statement took too long; look at the server's load and its log",
    "25P03": "a transaction stood still too long, and the server ended it; try again",
    "25006": "the server is a standby; point kms.registry at the primary",
    "42P01": "its tables are not there, or not to be read; run `cardd-kms init`",
    "42501": "its user may not do this; grant it the rights on all tables of the registry",
    "22021": "a text cannot be stored in it; its encoding must be UTF8",
}
_CLASSES = {
    "08": "the connection was lost; try again",
    "28": "its user was not let in; check user, password or certificate, and pg_hba.conf",
    "3D": "there is no such database; create it first",
    "53": "the server lacks disk space, memory or connections; free some",
    "57": "the server is stopping or starting; try again",
    "58": "the server's disk failed; check it, and its log",
    "XX": "it is damaged; look at the server's log, and restore it from a backup",
}
_CONNECTING_CHARACTERS = 300


def open_database(address: Address, *, patient: bool = False) -> Database:
    """Return the database at an address; `patient` sets no time limit to statements.

    Raises StartError (`registry_unavailable`) where it cannot be reached or keeps text
    in another encoding than UTF-8.
    """
    database = _database(address, Link if not patient else psycopg.Connection)
    with _starting(database), database.engine.connect() as connection:
        _require_utf8(connection, address)
    return database


def create_database(address: Address, rows: tables.FirstRows) -> None:
    """Make the tables in an existing database, complete or not at all.

    Raises StartError as `open_database`, or `registry_exists`.
    """
    database = _database(address)
    with _starting(database), database.engine.connect() as connection:
        _require_utf8(connection, address)
        connection.exec_driver_sql(database.begin)
        # Two that create one registry at once: the second then finds it.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('cardd registry'))")
        if inspect(connection).has_table(tables.schema_version.name):
            raise StartError(
                StartCode.REGISTRY_EXISTS,
                f"there is already a registry at {address.name}; use it, or make another database",
            )
        tables.lay_out(connection, rows)
        connection.exec_driver_sql("COMMIT")


def require_unused(connection: Connection, address: Address) -> None:
    """Keep key services away until the transaction ends.

    Raises StartError (`registry_in_use`) where one uses the registry: each holds a share of a lock.
    """
    if not connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({IN_USE})").scalar():
        raise StartError(
            StartCode.REGISTRY_IN_USE,
            f"a key service uses the registry {address.name}; stop every one that does, on "
            "whichever machine, and try again",
        )


def _database(address: Address, kind: type[psycopg.Connection[Any]] = Link) -> Database:
    door = Door(address)
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: door.connect(kind),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        use_native_hstore=False,
    )
    return Database(
        engine=engine,
        begin="BEGIN ISOLATION LEVEL READ COMMITTED",
        snapshot="BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        single_writer=False,
        explain=lambda error: sentence(address, error),
        check=lambda: None,
        fragile=True,
        gone=gone,
        channel=Channel(
            select(
                func.pg_notify(literal_column(f"'{CHANNEL}'"), bindparam("payload", type_=Text))
            ),
            partial(feeding, door),
        ),
    )


@contextmanager
def _starting(database: Database) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        raise StartError(StartCode.REGISTRY_UNAVAILABLE, database.explain(error)) from None


def _require_utf8(connection: Connection, address: Address) -> None:
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise StartError(
            StartCode.REGISTRY_UNAVAILABLE,
            f"the database {address.name} keeps text in {encoding}; create one with "
            "`createdb --encoding UTF8 --template template0`",
        )


def sentence(address: Address, error: Exception) -> str:
    """Say what an error means and what to do, without its own text, which may quote values."""
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    if isinstance(cause, Explained):
        return f"the registry {address.name} cannot be used: {cause}"
    if state is None and isinstance(cause, psycopg.OperationalError):
        return f"the registry {address.name} cannot be used: {_unanswered(cause)}"
    remedy = _REMEDIES.get(state or "") or _CLASSES.get((state or "")[:2])
    shown = state or type(cause).__name__
    return (
        f"the registry {address.name} cannot be used ({shown}): "
        f"{remedy or 'look at the server’s log'}"
    )


def _unanswered(error: psycopg.OperationalError) -> str:
    """Say why there is no connection. Of one that was refused, libpq says it: no value is in it."""
    if error.pgconn is None or error.pgconn.status == psycopg.pq.ConnStatus.OK:
        return "the connection was lost; try again"
    reason = " ".join(str(error).split())[:_CONNECTING_CHARACTERS]
    return f"{reason}; check the server, and the network to it"
