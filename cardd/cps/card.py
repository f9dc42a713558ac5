"""What a CPS is to the rest of cardd: one interface over every family.

A method is one exchange (`cardd.iso7816.exchange`) that assumes nothing of what is selected on the
card: another program may have used it since. Run what belongs together in one PC/SC transaction,
and end the one in which a PIN was verified with a reset of the card.
"""

from dataclasses import dataclass
from typing import Protocol

from cardd.cps.family import Family
from cardd.iso7816.exchange import Exchange
from cardd.secret import Secret


@dataclass(frozen=True, slots=True)
class KeyReference:
    """A private key on the card, as its PrKDF describes it.

    `reference` is the card's own number of it, one byte. `path` is the DF to select before use,
    empty where the PrKDF names none. `identifier` is what a certificate is matched by.
    """

    reference: int
    identifier: bytes
    label: str
    path: bytes = b""


@dataclass(frozen=True, slots=True)
class CardCertificate:
    """A certificate read from the card (DER, nothing checked) and the key that it belongs to."""

    der: bytes
    label: str
    key: KeyReference


@dataclass(frozen=True, slots=True)
class CardCertificates:
    """The certificates whose private keys the card holds; `technical` is the contactless one's."""

    authentication: CardCertificate | None = None
    signature: CardCertificate | None = None
    technical: CardCertificate | None = None


@dataclass(frozen=True, slots=True)
class PinFormat:
    """What the card takes as a PIN: decimal digits, this many."""

    min_length: int
    max_length: int


@dataclass(frozen=True, slots=True)
class PinState:
    """A PIN now. `tries_left` is None where the card says that it is verified already.

    A verified PIN has all its tries. That another program verified it never counts as a PIN given.
    """

    tries_left: int | None
    blocked: bool
    min_length: int
    max_length: int


@dataclass(frozen=True, slots=True)
class DataObject:
    """A PKCS#15 data object that needs no PIN: its label, and its content as on the card."""

    label: str
    content: bytes


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

    def update_stamp(self) -> Exchange[bytes | None]:
        """Return what changes when the card is updated (EF_ACTUA), None where it has none."""

    def certificates(self) -> Exchange[CardCertificates]:
        """Return the certificates; read once in the life of this object."""

    def pin(self) -> Exchange[PinState | None]:
        """Return the PIN's state without using a try; None contactless, where no PIN exists."""

    def verify_pin(self, pin: Secret, *, use_last_try: bool = False) -> Exchange[None]:
        """Verify the PIN, ASCII digits, after reading the tries left.

        Raises Refused (`invalid_request`) for a PIN of wrong form, which never reaches the card;
        PinLastTry where one try is left and `use_last_try` is not set; PinIncorrect; PinBlocked.
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
        """Give a new PIN with the unblocking code. Errors as `verify_pin`, of that code's tries.

        A card whose unblocking code is blocked is lost.
        """

    def data_objects(self) -> Exchange[tuple[DataObject, ...]]:
        """Return the data objects that can be read without a PIN."""
