"""What one generation of the chip has and another has not."""

from enum import StrEnum

NXP = 0x04
NATIVE_IC, SUBTYPE = 0x01, 0x01
PROTOCOL = 0x05
FRAMING_BYTES = 9
SHORT_FRAME_BYTES, SHORT_FRAME_CARRIES = 64, 59

# Capacity in KiB to the byte of GetVersion: 2**(n/2) bytes, bit 0 set where the size lies between.
STORAGE_BYTES = {2: 0x16, 4: 0x18, 8: 0x1A, 16: 0x1C, 32: 0x1E}


class Product(StrEnum):
    """The generation of the chip."""

    EV1 = "ev1"
    EV2 = "ev2"
    EV3 = "ev3"

    @property
    def evolved(self) -> bool:
        """Whether it has what came with EV2."""
        return self is not Product.EV1

    @property
    def storages_kib(self) -> tuple[int, ...]:
        """The capacities it is sold with (EV2 beyond 8 KiB: the XL of proxmark3's list)."""
        sizes = {Product.EV1: 8, Product.EV2: 32, Product.EV3: 16}
        return tuple(size for size in STORAGE_BYTES if size <= sizes[self])

    @property
    def uid_lengths(self) -> tuple[int, ...]:
        """The lengths of UID it is made with."""
        return (4, 7, 10) if self.evolved else (7,)

    @property
    def frame_bytes(self) -> int:
        """The longest frame: 64 bytes, 128 since EV2, 256 since EV3 (AN12696, AN12753)."""
        return {Product.EV1: 64, Product.EV2: 128, Product.EV3: 256}[self]

    @property
    def max_applications(self) -> int | None:
        """How many applications it holds; since EV2 only the memory limits them."""
        return None if self.evolved else 28

    def versions(self, storage_kib: int) -> bytes:
        """Return the hardware and the software part of GetVersion (proxmark3's card types)."""
        hardware, software = {
            Product.EV1: ((0x01, 0x00), (0x01, 0x04)),
            Product.EV2: ((0x22 if storage_kib > 8 else 0x12, 0x00), (0x02, 0x01)),
            Product.EV3: ((0x33, 0x00), (0x03, 0x00)),
        }[self]
        tail = (STORAGE_BYTES[storage_kib], PROTOCOL)
        kind = (NXP, NATIVE_IC, SUBTYPE)
        return bytes((*kind, *hardware, *tail, *kind, *software, *tail))


def carried_bytes(frame_bytes: int) -> int:
    """Return how much of a command's data or answer goes in one frame.

    One of 64 bytes holds 59 (ELM's traces). That longer ones hold all but the framing of block and
    APDU is not confirmed on a card.
    """
    if frame_bytes <= SHORT_FRAME_BYTES:
        return SHORT_FRAME_CARRIES
    return frame_bytes - FRAMING_BYTES
