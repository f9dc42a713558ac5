"""What the watcher needs of PC/SC: the ICC Resource Manager (PC/SC part 5) behind three Protocols.

Names and values are those of winscard.h and pcsc-lite's pcsclite.h.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cardd.errors import ReaderUnavailable
from cardd.iso7816.connection import CardConnection

PNP_NOTIFICATION = "\\\\?PnP?\\Notification"
"""The pseudo-reader whose state changes when a reader comes or goes."""

MAXIMUM_STATES = 16
"""SCardGetStatusChange refuses more entries than PCSCLITE_MAX_READERS_CONTEXTS."""

STATE_UNAWARE = 0x0000
STATE_CHANGED = 0x0002
STATE_UNKNOWN = 0x0004
STATE_UNAVAILABLE = 0x0008
STATE_EMPTY = 0x0010
STATE_PRESENT = 0x0020
STATE_EXCLUSIVE = 0x0080
STATE_INUSE = 0x0100
STATE_MUTE = 0x0200
STATE_UNPOWERED = 0x0400


class UnknownReader(ReaderUnavailable):
    """A reader that was listed is gone; the others are not."""


@dataclass(frozen=True, slots=True)
class ReaderState:
    """SCARD_READERSTATE. The upper 16 bits of `state` count the card events of the reader."""

    reader: str
    state: int = STATE_UNAWARE
    atr: bytes = b""


class Context(Protocol):
    """A connection to the resource manager, for one thread; `cancel` alone may come from another.

    Every method but `release` and `cancel` raises ReaderUnavailable when the resource manager is
    gone or refuses; the context is then good for nothing but `release`.
    """

    def list_readers(self) -> tuple[str, ...]:
        """Return the names of the readers; none is not an error."""

    def wait(self, states: Sequence[ReaderState], limit_s: float) -> tuple[ReaderState, ...]:
        """Wait until one of `states` is no longer so, and return the new ones in the same order.

        Returns an empty tuple when the time is up or the wait was cancelled. Raises UnknownReader
        when one is no longer listed.
        """

    def cancel(self) -> None:
        """Cut a wait short. One that has not begun is not affected."""

    def release(self) -> None:
        """Give the context back. Never raises."""


class ResourceManager(Protocol):
    """PC/SC on this machine."""

    def establish(self) -> Context:
        """Connect to it. Raises ReaderUnavailable; the message says what to do."""

    def connect(self, reader: str) -> CardConnection:
        """Connect to the card in a reader. Raises as `CardConnection.transmit` does."""

    def close(self) -> None:
        """Let go of what is kept for the next connection. Never blocks, never raises."""
