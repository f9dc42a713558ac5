"""Watches the readers of PC/SC: one daemon thread with a context of its own.

It waits in SCardGetStatusChange for at most a second at a time and looks at a stop flag between
waits, because a SCardCancel that comes before the wait is lost. Whatever is lost (pcscd killed,
access refused, the computer suspended), every card counts as removed, and the state is rebuilt
once there is something to ask again.
"""

import threading
import time
from collections.abc import Callable, Iterable

import structlog

from cardd.errors import ReaderUnavailable
from cardd.iso7816.connection import CardConnection
from cardd.readers.card_states import CardStates
from cardd.readers.ports import Listener, ReaderEvent, SourceLost, SourceRestored
from cardd.readers.resource_manager import (
    MAXIMUM_STATES,
    PNP_NOTIFICATION,
    STATE_CHANGED,
    Context,
    ReaderState,
    ResourceManager,
    UnknownReader,
)

WAIT_S = 1.0
BACK_OFF_FIRST_S = 0.2
BACK_OFF_LAST_S = 5.0
STOP_LIMIT_S = 1.8
IDLE_TURNS_A_SECOND = 50
IDLE_PAUSE_S = 0.2
SUSPENDED_S = 2.0

_SUSPENDED = "the computer was suspended: show the card again"

_log = structlog.get_logger(__name__)


def suspended_s() -> float:
    """Return for how many seconds the computer was suspended since it started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class PcscSource:
    """The readers of PC/SC, as a ReaderSource. `asleep` tells the seconds spent suspended."""

    name = "pcsc"

    def __init__(
        self, manager: ResourceManager, *, asleep: Callable[[], float] = suspended_s
    ) -> None:
        self._manager = manager
        self._asleep = asleep
        self._listener: Listener = lambda _: None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pcsc-watcher", daemon=True)
        self._context: Context | None = None
        self._states = CardStates()
        self._pnp = ReaderState(PNP_NOTIFICATION)
        self._lost: str | None = None
        self._idle_turns = 0
        self._idle_since = time.monotonic()
        self._back_off_s = BACK_OFF_FIRST_S
        self._beat = time.monotonic()
        self.turns = 0

    def start(self, listener: Listener) -> None:
        """Start watching; see `ReaderSource.start`."""
        self._listener = listener
        self._thread.start()

    def stop(self) -> None:
        """Stop watching, within 2 s; no event comes afterwards."""
        self._stopping.set()
        limit = time.monotonic() + STOP_LIMIT_S
        for thread in (self._cut_short(), self._thread):
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(max(0.0, limit - time.monotonic()))
        if not self._thread.is_alive():
            # A pcscd that holds the thread up would hold up the release of contexts as well.
            self._manager.close()

    def _cut_short(self) -> threading.Thread:
        """Cancel the wait, in a thread of its own: a pcscd that hangs holds up SCardCancel too."""
        context = self._context
        cancel = context.cancel if context is not None else lambda: None
        thread = threading.Thread(target=cancel, name="pcsc-cancel", daemon=True)
        thread.start()
        return thread

    def connect(self, reader: str) -> CardConnection:
        """Connect to the card in a reader. Raises as `CardConnection.transmit` does."""
        return self._manager.connect(reader)

    def heartbeat(self) -> float:
        """Return the `time.monotonic()` of the last turn of the watching loop."""
        return self._beat

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._session()
            except ReaderUnavailable as error:
                _log.info("pcsc.lost", pcsc=error.facts.get("pcsc"))
                self._lose(error.facts.get("why", str(error)))
            except Exception as error:  # noqa: BLE001 - the thread must live on
                _log.exception("pcsc.watch_failed")
                self._lose(f"PC/SC failed in a way that is not known: {type(error).__name__}")
            if not self._stopping.is_set():
                self._turn()
                self._stopping.wait(self._back_off_s)
                doubled_s = max(self._back_off_s * 2, BACK_OFF_FIRST_S)
                self._back_off_s = min(doubled_s, BACK_OFF_LAST_S)

    def _session(self) -> None:
        """Watch with one context until it is lost, the computer was suspended, or we stop."""
        context = self._manager.establish()
        try:
            self._context = context
            self._pnp = ReaderState(PNP_NOTIFICATION)
            asleep_s = self._asleep()
            while not self._stopping.is_set():
                self._turn()
                self._look(context)
                if self._asleep() - asleep_s > SUSPENDED_S:
                    self._lose(_SUSPENDED)
                    self._back_off_s = 0.0
                    return
        finally:
            self._context = None
            context.release()

    def _look(self, context: Context) -> None:
        """List the readers and wait once for something to change; report it."""
        readers = context.list_readers()
        self._restored()
        self._tell(self._states.take_list(readers))
        try:
            changed = self._wait(context)
        except UnknownReader:
            changed = []  # It went between the list and the wait: the next list shows it.
        events = [event for state in changed for event in self._states.observe(state)]
        self._tell(events)
        self._pace(bool(events))

    def _wait(self, context: Context) -> list[ReaderState]:
        """Wait on all readers, in as few calls as PC/SC's limit of 16 entries permits."""
        expected = self._states.expected()
        if len(expected) < MAXIMUM_STATES:
            *changed, pnp = context.wait([*expected, self._pnp], WAIT_S) or (self._pnp,)
            self._pnp = ReaderState(PNP_NOTIFICATION, pnp.state & ~STATE_CHANGED)
            return changed
        firsts = range(0, len(expected), MAXIMUM_STATES)
        found: list[ReaderState] = []
        for first in firsts:
            limit_s = 0.0 if found else WAIT_S / len(firsts)
            found += context.wait(expected[first : first + MAXIMUM_STATES], limit_s)
        return found

    def _pace(self, eventful: bool) -> None:
        """Pause where waits end again and again with nothing to tell, whatever the driver does."""
        now = time.monotonic()
        if eventful or now - self._idle_since > 1.0:
            self._idle_since, self._idle_turns = now, 0
        self._idle_turns += 1
        if self._idle_turns > IDLE_TURNS_A_SECOND:
            self._stopping.wait(IDLE_PAUSE_S)

    def _turn(self) -> None:
        self.turns += 1
        self._beat = time.monotonic()

    def _restored(self) -> None:
        self._back_off_s = BACK_OFF_FIRST_S
        if self._lost is not None:
            self._lost = None
            self._tell([SourceRestored(self.name)])

    def _lose(self, why: str) -> None:
        self._tell(self._states.lose())
        if why != self._lost:
            self._lost = why
            self._tell([SourceLost(self.name, why)])

    def _tell(self, events: Iterable[ReaderEvent]) -> None:
        for event in events:
            if self._stopping.is_set():
                return
            try:
                self._listener(event)
            except Exception:  # noqa: BLE001 - a listener's fault must not stop the watch
                _log.exception("pcsc.listener_failed")
