"""GetVersion: what a PICC says it is."""

from dataclasses import dataclass
from enum import Enum

from cardd.errors import CardProtocolError

VERSION_BYTES = range(27, 34)
"""How long the answer to GetVersion is: 27, 28 or 33 bytes, by the length of the UID."""

UID_FIELD_BYTES = range(6, 13)
"""How long the answer to GetCardUID is: 6, 7 or 12 bytes."""

_UID_BYTES = 7
_OTHER_UID_BYTES = (4, 10)
_PARTS_BYTES = 14
_AFTER_UID_BYTES = 7

_ISO_FRAME_OVERHEAD_BYTES = 10


class Product(Enum):
    """The DESFire products, by hardware major version.

    All are seen on cards: D40 and EV1 in public TagInfo scans, EV2 and EV3 in reports to proxmark3
    (04010112001805, 04010133001805). Implementations on other chips say something else.
    """

    D40 = 0x00
    EV1 = 0x01
    EV2 = 0x12
    EV3 = 0x33

    @property
    def frame_bytes(self) -> int:
        """Return how much of a command one frame carries.

        A block of ISO 14443-4 has 64 bytes up to EV1, 128 in EV2 and 256 in EV3 (proxmark3, which
        cites AN12696 and AN12753; not confirmed on a card), of which 10 are not the command's: PCB,
        CID and CRC, and CLA, INS, P1, P2, Lc and Le of the wrapping.
        """
        return _ISO_FRAME_BYTES[self] - _ISO_FRAME_OVERHEAD_BYTES


_ISO_FRAME_BYTES = {Product.D40: 64, Product.EV1: 64, Product.EV2: 128, Product.EV3: 256}


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
    """The answer to GetVersion. `uid` has 4, 7 or 10 bytes, all zero for a random UID.

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

    @property
    def frame_bytes(self) -> int:
        """Return how much of a command one frame carries; of an unknown product, the least."""
        return (self.product or Product.D40).frame_bytes

    @classmethod
    def parse(cls, answer: bytes) -> "Version":
        """Read 7 bytes of hardware, 7 of software, the UID, 5 of batch, week and year.

        CardProtocolError for another length. Seen on cards with a 7-byte UID alone; see
        `parse_uid`.
        """
        if len(answer) not in VERSION_BYTES:
            raise CardProtocolError(f"the answer to GET_VERSION has {len(answer)} bytes")
        uid, rest = answer[_PARTS_BYTES:-_AFTER_UID_BYTES], answer[-_AFTER_UID_BYTES:]
        return cls(
            hardware=VersionPart(*answer[:7]),
            software=VersionPart(*answer[7:14]),
            uid=parse_uid(uid),
            batch=rest[:5],
            production_week=rest[5],
            production_year=rest[6],
        )


def parse_uid(field: bytes) -> bytes:
    """Return the UID of GetVersion's or GetCardUID's answer: 4, 7 or 10 bytes.

    7 bytes stand alone; 4 and 10 follow a format byte, not read here, and their number (not
    published by data sheets; not confirmed on a card). CardProtocolError for all else.
    """
    if len(field) == _UID_BYTES:
        return field
    uid = field[2:]
    if len(uid) not in _OTHER_UID_BYTES or field[1] != len(uid):
        raise CardProtocolError(f"the card gives a UID in {len(field)} bytes that are none")
    return uid
