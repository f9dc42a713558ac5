"""The originality signature: ECDSA on secp224r1 over the bare UID, which stands for the hash.

Every simulated card has a test key of its own: no simulated card verifies under a key of NXP's.
"""

import hashlib
from collections.abc import Callable

from Crypto.PublicKey import ECC

CURVE = "p224"
FIELD_BYTES = 28
UNCOMPRESSED = b"\x04"
# The order of the curve's base point (FIPS 186-4, D.1.2.2).
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFF16A2E0B8F03E13DD29455C5C2A3D


def new_key(rng: Callable[[int], bytes]) -> bytes:
    """Return a private key, 28 bytes; 8 more are drawn so that none is likelier (FIPS 186-4)."""
    return _below_order(rng(FIELD_BYTES + 8)).to_bytes(FIELD_BYTES)


def public_key(private: bytes) -> bytes:
    """Return the public key of a private one, as an uncompressed point (SEC 1, 2.3.3)."""
    return UNCOMPRESSED + b"".join(value.to_bytes(FIELD_BYTES) for value in _point(private))


def sign(private: bytes, uid: bytes) -> bytes:
    """Return the signature of a UID, r and s of 28 bytes each; the same each time.

    A UID is shorter than the order, so it counts as it is, a big-endian number (FIPS 186-4, 6.4).
    The nonce comes from key and UID.
    """
    nonce = _below_order(hashlib.sha512(private + uid).digest())
    r = _point(nonce.to_bytes(FIELD_BYTES))[0] % ORDER
    s = pow(nonce, -1, ORDER) * (int.from_bytes(uid) + r * int.from_bytes(private)) % ORDER
    return r.to_bytes(FIELD_BYTES) + s.to_bytes(FIELD_BYTES)


def _below_order(random: bytes) -> int:
    return int.from_bytes(random) % (ORDER - 1) + 1


def _point(private: bytes) -> tuple[int, int]:
    point = ECC.construct(curve=CURVE, d=int.from_bytes(private)).pointQ
    return int(point.x), int(point.y)
