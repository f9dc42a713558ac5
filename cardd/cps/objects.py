"""What is on a CPS, as values: certificates with their keys, the PIN, data objects."""

from dataclasses import dataclass


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
class PinRequest:
    """A VERIFY without its PIN, for a reader with a keypad of its own: PC/SC part 10.

    `header` is CLA INS P1 P2; the PIN goes as ASCII digits, filled with `pad` to `stored_length`
    bytes where that is not None.
    """

    header: bytes
    min_length: int
    max_length: int
    stored_length: int | None
    pad: int


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
    """A PKCS#15 data object: its label, and its content as on the card."""

    label: str
    content: bytes
