"""A card in a reader, as every layer above sees it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class CardConnection(Protocol):
    """A connection to one card. Used by one thread, and closed by whoever opened it."""

    @property
    def atr(self) -> bytes:
        """The answer to reset, as the reader gave it."""

    def transmit(self, command: bytes) -> bytes:
        """Send a command APDU and return the response APDU.

        Raises CardRemoved, CardBusy, CardMute or ReaderUnavailable.
        """

    def control(self, code: int, data: bytes) -> bytes:
        """Send a control code to the reader (PC/SC part 10); same errors as `transmit`."""

    def transaction(self) -> AbstractContextManager[None]:
        """Keep other programs off the card inside a `with` block; never wait for a person there."""

    def reset(self) -> None:
        """Reset the card, which drops its security state.

        Where that fails, the card loses its power with the end of the transaction or connection.
        """

    def close(self) -> None:
        """Let go of the card. A second call does nothing."""


Connect = Callable[[], CardConnection]
"""Connects to the card that is in a reader now; raises as `CardConnection.transmit` does."""
