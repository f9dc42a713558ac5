"""D40 messaging, card end: what AuthenticateLegacy (0A) opens.

The card only ever encrypts, in both directions: what the reader sends, the reader has deciphered
(AN12757 tables 30 to 34). Only the data of files, keys and settings is protected, each time from an
IV of zeros; everything else goes in clear.
"""

import hmac

from simulators.desfire.crypto import Cipher, crc16, pad_00, xor
from simulators.desfire.messaging import (
    Mode,
    Protection,
    padded,
    request_bytes,
    require_blocks,
    taken_apart,
)
from simulators.desfire.status import Refusal, Status

LEGACY_MAC_BYTES = 4
CRC_BYTES = 2


def from_reader(cipher: Cipher, cryptogram: bytes) -> bytes:
    """Return the plain text of what a reader deciphered in its CBC "send" mode, IV zeros."""
    block = cipher.block_bytes
    plain, before = b"", cipher.zero_iv
    for start in range(0, len(cryptogram), block):
        part = cryptogram[start : start + block]
        plain += xor(cipher.encrypt(part, cipher.zero_iv), before)
        before = part
    return plain


class D40Session:
    """D40 messaging: a 4-byte MAC over the data alone, or the data enciphered with its CRC16.

    An error leaves the session as it is (libfreefare's tests go on after a permission error),
    unless it is about a MAC or a cryptogram (not confirmed on a card).
    """

    survives_errors = True

    def __init__(self, key_number: int, cipher: Cipher) -> None:
        self.key_number: int | None = key_number
        self._cipher = cipher

    def checksum(self, key: bytes) -> bytes:
        """Return the CRC16."""
        return crc16(key)

    def request_bytes(self, protection: Protection) -> int | None:
        """Return header, data and MAC, or header and cryptogram."""
        return request_bytes(
            protection,
            crc_bytes=CRC_BYTES,
            mac_bytes=LEGACY_MAC_BYTES,
            block_bytes=self._cipher.block_bytes,
        )

    def open(self, ins: int, parameters: bytes, protection: Protection) -> bytes:  # noqa: ARG002
        """Check the MAC or the CRC, which cover the data alone."""
        if protection.request is Mode.FULL:
            return self._decipher(parameters, protection)
        if not protection.has_request_mac:
            return parameters
        body, mac = parameters[:-LEGACY_MAC_BYTES], parameters[-LEGACY_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body[protection.header :])):
            raise Refusal(Status.INTEGRITY)
        return body

    def _decipher(self, parameters: bytes, protection: Protection) -> bytes:
        header, cryptogram = parameters[: protection.header], parameters[protection.header :]
        require_blocks(cryptogram, self._cipher.block_bytes)
        plain = from_reader(self._cipher, cryptogram)
        data, crc, key_checksum = taken_apart(plain, protection, CRC_BYTES)
        if crc != crc16(data):
            raise Refusal(Status.INTEGRITY)
        return header + data + key_checksum

    def seal(self, answer: bytes, protection: Protection) -> bytes:
        """Append the MAC to a file's data, or encipher the answer with its CRC."""
        if not answer:
            return answer
        if protection.response is Mode.FULL:
            plain = padded(answer + crc16(answer), protection, self._cipher.block_bytes)
            return self._cipher.encrypt(plain, self._cipher.zero_iv)
        if protection.response is Mode.MAC and protection.returns_data:
            return answer + self._mac(answer)
        return answer

    def _mac(self, data: bytes) -> bytes:
        blocks = pad_00(data, self._cipher.block_bytes)
        last = self._cipher.encrypt(blocks, self._cipher.zero_iv)[-self._cipher.block_bytes :]
        return last[:LEGACY_MAC_BYTES]
