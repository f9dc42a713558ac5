"""The checks of enciphered data: CRC16 in the first DESFire, CRC32 in EV1 and later."""

import zlib

_CRC16_POLYNOMIAL = 0x8408
_CRC16_START = 0x6363


def crc16(message: bytes) -> bytes:
    """Return 2 bytes: CRC_A of ISO/IEC 14443-3, 6.2.4, low byte first."""
    register = _CRC16_START
    for byte in message:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (_CRC16_POLYNOMIAL if register & 1 else 0)
    return register.to_bytes(2, "little")


def crc32(message: bytes) -> bytes:
    """Return 4 bytes: CRC-32 of IEEE 802.3 without its final inversion, low byte first."""
    return (zlib.crc32(message) ^ 0xFFFFFFFF).to_bytes(4, "little")
