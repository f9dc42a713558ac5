"""What a certificate of a test IGC-Santé says, and of whom (facts: decoded test certificates)."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

ISSUER_NUMBER = "8025000001"


class CardType(IntEnum):
    """The type of a card (extension 1.2.250.1.71.1.2.2, table G02)."""

    CPS = 0
    CPF = 1
    CPE = 2
    CPA = 3


class Category(IntEnum):
    """The category of a product (extension 1.2.250.1.71.1.2.5, table G01)."""

    CARD = 0x00
    MODULE = 0x02
    SOFTWARE = 0x03
    TEST_CARD = 0x80
    TEST_MODULE = 0x82
    TEST_SOFTWARE = 0x83


class Usage(StrEnum):
    """Which of a card's certificates it is."""

    AUTHENTICATION = "authentication"
    SIGNATURE = "signature"
    TECHNICAL = "technical"


class Issuer(StrEnum):
    """Who signs: the intermediate, another key under the same names, or nobody known."""

    PERSONNES = "personnes"
    IMPOSTOR = "impostor"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Structure:
    """Where a CPE's or CPA's holder works: the subject's O, OU and ST."""

    name: str = "HOPITAL DE TEST"
    number: str = "10B0168811"
    department: str = "Paris (75)"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose card it is. `national_id` has its prefix (8 and an RPPS of 11 digits, 0 and an ADELI).

    Cards of employees that name nobody (CPE) have neither `given_name` nor `surname`.
    """

    national_id: str = "899700000012"
    given_name: str | None = "CLAIRE"
    surname: str | None = "TESTEUSE"
    title: str | None = "Médecin"
    profession: int | None = 10
    future_profession: int | None = None
    specialties: tuple[str, ...] = ("SM26",)
    structure: Structure | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A certificate to issue. Dates are aware; None gives 3 years from the PKI's making.

    `key_usage`, `extended_usages` and `policies` replace what the usage gives; names of key usage
    are those of `cryptography.x509.KeyUsage`, the others dotted identifiers. A field of None drops
    its private extension. What the facts do not confirm is in `certificates.py`.
    """

    holder: Holder = field(default_factory=Holder)
    usage: Usage = Usage.AUTHENTICATION
    card_type: CardType | None = CardType.CPS
    card_number: str | None = f"{ISSUER_NUMBER}/2600855206"
    category: Category | None = Category.TEST_CARD
    not_before: datetime | None = None
    not_after: datetime | None = None
    issuer: Issuer = Issuer.PERSONNES
    key_usage: frozenset[str] | None = None
    extended_usages: tuple[str, ...] | None = None
    policies: tuple[str, ...] | None = None
    serial: int | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate (DER) and the RSA key it certifies (PKCS#8 DER, in clear: a simulation)."""

    serial: int
    certificate: bytes
    key: bytes = field(repr=False)
