"""A card connected through PC/SC, shared with other programs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from cardd.errors import CardProtocolError, CardRemoved
from cardd.readers import pcsc_errors as codes
from cardd.readers.pcsc_calls import call, check, patiently, result_of
from cardd.readers.pcsc_context import CardHandle, PcscContext
from cardd.readers.pcsc_errors import CardReset
from cardd.readers.resource_manager import ReaderState

LONGEST_COMMAND = 65_544
"""An extended APDU: 4 + 3 + 65535 + 2 bytes (ISO/IEC 7816-3, 12.1.3)."""

ATTR_ATR_STRING: Final = 0x00090303
"""PC/SC part 3, 3.1.4: the ATR, as the reader keeps it."""


class PcscConnection:
    """A card connected in shared mode (`CardConnection`)."""

    def __init__(
        self,
        context: PcscContext,
        card: CardHandle,
        seen: ReaderState,
        give_back: Callable[[PcscContext], None],
    ) -> None:
        self._context = context
        self._scard = context.scard
        self._card = card
        self._reader = seen.reader
        self._atr = seen.atr
        self._give_back = give_back
        self._depth = 0
        self._untouched = True  # nothing of ours is on the card since the connection or transaction
        self._open = True

    @property
    def atr(self) -> bytes:
        """The answer to reset."""
        return self._atr

    def transmit(self, command: bytes) -> bytes:
        """Send a command APDU and return the response APDU; see `CardConnection.transmit`."""
        if not 4 <= len(command) <= LONGEST_COMMAND:
            raise ValueError(f"a command APDU has 4 to {LONGEST_COMMAND} bytes")
        self._wait_for_turn()
        answer = self._exchange(command)
        if not answer:
            # So vpcd reports a card that is torn away in the middle of an exchange.
            raise CardRemoved("the card stopped answering in the middle: show it again")
        if len(answer) < 2:
            raise CardProtocolError(f"an answer has 2 bytes or more; the card sent {len(answer)}")
        return answer

    def _exchange(self, command: bytes) -> bytes:
        """Send what the protocol sends; anew after a reset that took nothing of ours away."""
        untouched, self._untouched = self._untouched, False
        try:
            return self._send(command)
        except CardReset:
            if not untouched:
                raise
        self._reconnect(self._scard.SCARD_LEAVE_CARD)
        return self._send(command)

    def _send(self, command: bytes) -> bytes:
        transmit, card = self._scard.SCardTransmit, self._card
        return bytes(patiently(transmit, self._handle(), card.protocol, list(command)))

    def control(self, code: int, data: bytes) -> bytes:
        """Send a control code to the reader; see `CardConnection.control`."""
        self._wait_for_turn()
        return bytes(patiently(self._scard.SCardControl, self._handle(), code, list(data)))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep other programs off the card; CardBusy when one holds it for 2 s. May be nested."""
        if self._depth == 0:
            self._begin()
            self._untouched = True
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0 and self._open:
                result_of(
                    self._scard.SCardEndTransaction, self._card.handle, self._scard.SCARD_LEAVE_CARD
                )

    def reset(self) -> None:
        """Reset the card, which drops its security state."""
        self._wait_for_turn()
        self._reconnect(self._scard.SCARD_RESET_CARD)

    def close(self) -> None:
        """Let go of the card, and leave it as it is for other programs."""
        if not self._open:
            return
        self._open = False
        code, _ = result_of(
            self._scard.SCardDisconnect, self._card.handle, self._scard.SCARD_LEAVE_CARD
        )
        if code in codes.LOST:
            self._context.release()
        else:
            self._give_back(self._context)

    def _handle(self) -> int:
        if not self._open:
            raise CardRemoved("this connection was closed")
        return self._card.handle

    def _begin(self) -> None:
        self._wait_for_turn()
        code, _ = result_of(self._scard.SCardBeginTransaction, self._handle())
        if code == codes.W_RESET_CARD:
            # Another program reset the card before our exchange: nothing of ours is lost.
            self._reconnect(self._scard.SCARD_LEAVE_CARD)
            code, _ = result_of(self._scard.SCardBeginTransaction, self._handle())
        check(code, "SCardBeginTransaction")

    def _wait_for_turn(self) -> None:
        """Wait, at most 2 s, until no other program has a transaction.

        pcsc-lite itself waits for ever; its SCardGetAttrib alone tells at once.
        """
        if self._depth == 0:
            patiently(
                self._scard.SCardGetAttrib, self._handle(), ATTR_ATR_STRING, only_sharing=True
            )

    def _reconnect(self, how: int) -> None:
        scard, handle = self._scard, self._handle()
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        protocol = call(scard.SCardReconnect, handle, scard.SCARD_SHARE_SHARED, protocols, how)
        self._card = CardHandle(handle, protocol)
        self._atr = self._context.look(self._reader).atr
