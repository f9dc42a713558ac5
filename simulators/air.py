"""What an exchange costs on the air (facts: 9 bits a byte, block framing and CRC each way)."""

from dataclasses import dataclass
from enum import IntEnum

CARRIER_HZ = 13_560_000
BITS_PER_BYTE = 9
OVERHEAD_BYTES = 4
BLOCK_FRAMING_BYTES = 3
# A DESFire's ATS says FSCI 5; readers that do PC/SC usually take 256 bytes (assumption).
CARD_FRAME_BYTES = 64
READER_FRAME_BYTES = 256
CLA_READER = 0xFF


class BitRate(IntEnum):
    """A bit rate of ISO 14443-4, by its usual name in kbit/s."""

    RATE_106 = 106
    RATE_212 = 212
    RATE_424 = 424
    RATE_848 = 848

    @property
    def bits_per_second(self) -> float:
        """The rate itself: the carrier divided by 128, 64, 32 or 16."""
        return CARRIER_HZ / 128 * (self // 106)


@dataclass(frozen=True, slots=True)
class AirInterface:
    """An ISO 14443-4 link at one bit rate both ways. The card's own computing time is not in it.

    What does not fit a frame is chained: each further block costs its own framing and the other
    side's acknowledgement (ISO 14443-4, 7.5.2).
    """

    rate: BitRate

    def seconds(self, command: bytes, answer: bytes) -> float:
        """Return the time on the air; none for what the reader answers itself (`FF ..`)."""
        if command[:1] == bytes((CLA_READER,)):
            return 0.0
        blocks = _blocks(command, CARD_FRAME_BYTES) + _blocks(answer, READER_FRAME_BYTES)
        acknowledgements = blocks - 2
        size = len(command) + len(answer) + (blocks + acknowledgements) * OVERHEAD_BYTES
        return size * BITS_PER_BYTE / self.rate.bits_per_second


def _blocks(message: bytes, frame_bytes: int) -> int:
    return max(1, -(-len(message) // (frame_bytes - BLOCK_FRAMING_BYTES)))
