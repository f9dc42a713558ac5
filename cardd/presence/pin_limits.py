"""How many wrong PINs a peer may give a card, whatever the card itself still permits.

The card counts its tries, and whoever knows the PIN gives it all of them back. So a peer that
guesses in between is held back here. A try is counted before it is queued, and taken back where it
was no wrong one, so that many at the same time cannot all pass.
"""

from collections import OrderedDict

from cardd.clock import Clock
from cardd.errors import Code, Refused

MOST_WRONG = 2
WINDOW_S = 60.0
MOST_REMEMBERED = 1024


class PinLimits:
    """The wrong PINs of late, by peer and card. Every call on the event loop's thread.

    A PIN that is still being tried counts as a wrong one from when it was reserved.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrong: OrderedDict[tuple[str, str], tuple[float, ...]] = OrderedDict()

    def require(self, peer: str, card: str) -> None:
        """Raise Refused (`rate_limited`, with `retry_after` in seconds) for a peer to wait.

        `card` is its number. Two wrong PINs within a minute are the limit.
        """
        recent = self._recent(peer, card)
        if len(recent) >= MOST_WRONG:
            wait_s = recent[-MOST_WRONG] + WINDOW_S - self._clock.now()
            raise Refused(
                Code.RATE_LIMITED,
                f"{len(recent)} wrong PINs within {WINDOW_S:.0f} s; wait before the next",
                retry_after=max(round(wait_s), 1),
            )

    def reserve(self, peer: str, card: str) -> float:
        """Count a PIN that is about to be tried, and return when; raises as `require`.

        Settle it with `wrong`, `right` or `take_back`. One that never is counts for a minute.
        """
        self.require(peer, card)
        return self._add(peer, card)

    def wrong(self, peer: str, card: str, reserved: float) -> None:
        """Keep what was reserved as a wrong PIN of now."""
        self.take_back(peer, card, reserved)
        self._add(peer, card)

    def take_back(self, peer: str, card: str, reserved: float) -> None:
        """Forget what was reserved: the card did not call the PIN wrong."""
        stamps = list(self._wrong.get((peer, card), ()))
        if reserved in stamps:
            stamps.remove(reserved)
            self._wrong[peer, card] = tuple(stamps)
        if not stamps:
            self._wrong.pop((peer, card), None)

    def right(self, peer: str, card: str) -> None:
        """Forget the wrong ones of a peer that gave the right PIN."""
        self._wrong.pop((peer, card), None)

    def _add(self, peer: str, card: str) -> float:
        """Count one of now. The oldest counts are forgotten beyond 1024 pairs."""
        now = self._clock.now()
        self._wrong[peer, card] = (*self._recent(peer, card), now)
        self._wrong.move_to_end((peer, card))
        while len(self._wrong) > MOST_REMEMBERED:
            self._wrong.popitem(last=False)
        return now

    def _recent(self, peer: str, card: str) -> tuple[float, ...]:
        since = self._clock.now() - WINDOW_S
        # A clock that was set back must not lengthen the wait.
        return tuple(
            at for at in self._wrong.get((peer, card), ()) if since < at <= self._clock.now()
        )
