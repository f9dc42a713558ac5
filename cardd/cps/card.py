"""What a CPS is to the rest of cardd: one interface over every family.

A method is one exchange (`cardd.iso7816.exchange`) that assumes nothing of what is selected on the
card: another program may have used it since. Run what belongs together in one PC/SC transaction,
and end the one in which a PIN was verified with a reset of the card.
"""

from typing import Protocol

from cardd.cps.contents import CardMemory
from cardd.cps.family import Family
from cardd.cps.objects import (
    CardCertificate,
    CardCertificates,
    DataObject,
    KeyReference,
    PinRequest,
    PinState,
)
from cardd.iso7816.exchange import Exchange
from cardd.secret import Secret

__all__ = [
    "CardCertificate",
    "CardCertificates",
    "CardMemory",
    "CpsCard",
    "DataObject",
    "KeyReference",
    "PinRequest",
    "PinState",
]


class CpsCard(Protocol):
    """A CPS or CPE in a reader. Used by one thread.

    Common errors: CardStatusError for an error status, CardProtocolError for a malformed answer or
    file, CardError where the card lacks what is asked for, CardBusy where another program has
    disturbed the card after the PIN (ask for it again).
    """

    @property
    def family(self) -> Family:
        """The generation and the face."""

    def number(self) -> Exchange[str]:
        """Return the card's number, "8025000001/2600855206", from EF.SN."""

    def still_is(self, number: str) -> Exchange[bool]:
        """Tell whether this is still the card of a number, before it is given a PIN."""

    def update_stamp(self) -> Exchange[bytes | None]:
        """Return what changes when the card is updated (EF_ACTUA), None where none can be read."""

    def remember(self, memory: CardMemory) -> Exchange[str]:
        """Return the card's number, and know again what `memory` has of that card and stamp.

        What is read afterwards stays with this object, until `keep`.
        """

    def keep(self) -> None:
        """Have the memory keep what was read, for other visits of this card.

        Only after a signature that verified with a certificate believed, and of this card's
        number: number and stamp are what any programmable card can claim.
        """

    def forget(self) -> bool:
        """Drop what the memory had of this card; tell whether it had anything, now to be read."""

    def certificates(self) -> Exchange[CardCertificates]:
        """Return all certificates; each is read once in the life of this object or its memory."""

    def login_certificate(self) -> Exchange[CardCertificate]:
        """Return the certificate of the key of `sign`, and read no other.

        The authentication certificate; contactless the technical one.
        """

    def pin(self) -> Exchange[PinState | None]:
        """Return the PIN's state without using a try; None contactless, where no PIN exists."""

    def verify_pin(self, pin: Secret, *, use_last_try: bool = False) -> Exchange[None]:
        """Verify the PIN, ASCII digits, after reading the tries left.

        Raises Refused (`pin_malformed`) for a PIN of wrong form, which never reaches the card;
        PinLastTry where one try is left and `use_last_try` is not set; PinIncorrect; PinBlocked.
        """

    def pin_request(self, *, use_last_try: bool = False) -> Exchange[PinRequest]:
        """Do all of `verify_pin` but the VERIFY: the reader's keypad sends that next.

        Give its status word to `cardd.cps.pin.judge`. Errors as `verify_pin`.
        """

    def sign(self, digest: bytes) -> Exchange[bytes]:
        """Sign a SHA-256 digest of what cardd itself built: RSASSA-PKCS1-v1_5, 256 bytes.

        With the authentication key after `verify_pin`, in the same transaction; contactless with
        the technical key and without a PIN, which proves one factor at most.
        """

    def change_pin(self, old: Secret, new: Secret, *, use_last_try: bool = False) -> Exchange[None]:
        """Change the PIN. Errors as `verify_pin`; both forms are checked first."""

    def unblock_pin(
        self, puk: Secret, new: Secret, *, use_last_try: bool = False
    ) -> Exchange[None]:
        """Give a new PIN with the unblocking code.

        Errors as `verify_pin`, but of that code: PukIncorrect, PukLastTry, and PukBlocked, after
        which the card is lost.
        """

    def data_objects(self, *, protected: bool = False) -> Exchange[tuple[DataObject, ...]]:
        """Return the data objects that need no PIN; with `protected`, after a PIN, the others."""
