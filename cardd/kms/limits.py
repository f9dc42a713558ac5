"""How much one client may do in a time, and how often the same refusal is recorded."""

import threading
import time
from collections import deque
from collections.abc import Callable

from cardd.errors import Code, Refused
from cardd.kms.ports import Client

HOUR_S = 3600.0
RECORD_EVERY_S = 60.0
MOST_KEYS = 10_000


class BadgeLimits:
    """Counts the procedures that each client begins in any hour. Thread-safe.

    Every one counts, whatever comes of it: who tries UIDs is bounded too. The counts are this
    process's, and begin anew with it.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._begun: dict[str, deque[float]] = {}

    def count(self, client: Client) -> None:
        """Count one procedure; Refused (`rate_limited`, with `retry_after`) beyond the limit."""
        most = client.badges_per_hour
        if most is None:
            return
        now = self._monotonic()
        with self._lock:
            begun = self._begun.setdefault(client.name, deque())
            while begun and begun[0] <= now - HOUR_S:
                begun.popleft()
            if len(begun) < most:
                begun.append(now)
                return
            # A limit that was lowered waits until enough of them are an hour old.
            free_at = begun[len(begun) - most] + HOUR_S
        raise Refused(
            Code.RATE_LIMITED,
            f"{client.name} has used its {most} badges of this hour; the KMS's administrator sets "
            "badges_per_hour",
            retry_after=max(1, round(free_at - now)),
        )


class Repeats:
    """Lets a repeated refusal be recorded once a minute: it must not fill the disk. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last: dict[str, tuple[float, int]] = {}

    def due(self, key: str) -> int | None:
        """Return how many were left out since the last that was recorded; None to leave it out."""
        now = self._monotonic()
        with self._lock:
            known = self._last.get(key)
            if known is not None and now - known[0] < RECORD_EVERY_S:
                self._last[key] = (known[0], known[1] + 1)
                return None
            if len(self._last) >= MOST_KEYS:
                self._last.clear()
            self._last[key] = (now, 0)
            return 0 if known is None else known[1]
