"""The watcher on a scripted resource manager: what no pcscd here can be made to do."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count

import pytest

from cardd.errors import ReaderUnavailable
from cardd.iso7816.connection import CardConnection
from cardd.readers.pcsc_errors import E_NO_SERVICE, W_SECURITY_VIOLATION, error_of
from cardd.readers.ports import (
    CardInserted,
    CardWithdrawn,
    ReaderAdded,
    ReaderRemoved,
    SourceLost,
    SourceRestored,
)
from cardd.readers.resource_manager import (
    PNP_NOTIFICATION,
    STATE_CHANGED,
    STATE_EMPTY,
    STATE_INUSE,
    STATE_PRESENT,
    ReaderState,
    UnknownReader,
)
from cardd.readers.watcher import PcscSource
from tests.limits import ends_soon
from tests.readers.reader_world import Events

pytestmark = pytest.mark.unit

ATR = b"\x3b\x00"


class ScriptedManager:
    """Readers in memory, with pcsc-lite's rules for SCardGetStatusChange."""

    def __init__(self, readers: Sequence[str] = ("r",)) -> None:
        self.states = dict.fromkeys(readers, STATE_EMPTY)
        self.changed = threading.Condition()
        self.failures: list[Exception] = []
        self.wait_failures: list[Exception] = []
        self.established = 0
        self.largest_wait = 0
        self.closed = False

    def set(self, reader: str, state: int | None) -> None:
        with self.changed:
            if state is None:
                del self.states[reader]
            else:
                self.states[reader] = state
            self.changed.notify_all()

    def establish(self) -> "ScriptedContext":
        self.established += 1
        if self.failures:
            raise self.failures.pop(0) if len(self.failures) > 1 else self.failures[0]
        return ScriptedContext(self)

    def connect(self, reader: str) -> CardConnection:
        raise ReaderUnavailable(reader)

    def close(self) -> None:
        self.closed = True


class ScriptedContext:
    def __init__(self, manager: ScriptedManager) -> None:
        self.manager = manager
        self.cancelled = False
        self.listed: tuple[str, ...] = ()

    def list_readers(self) -> tuple[str, ...]:
        self.listed = tuple(self.manager.states)
        return self.listed

    def wait(self, states: Sequence[ReaderState], limit_s: float) -> tuple[ReaderState, ...]:
        manager = self.manager
        manager.largest_wait = max(manager.largest_wait, len(states))
        if len(states) > 16:
            raise ReaderUnavailable("0x80100004")
        if manager.wait_failures:
            raise manager.wait_failures.pop(0)
        with manager.changed:
            if manager.changed.wait_for(lambda: self._differs(states), limit_s):
                self.cancelled = False
                return tuple(self._now(state) for state in states)
        return ()

    def cancel(self) -> None:
        with self.manager.changed:
            self.cancelled = True
            self.manager.changed.notify_all()

    def release(self) -> None:
        pass

    def _differs(self, states: Sequence[ReaderState]) -> bool:
        return self.cancelled or any(self._now(state).state != state.state for state in states)

    def _now(self, state: ReaderState) -> ReaderState:
        if state.reader == PNP_NOTIFICATION:
            same = tuple(self.manager.states) == self.listed
            return ReaderState(state.reader, 0 if same else STATE_CHANGED)
        now = self.manager.states.get(state.reader, STATE_EMPTY)
        return ReaderState(state.reader, now, ATR if now & STATE_PRESENT else b"")


@contextmanager
def watched(
    manager: ScriptedManager, asleep: Callable[[], float] = lambda: 0.0
) -> Iterator[tuple[PcscSource, Events]]:
    events = Events()
    source = PcscSource(manager, asleep=asleep)
    source.start(events)
    try:
        yield source, events
    finally:
        with ends_soon():
            source.stop()
        assert manager.closed


@pytest.mark.parametrize("number", [1, 15, 16, 17, 40])
def test_any_number_of_readers_is_watched_sixteen_states_at_a_time(number: int) -> None:
    names = [f"reader {index:02}" for index in range(number)]
    manager = ScriptedManager(names)
    with watched(manager) as (_, events):
        for name in names:
            assert events.next() == ReaderAdded(name)
        for name in (names[0], names[-1]):
            manager.set(name, 1 << 16 | STATE_PRESENT)
            inserted = events.next()
            assert isinstance(inserted, CardInserted)
            assert inserted.reader == name
            manager.set(name, 2 << 16 | STATE_EMPTY)
            assert events.next() == CardWithdrawn(name)
    assert manager.largest_wait <= 16


def test_the_sixteenth_reader_is_found_and_lost_again() -> None:
    names = [f"reader {index:02}" for index in range(15)]
    manager = ScriptedManager(names)
    with watched(manager) as (_, events):
        for _ in names:
            events.until(ReaderAdded)
        manager.set("late", STATE_EMPTY)
        assert events.next() == ReaderAdded("late")
        manager.set("late", None)
        assert events.next() == ReaderRemoved("late")


def test_no_reader_at_all_is_no_error() -> None:
    manager = ScriptedManager(())
    with watched(manager) as (source, events):
        assert events.quiet_for(0.3)
        assert source.turns < 5
        manager.set("r", STATE_EMPTY)
        assert events.next() == ReaderAdded("r")


def test_a_refusal_by_polkit_is_told_once_with_what_to_do_and_tried_again() -> None:
    manager = ScriptedManager()
    refusal = error_of(W_SECURITY_VIOLATION, "SCardEstablishContext")
    manager.failures = [refusal]
    with watched(manager) as (source, events):
        lost = events.next()
        assert isinstance(lost, SourceLost)
        assert "polkit" in lost.why
        assert events.quiet_for(1.0)
        assert manager.established == source.turns <= 4
        manager.failures = []
        assert events.next() == SourceRestored("pcsc")
        assert events.next() == ReaderAdded("r")


def test_another_reason_for_the_loss_is_told_too() -> None:
    manager = ScriptedManager()
    manager.failures = [
        error_of(E_NO_SERVICE, "SCardEstablishContext"),
        error_of(W_SECURITY_VIOLATION, "SCardEstablishContext"),
    ]
    with watched(manager) as (_, events):
        first, second = events.next(), events.next()
        assert isinstance(first, SourceLost)
        assert isinstance(second, SourceLost)
        assert first.why != second.why
        assert events.quiet_for(0.5)


@pytest.mark.parametrize(
    "error", [error_of(E_NO_SERVICE, "SCardGetStatusChange"), RuntimeError("a bug")]
)
def test_a_loss_takes_cards_and_readers_before_it_is_told(error: Exception) -> None:
    manager = ScriptedManager()
    manager.states["r"] = 1 << 16 | STATE_PRESENT
    with watched(manager) as (_, events):
        events.until(CardInserted)
        manager.wait_failures.append(error)
        assert events.next() == CardWithdrawn("r")
        assert events.next() == ReaderRemoved("r")
        assert isinstance(events.next(), SourceLost)
        assert events.next() == SourceRestored("pcsc")
        assert events.next() == ReaderAdded("r")
        assert events.next() == CardInserted("r", ATR, shown=False)


def test_a_reader_that_goes_between_the_list_and_the_wait_is_no_loss() -> None:
    manager = ScriptedManager()
    manager.wait_failures.append(UnknownReader("r"))
    with watched(manager) as (_, events):
        assert events.next() == ReaderAdded("r")
        manager.set("r", 1 << 16 | STATE_PRESENT)
        events.until(CardInserted)


def test_a_driver_that_flickers_does_not_make_the_watch_spin() -> None:
    manager = ScriptedManager()
    flicker = count()

    class Flickering(ScriptedContext):
        def _now(self, state: ReaderState) -> ReaderState:
            if state.reader == PNP_NOTIFICATION:
                return super()._now(state)
            return ReaderState("r", STATE_EMPTY | (STATE_INUSE if next(flicker) % 2 else 0))

        def _differs(self, states: Sequence[ReaderState]) -> bool:
            return True

    manager.establish = lambda: Flickering(manager)  # type: ignore[method-assign]
    with watched(manager) as (source, events):
        events.until(ReaderAdded)
        assert events.quiet_for(1.0)
        assert source.turns < 200


def test_a_computer_that_slept_has_every_card_removed() -> None:
    manager = ScriptedManager()
    manager.states["r"] = 1 << 16 | STATE_PRESENT
    asleep_s = [0.0]
    with watched(manager, lambda: asleep_s[0]) as (_, events):
        events.until(CardInserted)
        asleep_s[0] = 3600.0
        assert events.next() == CardWithdrawn("r")
        assert events.next() == ReaderRemoved("r")
        lost = events.next()
        assert isinstance(lost, SourceLost)
        assert "suspended" in lost.why
        assert events.next() == SourceRestored("pcsc")
        events.until(CardInserted)


def test_a_source_that_never_started_stops() -> None:
    source = PcscSource(ScriptedManager())
    source.stop()
    source.stop()
