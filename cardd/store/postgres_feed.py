"""What the other key services on one PostgreSQL did: a thread LISTENs on a connection of its own.

A message says only which presence changed; what became of it is read from its sealed row. Messages
of a time without connection are lost: whoever listens is told that, and asks.
"""

import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
import structlog

from cardd.errors import StartCode, StartError
from cardd.store.postgres_link import IN_USE, Door, Link

CHANNEL = "cardd_presence"
BEAT_MS = 1000
PAUSE_S = 0.5
START_S = 10.0

_log = structlog.get_logger(__name__)


class _Migrating(Exception):
    """Somebody changes the schema of the registry now."""


class Feed:
    """Calls `heard` with the payload of each message, and `missed` where some may be lost.

    Its connection also holds this key service's share of the lock that keeps migrations away. It is
    asked something each second: a server that is gone is noticed by then.
    """

    def __init__(
        self, door: Door, heard: Callable[[str], None], missed: Callable[[], None]
    ) -> None:
        self._door = door
        self._heard = heard
        self._missed = missed
        self._stopping = threading.Event()
        self._listening = threading.Event()
        self._failure: Exception | None = None
        self._wake_reader, self._wake_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="registry feed", daemon=True)

    def start(self) -> None:
        """Listen from now on; StartError (`registry_in_use`) while the registry is migrated.

        Raises StartError (`registry_unavailable`) where the server cannot be reached, too.
        """
        self._thread.start()
        if not self._listening.wait(START_S) or self._failure is not None:
            failure = self._failure
            self.stop()
            if isinstance(failure, _Migrating):
                raise StartError(
                    StartCode.REGISTRY_IN_USE,
                    "the registry is being migrated; start again when `cardd-kms migrate` is done",
                )
            raise StartError(
                StartCode.REGISTRY_UNAVAILABLE,
                "the server of the registry cannot be reached, or does not let this program listen",
            )

    def stop(self) -> None:
        """Stop listening, and wait until nothing more is heard."""
        self._stopping.set()
        with suppress(OSError):
            os.write(self._wake_writer, b"\0")
        self._thread.join(START_S)
        os.close(self._wake_writer)
        os.close(self._wake_reader)

    def _run(self) -> None:
        first = True
        while not self._stopping.is_set():
            try:
                connection = self._connect()
            except (psycopg.Error, _Migrating) as error:
                if first:
                    self._failure = error
                    self._listening.set()
                    return
            else:
                if not first:
                    _log.info("registry.feed_back")
                    self._missed()
                first = False
                with connection:
                    self._listen(connection)
            self._stopping.wait(PAUSE_S)

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        connection = self._door.connect(Link)
        try:
            _take_share(connection)
            connection.execute(f"LISTEN {CHANNEL}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _listen(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        """Hear messages until the connection fails or this ends."""
        came: list[str] = []
        connection.add_notify_handler(lambda notify: came.append(notify.payload))
        self._listening.set()
        poll = select.poll()
        try:
            poll.register(connection.fileno(), select.POLLIN)
            poll.register(self._wake_reader, select.POLLIN)
            while not self._stopping.is_set():
                poll.poll(BEAT_MS)
                connection.execute("SELECT 1")  # what came meanwhile is handed over here
                while came:
                    self._heard(came.pop(0))
        except psycopg.Error as error:
            if not self._stopping.is_set():
                _log.warning("registry.feed_lost", error=type(error).__name__)


def _take_share(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    share = connection.execute("SELECT pg_try_advisory_lock_shared(%s)", (IN_USE,))
    if share.fetchone() != (True,):
        raise _Migrating


@contextmanager
def feeding(door: Door, heard: Callable[[str], None], missed: Callable[[], None]) -> Iterator[None]:
    """Run a `Feed` for the length of a block."""
    feed = Feed(door, heard, missed)
    feed.start()
    try:
        yield
    finally:
        feed.stop()
