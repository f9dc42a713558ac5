"""How long a card stays in the field."""

from dataclasses import dataclass
from typing import Protocol

TAP_SECONDS = 0.3
FIRST_COMMAND_SECONDS = 1.0
TAP_LIMIT_SECONDS = 5.0


@dataclass(slots=True)
class Times:
    """What happened in an insertion, in monotonic seconds; None until it happens."""

    inserted: float
    powered: float | None = None
    last_command: float | None = None


class Stay(Protocol):
    """Says until when a card stays."""

    def until(self, times: Times) -> float:
        """Return the monotonic time at which the card leaves, as things stand."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """Leaves after a time, whatever happens."""

    seconds: float

    def until(self, times: Times) -> float:
        """Count from the insertion."""
        return times.inserted + self.seconds


@dataclass(frozen=True, slots=True)
class Tap:
    """Leaves as a hand does: 0.3 s after the reader is done with the card, at most after 5 s.

    The time counts from the reader's power, since a driver may poll its slot only every 0.4 s; and
    a person waits up to 1 s for the first sign that something reads the badge.
    """

    def until(self, times: Times) -> float:
        """Count from the last command."""
        limit = times.inserted + TAP_LIMIT_SECONDS
        if times.powered is None:
            return limit
        if times.last_command is None:
            return min(limit, times.powered + FIRST_COMMAND_SECONDS)
        return min(limit, max(times.powered, times.last_command) + TAP_SECONDS)
