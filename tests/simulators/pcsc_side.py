"""A card through pcscd, with nothing of cardd in between."""

import pytest
from smartcard import scard


class TransmitFailed(Exception):
    """pcscd could not bring a command to the card and its answer back."""


class PcscCard:
    """Waits for the card in a reader and connects to it."""

    T0, T1 = scard.SCARD_PROTOCOL_T0, scard.SCARD_PROTOCOL_T1

    def __init__(self, reader: str, protocol: int = scard.SCARD_PROTOCOL_T1) -> None:
        self._reader = reader
        self._wanted = protocol
        _, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        self.connect()

    def connect(self) -> None:
        """Wait for the card and connect."""
        self._await(scard.SCARD_STATE_PRESENT)
        status, self._card, self._protocol = scard.SCardConnect(
            self._context, self._reader, scard.SCARD_SHARE_SHARED, self._wanted
        )
        assert status == scard.SCARD_S_SUCCESS, scard.SCardGetErrorMessage(status)

    def transmit(self, command: bytes) -> bytes:
        status, answer = scard.SCardTransmit(self._card, self._protocol, list(command))
        if status != scard.SCARD_S_SUCCESS:
            raise TransmitFailed(scard.SCardGetErrorMessage(status))
        if not answer:
            # What vpcd 3.3 gives for a card torn in the middle of a command: success, and nothing.
            raise TransmitFailed("an empty answer")
        return bytes(answer)

    def reset(self) -> None:
        scard.SCardDisconnect(self._card, scard.SCARD_RESET_CARD)
        self.connect()

    def leave(self) -> None:
        """Disconnect and wait until pcscd has seen the card go: a quicker exchange escapes it."""
        scard.SCardDisconnect(self._card, scard.SCARD_LEAVE_CARD)
        self._await(scard.SCARD_STATE_EMPTY)
        scard.SCardReleaseContext(self._context)

    def _await(self, wanted: int) -> None:
        _await(self._context, self._reader, wanted)


def await_empty(*readers: str) -> None:
    """Return once pcscd holds these readers for empty: it looks every 0.4 s alone."""
    status, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    assert status == scard.SCARD_S_SUCCESS, scard.SCardGetErrorMessage(status)
    try:
        for reader in readers:
            _await(context, reader, scard.SCARD_STATE_EMPTY)
    finally:
        scard.SCardReleaseContext(context)


def _await(context: int, reader: str, wanted: int) -> None:
    state = scard.SCARD_STATE_UNAWARE
    for _ in range(10):
        _, states = scard.SCardGetStatusChange(context, 1000, [(reader, state)])
        state = states[0][1]
        if state & wanted:
            return
    pytest.fail(f"{reader} did not reach state {wanted:X} within 10 s")
