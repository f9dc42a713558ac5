"""A backend that does not answer: for a moment afterwards nobody waits for it again."""

import time
from collections.abc import Callable

from cardd.errors import KmsUnavailable

PAUSE_S = 1.0


class Outage:
    """Remembers the last failure to reach a backend. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last: tuple[float, str] | None = None

    def require_over(self) -> None:
        """Raise KmsUnavailable, with the reason that there was, within the pause after it."""
        last = self._last
        if last is not None and self._monotonic() < last[0] + PAUSE_S:
            raise KmsUnavailable(last[1])

    def begin(self, reason: str) -> KmsUnavailable:
        """Remember a failure from now on; return it, to be raised."""
        self._last = self._monotonic(), reason
        return KmsUnavailable(reason)

    def end(self) -> None:
        """Forget it: the backend answered."""
        self._last = None


class CredentialsRefused(KmsUnavailable):
    """One of two ends does not believe the other: waiting does not help."""
