"""The ciphers of a DESFire chip: CBC, CMAC with a running IV, the two CRCs, padding."""

import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from Crypto.Cipher import AES, DES, DES3


class KeyType(IntEnum):
    """The kind of a key; the values are those of CreateApplication and ChangeKey."""

    DES = 0x00
    TRIPLE_DES = 0x40
    AES = 0x80

    @property
    def key_bytes(self) -> int:
        """Length of a key: DES and 2K3DES share one 16-byte field."""
        return 24 if self is KeyType.TRIPLE_DES else 16

    @property
    def block_bytes(self) -> int:
        """Length of a cipher block."""
        return 16 if self is KeyType.AES else 8

    @property
    def nonce_bytes(self) -> int:
        """Length of RndA and RndB in an authentication."""
        return 8 if self is KeyType.DES else 16


class _Cbc(Protocol):
    def encrypt(self, plaintext: bytes) -> bytes: ...
    def decrypt(self, ciphertext: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True, repr=False)
class Cipher:
    """A block cipher with its key, used in CBC mode."""

    type: KeyType
    key: bytes

    @property
    def block_bytes(self) -> int:
        """Length of a block."""
        return self.type.block_bytes

    @property
    def zero_iv(self) -> bytes:
        """An IV of zeros."""
        return bytes(self.block_bytes)

    def encrypt(self, data: bytes, iv: bytes) -> bytes:
        """Encrypt whole blocks in CBC mode."""
        return self._cbc(iv).encrypt(data)

    def decrypt(self, data: bytes, iv: bytes) -> bytes:
        """Decrypt whole blocks in CBC mode."""
        return self._cbc(iv).decrypt(data)

    def _cbc(self, iv: bytes) -> _Cbc:
        if self.type is KeyType.AES:
            return AES.new(self.key, AES.MODE_CBC, iv)
        first, second, third = _des_parts(self.key)
        # Two equal neighbours cancel out; the library refuses such keys, a factory chip has one.
        if without_parity(first) == without_parity(second):
            return DES.new(third, DES.MODE_CBC, iv)
        if without_parity(second) == without_parity(third):
            return DES.new(first, DES.MODE_CBC, iv)
        return DES3.new(self.key, DES3.MODE_CBC, iv)


def _des_parts(key: bytes) -> tuple[bytes, bytes, bytes]:
    return key[:8], key[8:16], key[16:24] or key[:8]


def without_parity(key: bytes) -> bytes:
    """Clear the lowest bit of each byte, which DES does not use."""
    return bytes(byte & 0xFE for byte in key)


def cmac(cipher: Cipher, message: bytes, iv: bytes | None = None) -> bytes:
    """Return the whole CMAC block (NIST SP 800-38B), over a chain that starts at `iv`."""
    block = cipher.block_bytes
    subkey = _double(cipher.encrypt(bytes(block), cipher.zero_iv))
    if not message or len(message) % block:
        subkey = _double(subkey)
        message = pad_80(message, block)
    last = bytes(a ^ b for a, b in zip(message[-block:], subkey, strict=True))
    return cipher.encrypt(message[:-block] + last, iv or cipher.zero_iv)[-block:]


def _double(block: bytes) -> bytes:
    bits = len(block) * 8
    value = int.from_bytes(block) << 1
    if value >> bits:
        value ^= (1 << bits) | (0x87 if len(block) == 16 else 0x1B)
    return value.to_bytes(len(block))


def crc32(data: bytes) -> bytes:
    """Return the DESFire CRC32: the usual one without its final inversion, little-endian."""
    return (zlib.crc32(data) ^ 0xFFFFFFFF).to_bytes(4, "little")


def crc16(data: bytes) -> bytes:
    """Return CRC_A of ISO 14443-3, least significant byte first."""
    value = 0x6363
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x8408 if value & 1 else 0)
    return value.to_bytes(2, "little")


def pad_00(data: bytes, block: int) -> bytes:
    """Pad with zeros to whole blocks (none when aligned)."""
    return data + bytes(-len(data) % block)


def pad_80(data: bytes, block: int) -> bytes:
    """Pad with 80 00.. to whole blocks (a whole one when aligned)."""
    return pad_00(data + b"\x80", block)


def rotate_left(data: bytes) -> bytes:
    """Move the first byte to the end."""
    return data[1:] + data[:1]


def xor(left: bytes, right: bytes) -> bytes:
    """Combine two strings of the same length."""
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
