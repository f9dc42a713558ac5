"""The Leakage Resilient Primitive (AN12304): AES whose keys are each used for a few blocks only.

A key gives 16 secret plaintexts and any number of updated keys. Evaluating an input walks over its
nibbles: each picks the plaintext that turns the key before it into the next one.
"""

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from cardd.desfire.cipher import pad_80, xor
from cardd.secret import Secret

_BLOCK_BYTES = 16
_LEFT, _RIGHT = b"\x55" * _BLOCK_BYTES, b"\xaa" * _BLOCK_BYTES
_ZERO = bytes(_BLOCK_BYTES)
_PLAINTEXTS = 16
_COUNTER_BYTES = 4
_RB = 0x87
_CARRY = 1 << 128


class Lrp:
    """The primitive under one key and one of its updated keys, counted from 0."""

    __slots__ = ("_plaintexts", "_updated_key")

    def __init__(self, key: Secret, updated_key: int = 0) -> None:
        if len(key) != _BLOCK_BYTES:
            raise ValueError("LRP takes a key of 16 bytes")
        self._plaintexts = _plaintexts(key.reveal())
        self._updated_key = _updated_key(key.reveal(), updated_key)

    def evaluate(self, value: bytes) -> bytes:
        """Return the 16 bytes that the nibbles of an input lead to (algorithm 3, finalised)."""
        key = self._updated_key
        for byte in value:
            key = _encrypt(key, self._plaintexts[byte >> 4])
            key = _encrypt(key, self._plaintexts[byte & 0x0F])
        return _encrypt(key, _ZERO)

    def encrypt(self, plaintext: bytes, counter: int) -> bytes:
        """Encrypt whole blocks, the first under this counter, the next ones under the next ones."""
        return b"".join(
            _encrypt(self._block_key(counter, at), plaintext[at : at + _BLOCK_BYTES])
            for at in range(0, len(plaintext), _BLOCK_BYTES)
        )

    def decrypt(self, ciphertext: bytes, counter: int) -> bytes:
        """Undo `encrypt`."""
        return b"".join(
            _decrypt(self._block_key(counter, at), ciphertext[at : at + _BLOCK_BYTES])
            for at in range(0, len(ciphertext), _BLOCK_BYTES)
        )

    def mac(self, message: bytes) -> bytes:
        """Return the CMAC of a message with `evaluate` as its block cipher, 16 bytes."""
        subkey = _doubled(self.evaluate(_ZERO))
        if message and len(message) % _BLOCK_BYTES == 0:
            padded = message
        else:
            padded, subkey = pad_80(message, _BLOCK_BYTES), _doubled(subkey)
        state = _ZERO
        for at in range(0, len(padded) - _BLOCK_BYTES, _BLOCK_BYTES):
            state = self.evaluate(xor(state, padded[at : at + _BLOCK_BYTES]))
        return self.evaluate(xor(xor(state, padded[-_BLOCK_BYTES:]), subkey))

    def _block_key(self, counter: int, at: int) -> bytes:
        number = (counter + at // _BLOCK_BYTES) % (1 << 8 * _COUNTER_BYTES)
        return self.evaluate(number.to_bytes(_COUNTER_BYTES))


def _plaintexts(key: bytes) -> tuple[bytes, ...]:
    """Return the secret plaintexts of a key (algorithm 1)."""
    made = []
    for _ in range(_PLAINTEXTS):
        key = _encrypt(key, _LEFT)
        made.append(_encrypt(key, _RIGHT))
    return tuple(made)


def _updated_key(key: bytes, number: int) -> bytes:
    """Return one of the updated keys of a key (algorithm 2)."""
    key = _encrypt(key, _RIGHT)
    for _ in range(number):
        key = _encrypt(key, _LEFT)
    return _encrypt(key, _RIGHT)


def _encrypt(key: bytes, block: bytes) -> bytes:
    # One block under a key of its own: no mode of chaining applies.
    encryptor = Cipher(AES(key), modes.ECB()).encryptor()  # noqa: S305
    return encryptor.update(block) + encryptor.finalize()


def _decrypt(key: bytes, block: bytes) -> bytes:
    decryptor = Cipher(AES(key), modes.ECB()).decryptor()  # noqa: S305
    return decryptor.update(block) + decryptor.finalize()


def _doubled(block: bytes) -> bytes:
    number = int.from_bytes(block) << 1
    return ((number ^ (_CARRY | _RB)) if number >= _CARRY else number).to_bytes(_BLOCK_BYTES)
