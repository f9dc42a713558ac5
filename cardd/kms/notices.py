"""Tells the workstations what the KMS ended, and whoever comes back what was told meanwhile."""

import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from cardd.assurance.presence import PresenceRecord
from cardd.kms.messages import Notice, PresenceEnded, Resync

MOST_KEPT = 4096

Listener = Callable[["Told"], None]
"""Hears a notice. Called one at a time, from any thread, and under a lock: it returns at once."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """A notice. `id` names the place after it, from which `Notices.follow` goes on."""

    id: str
    notice: Notice


@dataclass(frozen=True, slots=True)
class _Kept:
    sequence: int
    client: str
    notice: Notice


class Notices:
    """The listeners of each client, and the last notices. Thread-safe.

    A client hears of its own presences alone. A listener that raises is logged, and the others are
    told.
    """

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._sequence = 0
        self._kept: deque[_Kept] = deque(maxlen=MOST_KEPT)
        self._listeners: list[tuple[str, Listener]] = []

    def watch(self, client: str, listener: Callable[[Notice], None]) -> Callable[[], None]:
        """Call `listener` for what this client is told from now on; return what stops that."""
        with self._lock:
            return self._add(client, lambda told: listener(told.notice))

    def follow(self, client: str, listener: Listener, since: str | None) -> Callable[[], None]:
        """Call `listener` for what this client was told after `since`, and is told from now on.

        It hears `Resync` first where `since` is None, too long ago, or of another process.
        """
        with self._lock:
            for told in self._missed(client, since):
                _tell(listener, told)
            return self._add(client, listener)

    def tell(self, client: str, notice: Notice) -> None:
        """Call every listener of a client."""
        with self._lock:
            self._sequence += 1
            self._kept.append(_Kept(self._sequence, client, notice))
            told = self._told(self._sequence, notice)
            for name, listener in tuple(self._listeners):
                if name == client:
                    _tell(listener, told)

    def ended(self, presence: PresenceRecord) -> None:
        """Tell the client of a presence that another key service ended it."""
        self.tell(presence.client, PresenceEnded(presence.sid, presence.end_reason or ""))

    def resync(self) -> None:
        """Tell every listener that notices may have been missed, and each that comes back later."""
        with self._lock:
            self._epoch = secrets.token_hex(8)
            self._kept.clear()
            for _, listener in tuple(self._listeners):
                _tell(listener, self._told(self._sequence, Resync()))

    def _add(self, client: str, listener: Listener) -> Callable[[], None]:
        entry = (client, listener)
        self._listeners.append(entry)

        def stop() -> None:
            with self._lock:
                if entry in self._listeners:
                    self._listeners.remove(entry)

        return stop

    def _missed(self, client: str, since: str | None) -> list[Told]:
        """Return what follows `since` for a client, or a Resync."""
        at = self._position(since)
        if at is None:
            return [self._told(self._sequence, Resync())]
        return [
            self._told(kept.sequence, kept.notice)
            for kept in self._kept
            if kept.sequence > at and kept.client == client
        ]

    def _position(self, since: str | None) -> int | None:
        """Return the sequence number that an id names, None where what follows it is not known."""
        epoch, _, number = (since or "").rpartition("-")
        if epoch != self._epoch or not (number.isascii() and number.isdecimal()):
            return None
        at = int(number[:20])
        oldest = self._kept[0].sequence if self._kept else self._sequence + 1
        return at if oldest - 1 <= at <= self._sequence else None

    def _told(self, sequence: int, notice: Notice) -> Told:
        return Told(f"{self._epoch}-{sequence}", notice)


def _tell(listener: Listener, told: Told) -> None:
    try:
        listener(told)
    except Exception:  # noqa: BLE001 - one listener's fault is not the others'
        _log.exception("kms.notice_failed")
