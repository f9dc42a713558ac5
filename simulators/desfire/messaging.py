"""Secure messaging, card end: what protects a command and its answer under each authentication.

The three mechanisms share one shape: `request_bytes` (how long the parameters are on the wire),
`open` (check and decipher them), `seal` (protect the answer).
"""

import hmac
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from simulators.desfire.crypto import Cipher, cmac, crc32, pad_00, pad_80
from simulators.desfire.status import Refusal, Status

MAC_BYTES = 8
CRC_BYTES = 4
LAST_COUNTER = 0xFFFF


class Mode(IntEnum):
    """A communication mode; the values are those of a file's settings."""

    PLAIN = 0
    MAC = 1
    FULL = 3


@dataclass(frozen=True, slots=True)
class Protection:
    """How one command is protected.

    `header` counts the parameter bytes that are never enciphered, `length` the bytes that follow
    when they are known beforehand. `key_checksum` says that the checksum of a new key comes after
    the command's own (only ChangeKey has it). `carries_data` is true where the request takes data
    to a file, `returns_data` where the answer brings data from one: EV1 puts a MAC on the former,
    and D40 protects nothing else. `unknown_length` says that the reader does not know how long the
    answer is, `marked_end` that an enciphered request is padded with 80 00.. as the card cannot
    know its length. `success` is the status of a good answer.
    """

    request: Mode = Mode.MAC
    response: Mode = Mode.MAC
    header: int = 0
    length: int | None = None
    key_checksum: bool = False
    carries_data: bool = False
    returns_data: bool = False
    unknown_length: bool = False
    marked_end: bool = False
    success: Status = Status.OK

    @property
    def has_request_mac(self) -> bool:
        """Whether EV1 and D40 put a MAC on the request."""
        return self.request is Mode.MAC and self.carries_data


def request_bytes(
    protection: Protection, *, crc_bytes: int, mac_bytes: int, block_bytes: int
) -> int | None:
    """Return the length of header, data and MAC, or of header and cryptogram, in EV1 and D40."""
    if protection.length is None:
        return None
    if protection.request is Mode.FULL:
        plain = protection.length + crc_bytes * (1 + protection.key_checksum)
        return protection.header + len(pad_00(bytes(plain), block_bytes))
    return protection.header + protection.length + (mac_bytes if protection.has_request_mac else 0)


def taken_apart(plain: bytes, protection: Protection, crc_bytes: int) -> tuple[bytes, bytes, bytes]:
    """Return data, their CRC and a new key's checksum, as EV1 and D40 encipher them.

    Raises Refusal where the padding is wrong.
    """
    if protection.marked_end:
        plain = without_padding(plain)
    length = len(plain) - crc_bytes if protection.marked_end else protection.length or 0
    data, rest = plain[:length], plain[length:]
    end = crc_bytes * (1 + protection.key_checksum)
    if any(rest[end:]):
        raise Refusal(Status.INTEGRITY)
    return data, rest[:crc_bytes], rest[crc_bytes:end]


def padded(plain: bytes, protection: Protection, block_bytes: int) -> bytes:
    """Pad what EV1 and D40 encipher of an answer."""
    # mem: 80-padding where the reader asked "to the end" and cannot know the length.
    pad = pad_80 if protection.unknown_length else pad_00
    return pad(plain, block_bytes)


def require_blocks(cryptogram: bytes, block_bytes: int) -> None:
    """Refuse a cryptogram that is not of whole blocks, at least one."""
    if not cryptogram or len(cryptogram) % block_bytes:
        raise Refusal(Status.LENGTH)


def without_padding(plain: bytes) -> bytes:
    """Return what stands before a padding of 80 00..; raise Refusal where there is none."""
    data = plain.rstrip(b"\0")
    if not data.endswith(b"\x80"):
        raise Refusal(Status.INTEGRITY)
    return data[:-1]


class Messaging(Protocol):
    """Protects the commands of one state of authentication."""

    @property
    def key_number(self) -> int | None:
        """The key that the session was opened with, None without a session."""

    @property
    def survives_errors(self) -> bool:
        """Whether the session goes on after an error that is not about its cryptography."""

    def request_bytes(self, protection: Protection) -> int | None:
        """Return the length of the protected parameters; None where only the command knows it."""

    def checksum(self, key: bytes) -> bytes:
        """Return the checksum that ChangeKey carries of a new key."""

    def open(self, ins: int, parameters: bytes, protection: Protection) -> bytes:
        """Return the bare parameters; raise Refusal when they are not authentic."""

    def seal(self, answer: bytes, protection: Protection) -> bytes:
        """Return a good answer as it goes to the reader."""


class Unprotected:
    """No session: everything in clear."""

    key_number: int | None = None
    survives_errors = True

    def checksum(self, key: bytes) -> bytes:
        """Return the CRC32, though no key changes without a session."""
        return crc32(key)

    def request_bytes(self, protection: Protection) -> int | None:
        """Return header and data."""
        return None if protection.length is None else protection.header + protection.length

    def open(self, ins: int, parameters: bytes, protection: Protection) -> bytes:  # noqa: ARG002
        """Return the parameters as they came."""
        return parameters

    def seal(self, answer: bytes, protection: Protection) -> bytes:  # noqa: ARG002
        """Return the answer as it is."""
        return answer


class Ev1Session:
    """EV1 messaging: one IV runs through every CMAC and every cryptogram of the session."""

    survives_errors = False

    def __init__(self, key_number: int, cipher: Cipher) -> None:
        self.key_number: int | None = key_number
        self._cipher = cipher
        self._iv = cipher.zero_iv

    def checksum(self, key: bytes) -> bytes:
        """Return the CRC32."""
        return crc32(key)

    def request_bytes(self, protection: Protection) -> int | None:
        """Return header, data and MAC, or header and cryptogram."""
        return request_bytes(
            protection,
            crc_bytes=CRC_BYTES,
            mac_bytes=MAC_BYTES,
            block_bytes=self._cipher.block_bytes,
        )

    def open(self, ins: int, parameters: bytes, protection: Protection) -> bytes:
        """Check the MAC or the CRC, and move the IV on."""
        if protection.request is Mode.FULL:
            return self._decipher(ins, parameters, protection)
        body, mac = parameters, None
        if protection.has_request_mac:
            body, mac = parameters[:-MAC_BYTES], parameters[-MAC_BYTES:]
        expected = self._mac(bytes((ins,)) + body)
        if mac is not None and not hmac.compare_digest(mac, expected):
            raise Refusal(Status.INTEGRITY)
        return body

    def _decipher(self, ins: int, parameters: bytes, protection: Protection) -> bytes:
        header, cryptogram = parameters[: protection.header], parameters[protection.header :]
        require_blocks(cryptogram, self._cipher.block_bytes)
        plain = self._cipher.decrypt(cryptogram, self._iv)
        self._iv = cryptogram[-self._cipher.block_bytes :]
        data, crc, key_checksum = taken_apart(plain, protection, CRC_BYTES)
        if crc != crc32(bytes((ins,)) + header + data):
            raise Refusal(Status.INTEGRITY)
        return header + data + key_checksum

    def seal(self, answer: bytes, protection: Protection) -> bytes:
        """Append the CMAC, or encipher the answer with its CRC."""
        status = bytes((protection.success,))
        if protection.response is not Mode.FULL or not answer:
            return answer + self._mac(answer + status)
        plain = answer + crc32(answer + status)
        plain = padded(plain, protection, self._cipher.block_bytes)
        cryptogram = self._cipher.encrypt(plain, self._iv)
        self._iv = cryptogram[-self._cipher.block_bytes :]
        return cryptogram

    def _mac(self, message: bytes) -> bytes:
        self._iv = cmac(self._cipher, message, self._iv)
        return self._iv[:MAC_BYTES]


class Ev2Session:
    """EV2 messaging: a transaction identifier, a command counter, and two keys."""

    survives_errors = False

    def __init__(
        self, key_number: int, ciphers: tuple[Cipher, Cipher], ti: bytes, counter: int = 0
    ) -> None:
        self.key_number: int | None = key_number
        self._encipher, self._authenticate = ciphers
        self.ti = ti
        self.counter = counter

    def checksum(self, key: bytes) -> bytes:
        """Return the CRC32."""
        return crc32(key)

    def request_bytes(self, protection: Protection) -> int | None:
        """Return header, data or cryptogram, and MAC."""
        if protection.length is None:
            return None
        length = protection.length + CRC_BYTES * protection.key_checksum
        if protection.request is Mode.PLAIN:
            return protection.header + length
        if protection.request is Mode.FULL:
            length = len(pad_80(bytes(length), self._encipher.block_bytes))
        return protection.header + length + MAC_BYTES

    def open(self, ins: int, parameters: bytes, protection: Protection) -> bytes:
        """Check the MAC and decipher; the counter moves on with the answer."""
        if self.counter >= LAST_COUNTER:
            raise Refusal(Status.AUTHENTICATION)
        if protection.request is Mode.PLAIN:
            return parameters
        if len(parameters) < MAC_BYTES:
            raise Refusal(Status.LENGTH)
        body, mac = parameters[:-MAC_BYTES], parameters[-MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(ins, body)):
            raise Refusal(Status.INTEGRITY)
        header, cryptogram = body[: protection.header], body[protection.header :]
        if protection.request is not Mode.FULL or not cryptogram:
            return body
        require_blocks(cryptogram, self._encipher.block_bytes)
        plain = self._encipher.decrypt(cryptogram, self._iv(b"\xa5\x5a"))
        if protection.marked_end:
            return header + without_padding(plain)
        data = plain[: (protection.length or 0) + CRC_BYTES * protection.key_checksum]
        if plain != pad_80(data, self._encipher.block_bytes):
            raise Refusal(Status.INTEGRITY)
        return header + data

    def seal(self, answer: bytes, protection: Protection) -> bytes:
        """Move the counter on, encipher and append the MAC as the mode says."""
        self.counter += 1
        if protection.response is Mode.PLAIN:
            return answer
        if protection.response is Mode.FULL and answer:
            plain = pad_80(answer, self._encipher.block_bytes)
            answer = self._encipher.encrypt(plain, self._iv(b"\x5a\xa5"))
        return answer + self._mac(protection.success, answer)

    def _iv(self, label: bytes) -> bytes:
        seed = label + self.ti + self.counter.to_bytes(2, "little") + bytes(8)
        return self._encipher.encrypt(seed, self._encipher.zero_iv)

    def _mac(self, first: int, body: bytes) -> bytes:
        counter = self.counter.to_bytes(2, "little")
        return cmac(self._authenticate, bytes((first,)) + counter + self.ti + body)[1::2]
