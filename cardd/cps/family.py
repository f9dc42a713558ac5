"""Which CPS an ATR may belong to. An ATR narrows the choice; a selection decides it.

Sources: OpenSC's table (contact CPS3), the Cryptolib CPS's table (all others). The Cryptolib
compares whole ATRs and ignores its own masks; the masks below are those that it installs on Windows
for the CPS3, and every bit for the CPS4.
"""

from dataclasses import dataclass
from enum import StrEnum


class Family(StrEnum):
    """A generation of cards and the face that it shows; they differ in commands and in files."""

    CPS3_CONTACT = "cps3"
    CPS3_CONTACTLESS = "cps3-contactless"
    CPS4 = "cps4"

    @property
    def has_pin(self) -> bool:
        """Tell whether the face asks for a PIN; the contactless one has none."""
        return self is not Family.CPS3_CONTACTLESS


@dataclass(frozen=True, slots=True)
class AtrPattern:
    """An answer to reset under a mask; both have its length."""

    atr: bytes
    mask: bytes
    family: Family

    def matches(self, atr: bytes) -> bool:
        """Tell whether an ATR of the same length agrees in every bit of the mask."""
        mask = int.from_bytes(self.mask)
        return len(atr) == len(self.atr) and not mask & (
            int.from_bytes(atr) ^ int.from_bytes(self.atr)
        )


def _exact(atr: str) -> AtrPattern:
    value = bytes.fromhex(atr)
    return AtrPattern(value, b"\xff" * len(value), Family.CPS4)


PATTERNS = (
    # First, because the mask of the contact CPS3 lets the third of these through.
    _exact("3B9B188001001225006480040100009044"),
    _exact("3B9B188001001225006480000401009044"),
    _exact("3BDC18FF00001225006480000401009000"),
    AtrPattern(
        bytes.fromhex("3BAC00402A001225006480000310009000"),
        bytes.fromhex("FF00000000FFFFFFFFFFFF000000FFFFFF"),
        Family.CPS3_CONTACT,
    ),
    AtrPattern(
        bytes.fromhex("3B8F80010031B86404B0ECC1739401808290000E"),
        # The last byte is the checksum of the ones before it, so it goes where they go.
        bytes.fromhex("FFFFFFFFFFFFFFFF0000FFC0FFFFFFFFFFFFFF00"),
        Family.CPS3_CONTACTLESS,
    ),
)


def family_of(atr: bytes) -> Family | None:
    """Return the family that an ATR may belong to, None where it is no CPS's."""
    return next((pattern.family for pattern in PATTERNS if pattern.matches(atr)), None)
