"""What a source of readers is to the rest, and what it reports."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cardd.iso7816.connection import CardConnection


@dataclass(frozen=True, slots=True)
class ReaderAdded:
    """A reader is there."""

    reader: str


@dataclass(frozen=True, slots=True)
class ReaderRemoved:
    """A reader is gone; so is its card."""

    reader: str


@dataclass(frozen=True, slots=True)
class CardInserted:
    """A card is in the reader and has answered to reset.

    `shown` is False where it was there already when the reader was first seen (at start, or when
    a lost source came back): nobody showed it just now, so it is no tap.
    """

    reader: str
    atr: bytes
    shown: bool = True


@dataclass(frozen=True, slots=True)
class CardWithdrawn:
    """The card is gone, or counts as gone because something on the way to it was lost."""

    reader: str


@dataclass(frozen=True, slots=True)
class ReaderFault:
    """The reader is there but its card cannot be used (mute, unpowered, in exclusive use)."""

    reader: str
    why: str


@dataclass(frozen=True, slots=True)
class ReaderRecovered:
    """The fault that was reported of the reader is over; a card, if there, follows."""

    reader: str


@dataclass(frozen=True, slots=True)
class SourceLost:
    """The whole source (pcscd) is gone or refuses us; `why` says what to do."""

    source: str
    why: str


@dataclass(frozen=True, slots=True)
class SourceRestored:
    """The source is back; its readers follow as ReaderAdded."""

    source: str


ReaderEvent = (
    ReaderAdded
    | ReaderRemoved
    | CardInserted
    | CardWithdrawn
    | ReaderFault
    | ReaderRecovered
    | SourceLost
    | SourceRestored
)

Listener = Callable[[ReaderEvent], None]


class ReaderSource(Protocol):
    """Readers that come and go: pcscd, or one built-in virtual reader."""

    @property
    def name(self) -> str:
        """Name the source in events and health."""

    def start(self, listener: Listener) -> None:
        """Start watching; call `listener` from the source's own threads. It must return at once.

        For each reader CardInserted and CardWithdrawn alternate; a loss is reported as
        CardWithdrawn and ReaderRemoved before SourceLost. Never raises: what is wrong is an event.
        """

    def stop(self) -> None:
        """Stop watching; the threads have ended when it returns, within 2 s."""

    def connect(self, reader: str) -> CardConnection:
        """Connect to the card in a reader. Raises as `CardConnection.transmit` does."""

    def heartbeat(self) -> float:
        """Return the `time.monotonic()` of the last turn of the watching loop."""
