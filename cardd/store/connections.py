"""Kept connections, one per thread, and the transactions on them.

A connection stays in autocommit: a call outside `atomically` is its own transaction, and the
statements that begin and end a longer one are given explicitly, as the database wants them.
"""

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, Executable, Select, Table
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from cardd.errors import Code, KmsUnavailable, Refused

Taken = TypeVar("Taken")
Parameters = dict[str, Any]

# A driver can fail to decode the database's own error message, where that quotes a damaged page.
FAILURES = (SQLAlchemyError, UnicodeDecodeError)
_CLOSE_WAIT_S = 2.0
_TURN_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Database:
    """A database as the registry needs it: what differs between SQLite and PostgreSQL.

    `begin` starts a transaction that will write, `snapshot` one that only reads and sees the
    database as it was at its first look. `single_writer` says that writers wait for each
    other, and by polling: the threads of this process then queue for it instead. `explain` says in
    a sentence what an error means and what to do, without parameters. `check` raises KmsUnavailable
    where the connections kept so far no longer lead to the registry. `fragile` says that a change
    which breaks a constraint ends its transaction, so that a savepoint has to go before it. `gone`
    tells, without asking the server, whether it ended a kept connection meanwhile. `channel` is
    how several key services on one database hear of each other; None where there is one.
    """

    engine: Engine
    begin: str
    snapshot: str
    single_writer: bool
    explain: Callable[[Exception], str]
    check: Callable[[], None]
    fragile: bool
    gone: Callable[[Connection], bool]
    channel: "Channel | None" = None


@dataclass(frozen=True, slots=True)
class Channel:
    """Messages between key services on one database.

    `send` is a statement with the parameter `payload`: it is heard once its transaction is stored.
    `hear` calls its first argument with each payload, in a thread of its own, and its second where
    some may be lost, until the end of the block. It raises StartError (`registry_in_use`,
    `registry_unavailable`).
    """

    send: Select[Any]
    hear: Callable[[Callable[[str], None], Callable[[], None]], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Look:
    """A query of rows that may decide something.

    Inside a transaction its rows are locked until the end: what was decided on them still holds
    when it is stored. SQLite locks the whole file instead.
    """

    at_rest: Select[Any]
    deciding: Select[Any]


def look(query: Select[Any], locked: Table) -> Look:
    """Build both forms of a query; `locked` is the table whose rows it locks.

    The lock keeps changes away, and not new rows that refer to these (FOR NO KEY UPDATE).
    """
    return Look(query, query.with_for_update(of=locked, key_share=True))


class _Kept:
    """The connection of one thread. It is closed when the thread has ended."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.close = weakref.finalize(self, _close, connection)
        self.lock = threading.RLock()
        self.depth = 0
        self.doomed = False


def _close(connection: Connection) -> None:
    with suppress(*FAILURES):
        connection.close()


class Connections:
    """Runs statements on the kept connection of the calling thread. Thread-safe.

    Raises KmsUnavailable where the database cannot be used; sqlalchemy.exc.IntegrityError where a
    change breaks a constraint.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._local = threading.local()
        self._all: weakref.WeakSet[_Kept] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._turn = threading.Lock() if database.single_writer else None
        self._closed = False

    def rows(self, query: Select[Any] | Look, parameters: Parameters) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        if isinstance(query, Look):
            query = query.deciding if self._kept().depth else query.at_rest
        return self._run(query, parameters, _all_rows)

    def change(self, statement: Executable, parameters: Parameters) -> int:
        """Insert, update or delete; return the number of rows."""
        if not self._kept().depth:
            with self._turn_to_write():
                return self._run(statement, parameters, _row_count)
        if not self._database.fragile:
            return self._run(statement, parameters, _row_count)
        with self.atomically():
            return self._run(statement, parameters, _row_count)

    def check(self) -> None:
        """Raise KmsUnavailable where the kept connections no longer lead to the registry."""
        self._database.check()

    @contextmanager
    def atomically(self) -> Iterator[None]:
        """Make the calls inside one transaction. Inside another it joins it: as a savepoint."""
        kept = self._kept()
        with kept.lock:
            if kept.depth:
                yield from self._nested(kept)
            else:
                with self._turn_to_write():
                    yield from self._outermost(kept)

    def close(self) -> None:
        """Close every connection. A later call raises KmsUnavailable; closing again is no error."""
        with self._lock:
            self._closed = True
            everything = list(self._all)
        for kept in everything:
            if kept.lock.acquire(timeout=_CLOSE_WAIT_S):
                try:
                    kept.close()
                finally:
                    kept.lock.release()
        self._database.engine.dispose()

    @contextmanager
    def _turn_to_write(self) -> Iterator[None]:
        if self._turn is None:
            yield
            return
        if not self._turn.acquire(timeout=_TURN_WAIT_S):
            raise KmsUnavailable("another change of the registry takes too long; try again")
        try:
            yield
        finally:
            self._turn.release()

    def _run(
        self,
        statement: Executable,
        parameters: Parameters,
        take: Callable[[CursorResult[Any]], Taken],
    ) -> Taken:
        kept = self._kept()
        with kept.lock:
            if kept.doomed:
                raise _lost()
            try:
                return take(kept.connection.execute(statement, parameters))
            except IntegrityError:
                raise
            except FAILURES as error:
                if isinstance(error, DataError) and _holds_nul(parameters):
                    raise _unusable_text() from None
                raise self._failed(kept, error) from None
            except UnicodeEncodeError:
                raise _unusable_text() from None

    def _kept(self) -> _Kept:
        kept: _Kept | None = getattr(self._local, "kept", None)
        if kept is not None and kept.close.alive and not kept.depth:
            self._let_go_where_gone(kept)
        if kept is None or not kept.close.alive:
            kept = self._local.kept = self._open()
        return kept

    def _let_go_where_gone(self, kept: _Kept) -> None:
        """Close a connection that the server ended while nobody used it: a restart, a time-out."""
        with kept.lock:
            if kept.close.alive and self._database.gone(kept.connection):
                kept.close()

    def _open(self) -> _Kept:
        try:
            connection = self._database.engine.connect()
        except FAILURES as error:
            raise KmsUnavailable(self._database.explain(error)) from None
        kept = _Kept(connection)
        with self._lock:
            self._all.add(kept)
            closed = self._closed
        if closed:
            kept.close()
            raise KmsUnavailable("the registry is closed: this process is stopping")
        return kept

    def _failed(self, kept: _Kept, error: Exception) -> KmsUnavailable:
        """Give up the connection, or the transaction it is in: neither is to be trusted now."""
        if kept.depth:
            kept.doomed = True
        else:
            kept.close()
        return KmsUnavailable(self._database.explain(error))

    def _say(self, kept: _Kept, sql: str) -> None:
        if kept.doomed:
            raise _lost()
        try:
            kept.connection.exec_driver_sql(sql)
        except FAILURES as error:
            raise self._failed(kept, error) from None

    def _outermost(self, kept: _Kept) -> Iterator[None]:
        self._say(kept, self._database.begin)
        kept.depth = 1
        try:
            yield
            self._say(kept, "COMMIT")
        except BaseException:
            self._roll_back(kept)
            raise
        finally:
            kept.depth = 0
            kept.doomed = False

    def _roll_back(self, kept: _Kept) -> None:
        if not kept.doomed:
            with suppress(KmsUnavailable):
                self._say(kept, "ROLLBACK")
        if kept.doomed:
            kept.close()

    def _nested(self, kept: _Kept) -> Iterator[None]:
        name = f"cardd_{kept.depth}"
        self._say(kept, f"SAVEPOINT {name}")
        kept.depth += 1
        try:
            yield
        except BaseException:
            if not kept.doomed:
                self._say(kept, f"ROLLBACK TO SAVEPOINT {name}")
            raise
        else:
            self._say(kept, f"RELEASE SAVEPOINT {name}")
        finally:
            kept.depth -= 1


def _all_rows(result: CursorResult[Any]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in result.fetchall()]


def _row_count(result: CursorResult[Any]) -> int:
    return result.rowcount


def _holds_nul(parameters: Parameters) -> bool:
    """Tell whether a text holds NUL, which PostgreSQL's driver refuses before it asks."""
    return any(isinstance(value, str) and "\0" in value for value in parameters.values())


def _unusable_text() -> Refused:
    return Refused(
        Code.INVALID_REQUEST,
        "a text in the request is not Unicode, or holds the character NUL; correct it",
    )


def _lost() -> KmsUnavailable:
    return KmsUnavailable(
        "the registry failed within this transaction, and nothing of it is stored; try again"
    )
