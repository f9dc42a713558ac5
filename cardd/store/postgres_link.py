"""Connections to PostgreSQL that end in time, whatever became of the server.

The server itself ends what takes too long. A server that is frozen, or lost behind a balancer,
does not: this end then stops waiting too.
"""

import select
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from typing import Any, TypeVar, cast

import psycopg
import sqlalchemy
from psycopg.abc import PQGen

from cardd.store.postgres_address import Address

CONNECT_S = 2  # the shortest that libpq keeps to
LOCK_MS = 1000
STATEMENT_MS = 2000
# A replica whose machine is lost holds the rows of its transaction no longer than this.
IDLE_IN_TRANSACTION_MS = 5000
ANSWER_S = 3.0
_INTERVAL_S = 0.25

Taken = TypeVar("Taken")

LIMITS = (
    f"-c lock_timeout={LOCK_MS} -c statement_timeout={STATEMENT_MS} "
    f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS} "
    "-c timezone=UTC"
)

# The advisory lock of which every running key service holds a share. Any number, always the same.
IN_USE = 0x6361726464  # "cardd"
UNBOUNDED = "-c lock_timeout=10000 -c timezone=UTC"


class Explained(psycopg.OperationalError):
    """A failure whose text is cardd's own: it says what to do, and quotes nothing."""


class Link(psycopg.Connection[Any]):
    """A connection on which no answer is waited for longer than `ANSWER_S`."""

    def wait(self, gen: PQGen[Taken], *arguments: Any, **options: Any) -> Taken:
        """Consume a generator of psycopg; raise Explained where no answer comes."""
        options["interval"] = _INTERVAL_S
        return super().wait(self._in_time(gen), *arguments[1:], **options)

    def _in_time(self, gen: PQGen[Taken]) -> PQGen[Taken]:
        steps = cast("Generator[Any, Any, Taken]", gen)
        deadline = time.monotonic() + ANSWER_S
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted
                if time.monotonic() >= deadline:
                    steps.close()
                    self.pgconn.finish()
                    raise Explained("the server took a statement and does not answer; look at it")
                wanted = steps.send(ready)
        except StopIteration as stop:
            return cast("Taken", stop.value)


class Door:
    """Opens connections to one database. Thread-safe.

    While the server cannot be reached, one thread at a time tries; the others fail at once.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._trying = threading.Lock()
        self._shut = False

    def connect(self, kind: type[psycopg.Connection[Any]] = Link) -> "psycopg.Connection[Any]":
        """Return a new connection in autocommit; raise psycopg.Error."""
        if not self._shut:
            return self._try(kind)
        if not self._trying.acquire(blocking=False):
            raise Explained("the server cannot be reached; check it, and the network to it")
        try:
            return self._try(kind)
        finally:
            self._trying.release()

    def _try(self, kind: type[psycopg.Connection[Any]]) -> "psycopg.Connection[Any]":
        limits = LIMITS if kind is Link else UNBOUNDED
        try:
            password = self._address.password()
        except OSError as error:
            raise Explained(
                f"its password file {self._address.password_file} cannot be used: {error.strerror}"
            ) from None
        given: dict[str, Any] = {**self._address.parameters}
        if password is not None:
            given["password"] = password.reveal().decode()
        try:
            connection = kind.connect(
                **given,
                autocommit=True,
                connect_timeout=CONNECT_S,
                options=limits,
                tcp_user_timeout=str(STATEMENT_MS),
                keepalives_idle="5",
                keepalives_interval="2",
                keepalives_count="3",
            )
        except psycopg.Error:
            self._shut = True
            raise
        self._shut = False
        return connection


def gone(connection: sqlalchemy.Connection) -> bool:
    """Tell whether the server ended an idle connection: it has something to say unasked."""
    with suppress(psycopg.Error, sqlalchemy.exc.SQLAlchemyError):
        link = cast("Link", connection.connection.driver_connection)
        poll = select.poll()
        poll.register(link.pgconn.socket, select.POLLIN)
        return bool(poll.poll(0))
    return True
