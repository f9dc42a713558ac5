"""What a return code of PC/SC means to cardd.

Codes: PC/SC part 5, and pcsclite.h of pcsc-lite, where SCARD_E_UNSUPPORTED_FEATURE has the value
that Windows gives to SCARD_E_UNEXPECTED.
"""

from cardd.errors import (
    CardBusy,
    CardError,
    CardMute,
    CardProtocolError,
    CardRemoved,
    ReaderUnavailable,
)
from cardd.readers.resource_manager import UnknownReader

SUCCESS = 0
E_CANCELLED = 0x80100002
E_INVALID_HANDLE = 0x80100003
E_INSUFFICIENT_BUFFER = 0x80100008
E_UNKNOWN_READER = 0x80100009
E_TIMEOUT = 0x8010000A
E_SHARING_VIOLATION = 0x8010000B
E_NO_SMARTCARD = 0x8010000C
E_PROTO_MISMATCH = 0x8010000F
F_COMM_ERROR = 0x80100013
E_NOT_TRANSACTED = 0x80100016
E_READER_UNAVAILABLE = 0x80100017
E_CARD_UNSUPPORTED = 0x8010001C
E_NO_SERVICE = 0x8010001D
E_SERVICE_STOPPED = 0x8010001E
E_UNSUPPORTED_FEATURE = 0x8010001F
E_NO_READERS_AVAILABLE = 0x8010002E
W_UNSUPPORTED_CARD = 0x80100065
W_UNRESPONSIVE_CARD = 0x80100066
W_UNPOWERED_CARD = 0x80100067
W_RESET_CARD = 0x80100068
W_REMOVED_CARD = 0x80100069
W_SECURITY_VIOLATION = 0x8010006A

LOST = frozenset({E_INVALID_HANDLE, F_COMM_ERROR, E_NO_SERVICE, E_SERVICE_STOPPED})
"""The context is dead: release it and establish another."""

_NO_SERVICE = "pcscd does not run or was restarted: start it (systemctl start pcscd.socket)"
_REFUSED = (
    "polkit refuses this user access to pcscd or to the card: install cardd's polkit rule for"
    " org.debian.pcsc-lite.access_pcsc and org.debian.pcsc-lite.access_card, or log in locally"
)
_UNPLUGGED = "the reader is gone: plug it in again"
_MUTE = "the card does not answer: take it out and show it again"

_RESET = "another program reset the card: show it again"


class CardReset(CardRemoved):
    """Another program reset the card, or died with it: the card is there, its state is lost."""


_MEANINGS: dict[int, tuple[type[CardError], str]] = {
    E_INVALID_HANDLE: (ReaderUnavailable, _NO_SERVICE),
    F_COMM_ERROR: (ReaderUnavailable, _NO_SERVICE),
    E_NO_SERVICE: (ReaderUnavailable, _NO_SERVICE),
    E_SERVICE_STOPPED: (ReaderUnavailable, _NO_SERVICE),
    W_SECURITY_VIOLATION: (ReaderUnavailable, _REFUSED),
    E_UNKNOWN_READER: (UnknownReader, _UNPLUGGED),
    E_READER_UNAVAILABLE: (UnknownReader, _UNPLUGGED),
    E_NO_READERS_AVAILABLE: (UnknownReader, _UNPLUGGED),
    E_NO_SMARTCARD: (CardRemoved, "there is no card in the reader"),
    W_REMOVED_CARD: (CardRemoved, "the card was taken away: show it again"),
    W_RESET_CARD: (CardReset, _RESET),
    E_NOT_TRANSACTED: (CardRemoved, "the card stopped answering in the middle: show it again"),
    E_SHARING_VIOLATION: (CardBusy, "another program holds the card: close it, or try again"),
    W_UNRESPONSIVE_CARD: (CardMute, _MUTE),
    W_UNPOWERED_CARD: (CardMute, _MUTE),
    E_TIMEOUT: (CardMute, _MUTE),
    E_INSUFFICIENT_BUFFER: (CardProtocolError, "the card's answer is longer than PC/SC permits"),
    W_UNSUPPORTED_CARD: (CardError, "the reader does not support this card"),
    E_CARD_UNSUPPORTED: (CardError, "the reader does not support this card"),
    E_PROTO_MISMATCH: (CardError, "the card speaks neither T=0 nor T=1"),
    E_UNSUPPORTED_FEATURE: (CardError, "the reader does not support this function"),
}


def error_of(code: int, call: str) -> CardError:
    """Return the error that a return code other than SUCCESS means; `call` names the function.

    Its facts: `why` is the sentence without the code, `pcsc` the function and the code.
    """
    kind, meaning = _MEANINGS.get(code, (ReaderUnavailable, "PC/SC failed: unplug the reader"))
    if code == E_PROTO_MISMATCH and call == "SCardTransmit":
        # The protocol was agreed on: the card lost it when pcscd cleaned up after a dead program.
        kind, meaning = CardReset, _RESET
    return kind(f"{meaning} ({call}: 0x{code:08X})", why=meaning, pcsc=f"{call} 0x{code:08X}")
