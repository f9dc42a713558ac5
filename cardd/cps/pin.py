"""The PIN of a CPS as its AODF describes it: form, padding, what the card's answer means.

Whether the PIN of a real card is padded, and its length limits, no source says: both come from the
card (PKCS#15 PinAttributes). People know user codes of 4 to 8 digits and unblocking codes of 8.
"""

from dataclasses import dataclass
from enum import IntEnum

from cardd.cps.objects import PinState
from cardd.errors import (
    CardError,
    CardProtocolError,
    Code,
    PinBlocked,
    PinIncorrect,
    PinLastTry,
    PukBlocked,
    PukIncorrect,
    PukLastTry,
    Refused,
)
from cardd.iso7816 import status
from cardd.iso7816.status import status_error, tries_left
from cardd.secret import Secret

LONGEST_PIN = 15
LONGEST_BLOCK = 15
"""Bytes of a padded PIN: no more fits a reader's keypad (PC/SC part 10, 2.5.2)."""


class PinType(IntEnum):
    """PKCS#15 v1.1, 6.8.1: how digits become bytes."""

    BCD = 0
    ASCII_NUMERIC = 1
    UTF8 = 2


@dataclass(frozen=True, slots=True)
class PinAttributes:
    """A PIN object of the AODF.

    `reference` is the P2 of VERIFY; `path` what is selected before it, empty for nothing. Lengths
    count digits, `stored_length` bytes. `pad` fills the block where the PIN is `padded`, and the
    last half byte of a BCD PIN of odd length.
    """

    label: str
    reference: int
    minimum: int
    maximum: int
    stored_length: int
    type: PinType = PinType.ASCII_NUMERIC
    pad: int = 0xFF
    padded: bool = False
    path: bytes = b""
    identifier: bytes = b""
    unblocks: bool = False

    def require_fit(self) -> None:
        """Raise CardProtocolError unless its lengths are ones that a PIN is given in here.

        Only of the PIN that is wanted: that a card has others of odd lengths is no matter.
        """
        if not 1 <= self.minimum <= self.maximum <= LONGEST_PIN:
            raise CardProtocolError(
                f"the card asks for a PIN of {self.minimum} to {self.maximum} digits"
            )
        if self.padded and self.stored_length > LONGEST_BLOCK:
            raise CardProtocolError(f"the card stores a PIN in {self.stored_length} bytes")

    @property
    def fits(self) -> bool:
        """Tell whether `require_fit` finds nothing."""
        try:
            self.require_fit()
        except CardProtocolError:
            return False
        return True

    @property
    def block_length(self) -> int | None:
        """The bytes of the padded PIN, None where the PIN is sent as it is."""
        return self.stored_length if self.padded else None

    def check(self, pin: Secret) -> None:
        """Raise Refused (`pin_malformed`) unless it is digits, as many as the card takes."""
        value = pin.reveal()
        digits = value.isdigit()  # of bytes: ASCII digits alone
        if not digits or not self.minimum <= len(value) <= self.maximum:
            raise Refused(
                Code.PIN_MALFORMED,
                f"{'an unblocking code' if self.unblocks else 'a PIN'} is {self.minimum} to "
                f"{self.maximum} digits; it was not sent to the card",
                minimum=self.minimum,
                maximum=self.maximum,
            )

    def encode(self, pin: Secret) -> bytes:
        """Return the PIN as VERIFY carries it. Checked first, as `check`."""
        self.check(pin)
        value = pin.reveal()
        if self.type is PinType.BCD:
            odd = f"{self.pad & 0xF:X}" if len(value) % 2 else ""
            value = bytes.fromhex(value.decode("ascii") + odd)
        return value.ljust(self.stored_length, bytes((self.pad,))) if self.padded else value

    def state(self, tries: int | None) -> PinState:
        """Return the PIN's state with the tries that the card reports."""
        return PinState(
            tries_left=tries,
            blocked=tries == 0,
            min_length=self.minimum,
            max_length=self.maximum,
        )


def guard(tries: int | None, *, use_last_try: bool) -> None:
    """Raise PinBlocked or PinLastTry where a PIN must not be sent now.

    `tries` is None where the card says that the PIN is verified: it then has all its tries.
    """
    if tries == 0:
        raise PinBlocked("no try is left: the PIN is blocked, and only its unblocking code helps")
    if tries == 1 and not use_last_try:
        raise PinLastTry("one try is left; say that it may be used, or unblock the PIN")


def of_unblocking_code(error: PinIncorrect | PinLastTry | PinBlocked) -> CardError:
    """Return what an error of a PIN means where it was the unblocking code that was verified."""
    if isinstance(error, PinIncorrect):
        left = error.tries_left
        return PukIncorrect(
            f"the card refused the unblocking code: {left} tries of it are left", tries_left=left
        )
    if isinstance(error, PinLastTry):
        return PukLastTry("one try of the unblocking code is left; say that it may be used")
    return PukBlocked("no try of the unblocking code is left: this card cannot be unblocked")


def judge(word: int, command: str = "VERIFY") -> None:
    """Raise what the status of a VERIFY, or of another command with a PIN, says; 9000 is none."""
    if word == status.OK:
        return
    left = tries_left(word)
    if left:
        raise PinIncorrect(f"the card refused the PIN: {left} tries are left", tries_left=left)
    if left == 0 or word == status.BLOCKED:
        raise PinBlocked("the card refused the PIN, and no try is left")
    raise status_error(command, word)
