"""The readers as both sides see them: sources that report, and workers that serve cards."""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from cardd.clock import Clock
from cardd.presence.operations import Operation
from cardd.readers.ports import (
    CardInserted,
    CardWithdrawn,
    ReaderAdded,
    ReaderEvent,
    ReaderRemoved,
    ReaderSource,
)
from cardd.worker import Worker

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Visit:
    """A card's stay in a reader.

    `shown` is False for a card that lay there when the reader was first seen. `absent_s` is how
    long the reader had been empty. `void` is set where the card was given up: what still comes of
    it is not used.
    """

    reader: str
    handle: str
    shown: bool
    inserted_at: float
    absent_s: float | None
    atr: bytes = b""
    void: bool = False


class Slot:
    """A reader, its worker, and the card in it. `lock` guards what follows it."""

    def __init__(self, name: str, source: ReaderSource) -> None:
        self.name = name
        self.source = source
        self.worker = Worker(f"reader {name}")
        self.lock = threading.Lock()
        self.visit: Visit | None = None
        self.withdrawn_at: float | None = None
        self.judged_uid: bytes | None = None  # the last card that the KMS accepted or refused
        self.serving: Visit | None = None  # what the worker works on
        self.operation: Operation | None = None  # for which it does
        self.alive_at = 0.0  # the last sign of life of that
        self.stuck = False


Attend = Callable[[Slot, Visit], None]
"""Queues the service of a card that was shown, in the slot's worker. Returns at once."""

Tell = Callable[[ReaderSource, ReaderEvent, Visit | None], None]
"""Passes a report on to the event loop, with the visit that it begins or ends. Returns at once."""


class Slots:
    """The readers that are there now. `hear` runs in the sources' threads, the rest anywhere."""

    def __init__(self, clock: Clock, attend: Attend, tell: Tell) -> None:
        self._clock = clock
        self._attend = attend
        self._tell = tell
        self._lock = threading.Lock()
        self._slots: dict[str, Slot] = {}
        self._closed = False

    def find(self, reader: str) -> Slot | None:
        """Find a reader by its name."""
        return self._slots.get(reader)

    def all(self) -> tuple[Slot, ...]:
        """Return the readers."""
        with self._lock:
            return tuple(self._slots.values())

    def close(self) -> tuple[Slot, ...]:
        """Hear nothing more; return the readers whose workers are to be stopped."""
        with self._lock:
            self._closed = True
            slots = tuple(self._slots.values())
            self._slots.clear()
        return slots

    def hear(self, source: ReaderSource, event: ReaderEvent) -> None:
        """Take a report of a source: a shown card goes straight to its reader's worker."""
        if self._closed:
            return
        match event:
            case ReaderAdded(reader):
                heard = self._added(source, reader)
            case ReaderRemoved(reader):
                heard = self._removed(source, reader)
            case CardInserted(reader) | CardWithdrawn(reader):
                slot = self._slots.get(reader)
                if slot is not None and slot.source is source:
                    self._card_moved(slot, event)
                    return
                heard = False
            case _:
                heard = True
        if heard:
            self._tell(source, event, None)
        else:
            _log.warning("reader.report_ignored", source=source.name, report=type(event).__name__)

    def _added(self, source: ReaderSource, reader: str) -> bool:
        with self._lock:
            if self._closed or reader in self._slots:
                return False
            slot = self._slots[reader] = Slot(reader, source)
        slot.worker.start()
        return True

    def _removed(self, source: ReaderSource, reader: str) -> bool:
        with self._lock:
            slot = self._slots.get(reader)
            if slot is None or slot.source is not source:
                return False
            del self._slots[reader]
        slot.worker.stop(0.0)
        return True

    def _card_moved(self, slot: Slot, event: CardInserted | CardWithdrawn) -> None:
        """Begin or end a visit.

        The loop is told under the lock, and the worker takes the lock before it reports: so the
        loop hears of the card before it hears what came of it, though the worker is woken first.
        """
        now = self._clock.now()
        with slot.lock:
            if isinstance(event, CardWithdrawn):
                visit, slot.visit = slot.visit, None
                slot.withdrawn_at = now
            else:
                absent_s = None if slot.withdrawn_at is None else now - slot.withdrawn_at
                visit = Visit(slot.name, secrets.token_urlsafe(9), event.shown, now, absent_s)
                visit.atr = event.atr
                visit.void = slot.stuck
                slot.visit = visit
                if visit.shown and not visit.void:
                    self._attend(slot, visit)
            self._tell(slot.source, event, visit)
