"""The CRC32 of DESFire EV1 and later."""

import zlib


def crc32(message: bytes) -> bytes:
    """Return 4 bytes: CRC-32 of IEEE 802.3 without its final inversion, low byte first."""
    return (zlib.crc32(message) ^ 0xFFFFFFFF).to_bytes(4, "little")
