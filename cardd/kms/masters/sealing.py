"""Seals values with a backend that computes MACs and nothing else: a token, a server.

A sealed value is version (1 byte), generation of the master `registry` (1 byte), nonce (16 bytes),
then AES-256-GCM ciphertext and tag. Each value has a key of its own, which NIST SP 800-108r1
derives from that master in counter mode (section 4.1, 32-bit counter, AES-CMAC), the nonce being
its context. A key encrypts once, so GCM's own nonce is always zero.

What the KDF asks to be authenticated begins with the counter 1 or 2 in four bytes; the rows that
the same master seals begin with the name of their format, and no check value is as long.
"""

import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cardd.errors import KmsUnavailable
from cardd.kms.ports import Masters, Purpose
from cardd.secret import Secret

_VERSION = 2  # 1 is a value that a keystore's own seal key encrypted
_LABEL = b"cardd seal v2"
_KEY_BYTES = 32
_PRF_BYTES = 16
_NONCE_BYTES = 16
_HEADER_BYTES = 2 + _NONCE_BYTES
_TAG_BYTES = 16
_GCM_NONCE = bytes(12)


def seal(masters: Masters, plaintext: bytes, associated: bytes) -> bytes:
    """Encrypt and authenticate under the current master `registry`."""
    generation = masters.current(Purpose.REGISTRY)
    nonce = os.urandom(_NONCE_BYTES)
    header = bytes((_VERSION, generation)) + nonce
    key = AESGCM(_value_key(masters, generation, nonce))
    return header + key.encrypt(_GCM_NONCE, plaintext, header + associated)


def open_sealed(masters: Masters, sealed: bytes, associated: bytes) -> Secret:
    """Undo `seal`, under whichever generation sealed it; KmsUnavailable for anything else."""
    header, ciphertext = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
    if len(ciphertext) < _TAG_BYTES or header[0] != _VERSION or not header[1]:
        raise KmsUnavailable("a sealed value is malformed: it was not sealed by these masters")
    key = AESGCM(_value_key(masters, header[1], header[2:]))
    try:
        return Secret(key.decrypt(_GCM_NONCE, ciphertext, header + associated))
    except InvalidTag:
        raise KmsUnavailable(
            "a sealed value does not open: it was changed, moved to another row, or sealed by "
            "other masters"
        ) from None


def kdf_counter_mode(prf: Callable[[bytes], bytes], fixed_input: bytes, length: int) -> bytes:
    """Return `length` bytes (NIST SP 800-108r1, 4.1); `prf` is a CMAC, of 16 bytes."""
    blocks = -(-length // _PRF_BYTES)
    output = b"".join(prf(i.to_bytes(4, "big") + fixed_input) for i in range(1, blocks + 1))
    return output[:length]


def _value_key(masters: Masters, generation: int, nonce: bytes) -> bytes:
    fixed_input = _LABEL + b"\0" + nonce + (8 * _KEY_BYTES).to_bytes(4, "big")

    def prf(message: bytes) -> bytes:
        return masters.mac(Purpose.REGISTRY, generation, message)

    return kdf_counter_mode(prf, fixed_input, _KEY_BYTES)
