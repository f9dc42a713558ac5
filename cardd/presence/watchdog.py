"""Notices a reader whose worker is stuck with a card, and lets the rest go on without it."""

from cardd.clock import Clock
from cardd.presence.reception import Reception
from cardd.presence.slots import Slot
from cardd.presence.timers import Timers

STUCK_S = 5.0  # the readers give a card up after 3 s; a worker that is silent longer is stuck
SECOND_LOOK_S = 0.5


class Watchdog:
    """Looks after the workers of the readers. Every call on the event loop's thread."""

    def __init__(self, clock: Clock, timers: Timers, reception: Reception) -> None:
        self._clock = clock
        self._timers = timers
        self._reception = reception

    def expect(self, slot: Slot) -> None:
        """Look at a worker that has just been given something to do, when it should be done."""
        self._timers.set(("worker", slot), self._clock.now() + STUCK_S, lambda: self._look(slot))

    def _look(self, slot: Slot, suspect: float | None = None) -> None:
        """Give up a card that has shown no sign of life for too long, and the one behind it.

        Only at a second look, for a clock that was set makes any card look silent at the first;
        `suspect` is the sign of life that was the last one then.
        """
        with slot.lock:
            serving, operation, waiting = slot.serving, slot.operation, slot.visit
            if serving is None or slot.stuck:
                return
            last = slot.alive_at
            if last != suspect:
                self._look_again(slot, last)
                return
            slot.stuck = serving.void = True
            if waiting is not None:
                waiting.void = True
        why = f"neither the card nor the key service has answered for {STUCK_S:.0f} s"
        self._reception.stuck(slot, serving, operation, f"{why}; take the card away")
        if waiting is not None and waiting is not serving:
            self._reception.busy(waiting)

    def _look_again(self, slot: Slot, last: float) -> None:
        now = self._clock.now()
        overdue = now - last >= STUCK_S
        at = now + SECOND_LOOK_S if overdue else last + STUCK_S
        suspect = last if overdue else None
        self._timers.set(("worker", slot), at, lambda: self._look(slot, suspect))
