"""Deadlines on the workstation's clock, kept on the event loop."""

import asyncio
from collections.abc import Callable, Hashable

import structlog

from cardd.clock import Clock

LONGEST_WAIT_S = 10.0  # the clock may be set, or the machine sleep: look again after that long

_log = structlog.get_logger(__name__)


class Timers:
    """Named deadlines in Unix seconds. Every call on the event loop's thread.

    `tick` acts on what the clock has passed. In service a call of the loop, aimed at the next
    deadline, does so; a test moves its clock and calls `tick`.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deadlines: dict[Hashable, tuple[float, Callable[[], None]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._aim = float("inf")

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Act by itself from now on."""
        self._loop = loop
        self._aim_at_next()

    def stop(self) -> None:
        """Forget every deadline."""
        self._loop = None
        self._deadlines.clear()
        if self._beat:
            self._beat.cancel()

    def set(self, key: Hashable, at: float, act: Callable[[], None]) -> None:
        """Do `act` when the clock reaches `at`, and nothing else that was set under this key."""
        self._deadlines[key] = (at, act)
        if at < self._aim:
            self._aim_at_next()

    def clear(self, key: Hashable) -> None:
        """Forget a deadline; none is no error."""
        self._deadlines.pop(key, None)

    def tick(self) -> None:
        """Act on every deadline that has passed, in their order."""
        now = self._clock.now()
        due = [(at, key) for key, (at, _) in self._deadlines.items() if at <= now]
        for at, key in sorted(due, key=lambda entry: entry[0]):
            entry = self._deadlines.get(key)
            if entry is None or entry[0] != at:
                continue  # an earlier one cleared it or set it anew
            del self._deadlines[key]
            try:
                entry[1]()
            except Exception:  # noqa: BLE001 - the other deadlines must be kept
                _log.exception("timers.action_failed", key=str(key))
        self._aim_at_next()

    def _aim_at_next(self) -> None:
        if self._loop is None:
            return
        if self._beat:
            self._beat.cancel()
            self._beat = None
        self._aim = min((at for at, _ in self._deadlines.values()), default=float("inf"))
        if self._deadlines:
            wait = min(max(self._aim - self._clock.now(), 0.0), LONGEST_WAIT_S)
            self._beat = self._loop.call_later(wait, self.tick)
