"""What a CPS4 keeps without power: files, codes with their counters, and keys.

Every value is frozen: a command that changes the chip puts a new one in place in one assignment, so
that an interrupted command has changed nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum

from Crypto.PublicKey.RSA import RsaKey

PIN_REFERENCE = 0x01
PUK_REFERENCE = 0x02
PIN_TRIES = 3
PUK_TRIES = 10
PIN_MIN_DIGITS, PIN_MAX_DIGITS = 4, 8

SIGNATURE_KEY = 0x10
AUTHENTICATION_KEY = 0x20
MODULUS_BYTES = 256

MF = b""
APPLICATION_DF = b"\x00\x01"
APPLICATION_AID = bytes.fromhex("E828BD080F8025000001FF0010")


class Product(StrEnum):
    """The three answers to reset of CPS4 cards in the field (facts: Cryptolib's list)."""

    T1 = "t1"
    RC = "rc"
    T0 = "t0"

    @property
    def atr(self) -> bytes:
        """The answer to reset."""
        return bytes.fromhex(_ATRS[self])

    @property
    def offers_t1(self) -> bool:
        """Whether the card offers T=1, where an answer comes with its command."""
        return self is not Product.T0


_ATRS = {
    Product.T1: "3B9B188001001225006480040100009044",
    Product.RC: "3B9B188001001225006480000401009044",
    Product.T0: "3BDC18FF00001225006480000401009000",
}


class Access(Enum):
    """When a file may be read or written."""

    FREE = "free"
    PIN = "pin"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class ElementaryFile:
    """A transparent EF."""

    content: bytes
    read: Access = Access.FREE
    update: Access = Access.NEVER


@dataclass(frozen=True, slots=True)
class Code:
    """A secret code and how often it may still be given wrong. Its repr shows no digit."""

    digits: bytes = field(repr=False)
    tries_left: int
    tries: int

    def spent(self) -> "Code":
        """Return it with one try less."""
        return replace(self, tries_left=self.tries_left - 1)

    def restored(self) -> "Code":
        """Return it with every try."""
        return replace(self, tries_left=self.tries)


@dataclass(frozen=True, slots=True)
class Chip:
    """The whole chip. The path of a file is from the MF, without 3F00: `D003`, `00015031`."""

    product: Product
    files: Mapping[bytes, ElementaryFile]
    codes: Mapping[int, Code]
    keys: Mapping[int, RsaKey] = field(repr=False)

    @property
    def directories(self) -> Mapping[bytes, bytes]:
        """The DF names by the paths of the DFs; the MF has none."""
        return {MF: b"", APPLICATION_DF: APPLICATION_AID}

    def with_code(self, reference: int, code: Code) -> "Chip":
        """Return the chip with a code in place of its former state."""
        return replace(self, codes={**self.codes, reference: code})

    def with_content(self, path: bytes, content: bytes) -> "Chip":
        """Return the chip with a new content of a file."""
        file = replace(self.files[path], content=content)
        return replace(self, files={**self.files, path: file})
