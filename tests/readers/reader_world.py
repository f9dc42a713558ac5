"""Readers with cards: the real PC/SC stack and the built-in reader, behind one face."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from cardd.readers.pcsc import open_resource_manager
from cardd.readers.ports import CardInserted, CardWithdrawn, ReaderAdded, ReaderEvent, ReaderSource
from cardd.readers.virtual import VirtualSource
from cardd.readers.watcher import PcscSource
from scripts.private_pcscd import PrivatePcscd
from simulators.faults import Faults
from simulators.link import Insertion, insert

ATR = bytes.fromhex("3B8180018080")
ECHO = bytes.fromhex("80 10 00 00 03 01 02 03 00")

Kind = TypeVar("Kind")


class Events:
    """A listener that keeps what it hears, and waits for more."""

    def __init__(self) -> None:
        self.heard: list[ReaderEvent] = []
        self._read = 0
        self._changed = threading.Condition()

    def __call__(self, event: ReaderEvent) -> None:
        with self._changed:
            self.heard.append(event)
            self._changed.notify_all()

    def next(self, limit_s: float = 5.0) -> ReaderEvent:
        """Return the next event, in order."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.heard) > self._read, limit_s), (
                f"no event within {limit_s} s after {self.heard}"
            )
            self._read += 1
            return self.heard[self._read - 1]

    def until(self, kind: type[Kind], limit_s: float = 5.0) -> Kind:
        """Return the next event of a kind; those before it are skipped."""
        deadline = time.monotonic() + limit_s
        while not isinstance(event := self.next(deadline - time.monotonic()), kind):
            pass
        return event

    def quiet_for(self, seconds: float) -> bool:
        """Tell whether no event comes for some time."""
        with self._changed:
            return not self._changed.wait_for(lambda: len(self.heard) > self._read, seconds)


@dataclass
class EchoCard:
    """A card that answers a command with its data, and notes what happens to it."""

    atr: bytes = ATR
    commands: list[bytes] = field(default_factory=list)
    resets: int = 0
    answer: Callable[[bytes], bytes] = lambda command: command[5:-1] + b"\x90\x00"

    def power_on(self) -> None:
        pass

    def power_off(self) -> None:
        pass

    def reset(self) -> None:
        self.resets += 1

    def transmit(self, command: bytes) -> bytes:
        self.commands.append(command)
        return self.answer(command)


@dataclass
class Desk:
    """A source that is watched, one of its readers, and the address where cards plug in."""

    source: ReaderSource
    reader: str
    address: str
    events: Events

    def card(
        self, card: EchoCard | None = None, faults: Faults | None = None
    ) -> AbstractContextManager[Insertion]:
        return insert(card or EchoCard(), self.address, faults=faults)

    @contextmanager
    def card_seen(
        self, card: EchoCard | None = None, faults: Faults | None = None
    ) -> Iterator[Insertion]:
        """Put a card in, and wait until the source has told so."""
        with self.card(card, faults) as insertion:
            self.events.until(CardInserted)
            yield insertion

    def wait_empty(self) -> None:
        self.events.until(CardWithdrawn)


@contextmanager
def pcsc_desk(pcscd: PrivatePcscd) -> Iterator[Desk]:
    events = Events()
    source = PcscSource(open_resource_manager())
    source.start(events)
    try:
        for reader in pcscd.readers:
            assert events.next() == ReaderAdded(reader)
        yield Desk(source, pcscd.readers[0], pcscd.addresses[0], events)
    finally:
        source.stop()


@contextmanager
def virtual_desk(address: str, **settings: float) -> Iterator[Desk]:
    events = Events()
    source = VirtualSource("desk", address, **settings)
    source.open()
    where = source.address
    source.start(events)
    try:
        assert events.next() == ReaderAdded("desk")
        yield Desk(source, "desk", where, events)
    finally:
        source.stop()
