"""How many wrong PINs a peer may give a card, whatever the card itself still permits.

The card counts its tries, and whoever knows the PIN gives it all of them back. So a peer that
guesses in between is held back here.
"""

from collections import OrderedDict

from cardd.clock import Clock
from cardd.errors import Code, Refused

MOST_WRONG = 2
WINDOW_S = 60.0
MOST_REMEMBERED = 1024


class PinLimits:
    """The wrong PINs of late, by peer and card. Every call on the event loop's thread."""

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

    def wrong(self, peer: str, card: str) -> None:
        """Count a wrong PIN. The oldest counts are forgotten beyond 1024 pairs."""
        self._wrong[peer, card] = (*self._recent(peer, card), self._clock.now())
        self._wrong.move_to_end((peer, card))
        while len(self._wrong) > MOST_REMEMBERED:
            self._wrong.popitem(last=False)

    def right(self, peer: str, card: str) -> None:
        """Forget the wrong ones of a peer that gave the right PIN."""
        self._wrong.pop((peer, card), None)

    def _recent(self, peer: str, card: str) -> tuple[float, ...]:
        since = self._clock.now() - WINDOW_S
        # A clock that was set back must not lengthen the wait.
        return tuple(
            at for at in self._wrong.get((peer, card), ()) if since < at <= self._clock.now()
        )
