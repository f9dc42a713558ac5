"""When to ask again what has failed: later each time, and never everybody at once."""

import random
import threading
import time
from collections.abc import Callable

FIRST_S = 0.25
LONGEST_S = 5.0


class Backoff:
    """One thing that may fail, asked by many threads. Thread-safe.

    While it works everybody may ask. After a failure nobody may for a while, and then one at a
    time, until it works again.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._monotonic = monotonic
        self._jitter = jitter
        self._lock = threading.Lock()
        self._failures = 0
        self._retry_at = 0.0
        self._probing = False
        self.why = "it has not been asked yet"

    def may_try(self) -> bool:
        """Tell whether to try now; whoever does says then what came of it."""
        with self._lock:
            if not self._failures:
                return True
            if self._probing or self._monotonic() < self._retry_at:
                return False
            self._probing = True
            return True

    def succeeded(self) -> None:
        """Take it that it works."""
        with self._lock:
            self._failures = 0
            self._probing = False

    def released(self) -> None:
        """Say that a try came to nothing, for a reason of one's own."""
        with self._lock:
            self._probing = False

    def failed(self, why: str) -> None:
        """Take it that it does not; failures at the same time count as one."""
        with self._lock:
            now = self._monotonic()
            if self._probing or now >= self._retry_at:
                # From half of the time to all of it: workstations must not come back in step.
                wait = min(LONGEST_S, FIRST_S * 2.0 ** min(self._failures, 16))
                self._retry_at = now + wait * (0.5 + self._jitter() / 2)
                self._failures += 1
            self._probing = False
            self.why = why
