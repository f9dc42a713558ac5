"""Connections to the card in a virtual reader, with the manners of PC/SC's shared mode."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cardd.errors import CardBusy, CardError, CardRemoved
from cardd.iso7816.apdu import t0_form
from cardd.iso7816.atr import protocols
from cardd.readers.pinpad import GET_FEATURE_REQUEST, Feature, PinEntry
from cardd.readers.virtual_pinpad import VirtualPinpad
from cardd.readers.vpcd_link import VpcdLink

BUSY_LIMIT_S = 2.0
VERIFY_PIN_CODE = 0x42000000 + 2050
"""The control code that a virtual reader names for VERIFY_PIN_DIRECT; readers choose their own."""
LONGEST_COMMAND = 65_535
"""What the wire's 2-byte length can say."""


class VirtualCard:
    """The card in the reader: its link, and whose turn it is among its connections."""

    def __init__(self, link: VpcdLink, atr: bytes, pinpad: VirtualPinpad | None = None) -> None:
        self.link = link
        self.pinpad = pinpad
        self.atr = atr
        self.resets = 0
        self._owner: object | None = None
        self._changed = threading.Condition()

    def in_use(self) -> bool:
        """Tell whether a connection has a transaction."""
        return self._owner is not None

    def acquire(self, owner: object) -> None:
        """Give `owner` the card, once no other has it; raise CardBusy after 2 s."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._owner in {None, owner}, BUSY_LIMIT_S):
                raise CardBusy("another connection holds the card: try again")
            self._owner = owner

    def release(self, owner: object) -> None:
        """Take the card back from `owner`, if it has it."""
        with self._changed:
            if self._owner is owner:
                self._owner = None
                self._changed.notify_all()

    def carried(self, command: bytes) -> bytes:
        """Return a command as the protocol of the card carries it: T=1 where it offers both."""
        return t0_form(command) if protocols(self.atr) == {0} else command

    def reset(self) -> None:
        """Reset the card and read its ATR again."""
        self.link.reset()
        self.atr = self.link.atr()
        self.resets += 1


class VirtualConnection:
    """A connection to a card in a virtual reader (`CardConnection`)."""

    def __init__(self, card: VirtualCard) -> None:
        self._card: VirtualCard | None = card
        self._resets = card.resets
        self._depth = 0

    @property
    def atr(self) -> bytes:
        """The answer to reset."""
        return self._present().atr

    def transmit(self, command: bytes) -> bytes:
        """Send a command APDU and return the response APDU; see `CardConnection.transmit`."""
        if not 4 <= len(command) <= LONGEST_COMMAND:
            raise ValueError(f"a command APDU has 4 to {LONGEST_COMMAND} bytes")
        with self._turn() as card:
            if self._resets != card.resets:
                raise CardRemoved("another connection reset the card: show it again")
            return card.link.transmit(card.carried(command))

    def control(self, code: int, data: bytes) -> bytes:
        """Send a control code to the reader: its features, and the entry of a PIN at its keypad.

        Raises CardError for any other code, and where the reader has no keypad.
        """
        with self._turn() as card:
            if card.pinpad is not None and code == GET_FEATURE_REQUEST:
                return bytes((Feature.VERIFY_PIN_DIRECT, 4)) + VERIFY_PIN_CODE.to_bytes(4)
            if card.pinpad is not None and code == VERIFY_PIN_CODE:
                entry = PinEntry.parse(data)
                return card.pinpad.verify(entry, self.transmit, lambda: card.link.is_dead)
        raise CardError(f"the virtual reader has no control code 0x{code:08X}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep other connections off the card; CardBusy after 2 s. May be nested."""
        with self._turn() as card:
            if self._depth == 1:
                # A reset by another before our exchange takes nothing of ours away.
                self._resets = card.resets
            yield

    def reset(self) -> None:
        """Reset the card, which drops its security state; one that fails at it is dropped."""
        with self._turn() as card:
            try:
                card.reset()
            except CardError:
                card.link.drop()  # nobody may find it with its PIN verified
                raise
            self._resets = card.resets

    def close(self) -> None:
        """Let go of the card."""
        card, self._card = self._card, None
        if card is not None:
            card.release(self)

    @contextmanager
    def _turn(self) -> Iterator[VirtualCard]:
        card = self._present()
        if self._depth == 0:
            card.acquire(self)
        self._depth += 1
        try:
            yield card
        finally:
            self._depth -= 1
            if self._depth == 0:
                card.release(self)

    def _present(self) -> VirtualCard:
        if self._card is None:
            raise CardRemoved("this connection was closed")
        return self._card
