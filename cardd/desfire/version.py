"""GetVersion: what a PICC says it is."""

from dataclasses import dataclass
from enum import Enum

from cardd.errors import CardProtocolError

VERSION_BYTES = 28


class Product(Enum):
    """The DESFire products, by hardware major version.

    EV1's is seen on cards; the others are common knowledge, in no text this project could open.
    """

    D40 = 0x00
    EV1 = 0x01
    EV2 = 0x12
    EV3 = 0x33


@dataclass(frozen=True, slots=True)
class VersionPart:
    """The hardware or the software part; `storage` and `protocol` are the data sheet's codes."""

    vendor: int
    type: int
    subtype: int
    major: int
    minor: int
    storage: int
    protocol: int


@dataclass(frozen=True, slots=True)
class Version:
    """The answer to GetVersion. `uid` is all zero where the PICC uses random UIDs.

    `production_week` and `production_year` are the card's bytes, in BCD.
    """

    hardware: VersionPart
    software: VersionPart
    uid: bytes
    batch: bytes
    production_week: int
    production_year: int

    @property
    def product(self) -> Product | None:
        """Return the product that the hardware says it is, or None for another."""
        try:
            return Product(self.hardware.major)
        except ValueError:
            return None

    @classmethod
    def parse(cls, answer: bytes) -> "Version":
        """Read 28 bytes: 7 hardware, 7 software, 7 UID, 5 batch, week, year.

        CardProtocolError for another length: the layout with 4- or 10-byte UIDs is unpublished.
        """
        if len(answer) != VERSION_BYTES:
            raise CardProtocolError(
                f"the answer to GET_VERSION has {len(answer)} bytes; expected {VERSION_BYTES}"
            )
        return cls(
            hardware=VersionPart(*answer[:7]),
            software=VersionPart(*answer[7:14]),
            uid=answer[14:21],
            batch=answer[21:26],
            production_week=answer[26],
            production_year=answer[27],
        )
