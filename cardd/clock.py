"""The time of day, as a value that can be passed in."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tell the time. Tests pass one that they move."""

    def now(self) -> float:
        """Return Unix seconds."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return Unix seconds."""
        return time.time()
