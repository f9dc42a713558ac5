"""D40 messaging, card end: what AuthenticateLegacy (0A) opens.

The card only ever encrypts, in both directions: what the reader sends, the reader has deciphered
(AN12757 tables 30 to 34). Only the data of files, keys and settings is protected, each time from an
IV of zeros; everything else goes in clear.
"""

import hmac

from simulators.desfire.crypto import Cipher, crc16, pad_00, pad_80, xor
from simulators.desfire.messaging import Mode, Protection, require_blocks, without_padding
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
        if protection.length is None:
            return None
        length = protection.length
        if protection.request is Mode.FULL:
            plain = length + CRC_BYTES * (1 + protection.key_checksum)
            return protection.header + len(pad_00(bytes(plain), self._cipher.block_bytes))
        return protection.header + length + (LEGACY_MAC_BYTES if _has_mac(protection) else 0)

    def open(self, ins: int, parameters: bytes, protection: Protection) -> bytes:  # noqa: ARG002
        """Check the MAC or the CRC, which cover the data alone."""
        if protection.request is Mode.FULL:
            return self._decipher(parameters, protection)
        if not _has_mac(protection):
            return parameters
        body, mac = parameters[:-LEGACY_MAC_BYTES], parameters[-LEGACY_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body[protection.header :])):
            raise Refusal(Status.INTEGRITY)
        return body

    def _decipher(self, parameters: bytes, protection: Protection) -> bytes:
        header, cryptogram = parameters[: protection.header], parameters[protection.header :]
        require_blocks(cryptogram, self._cipher.block_bytes)
        plain = from_reader(self._cipher, cryptogram)
        if protection.marked_end:
            plain = without_padding(plain)
        length = len(plain) - CRC_BYTES if protection.marked_end else protection.length or 0
        data, rest = plain[:length], plain[length:]
        end = CRC_BYTES * (1 + protection.key_checksum)
        crc, key_checksum, padding = rest[:CRC_BYTES], rest[CRC_BYTES:end], rest[end:]
        if crc != crc16(data) or any(padding):
            raise Refusal(Status.INTEGRITY)
        return header + data + key_checksum

    def seal(self, answer: bytes, protection: Protection) -> bytes:
        """Append the MAC to a file's data, or encipher the answer with its CRC."""
        if not answer:
            return answer
        if protection.response is Mode.FULL:
            # mem: 80-padding where the reader asked "to the end" and cannot know the length.
            pad = pad_80 if protection.unknown_length else pad_00
            plain = pad(answer + crc16(answer), self._cipher.block_bytes)
            return self._cipher.encrypt(plain, self._cipher.zero_iv)
        if protection.response is Mode.MAC and protection.returns_data:
            return answer + self._mac(answer)
        return answer

    def _mac(self, data: bytes) -> bytes:
        padded = pad_00(data, self._cipher.block_bytes)
        last = self._cipher.encrypt(padded, self._cipher.zero_iv)[-self._cipher.block_bytes :]
        return last[:LEGACY_MAC_BYTES]


def _has_mac(protection: Protection) -> bool:
    return protection.request is Mode.MAC and protection.carries_data
