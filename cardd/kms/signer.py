"""The key that signs assertions, held in this process."""

import base64
import hashlib
from typing import Any

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.serialization import load_der_private_key

from cardd.errors import StartCode, StartError
from cardd.secret import Secret

_ALGORITHM = "ES256"
_COORDINATE_BYTES = 32  # RFC 7518, 6.2.1.2


class EcdsaSigner:
    """Implements `AssertionSigner` with ES256 (RFC 7518, 3.4).

    `private_key` is PKCS #8, DER. Raises StartError (`keystore_damaged`) for anything but a key
    on P-256.
    """

    def __init__(self, private_key: Secret) -> None:
        self._key = _parse(private_key)
        self._public = public_jwk(self._key.public_key())
        self.kid = thumbprint(self._public)

    def sign(self, claims: dict[str, Any], typ: str) -> str:
        """Return a compact JWS over the claims, with `typ`, `alg` and `kid` in its header."""
        headers = {"typ": typ, "kid": self.kid}
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM, headers=headers)

    def jwks(self) -> dict[str, Any]:
        """Return the public keys that verify it (RFC 7517, 5)."""
        return {"keys": [{**self._public, "use": "sig", "alg": _ALGORITHM, "kid": self.kid}]}


def public_jwk(key: EllipticCurvePublicKey) -> dict[str, str]:
    """Return the members that RFC 7518, 6.2.1 requires of a public key on P-256."""
    numbers = key.public_numbers()
    return {
        "crv": "P-256",
        "kty": "EC",
        "x": _base64url(numbers.x.to_bytes(_COORDINATE_BYTES, "big")),
        "y": _base64url(numbers.y.to_bytes(_COORDINATE_BYTES, "big")),
    }


def thumbprint(jwk: dict[str, str]) -> str:
    """Return the SHA-256 thumbprint of a public EC key (RFC 7638, 3)."""
    required = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    return _base64url(hashlib.sha256(msgspec.json.encode(required, order="sorted")).digest())


def _parse(private_key: Secret) -> EllipticCurvePrivateKey:
    try:
        key = load_der_private_key(private_key.reveal(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise StartError(
            StartCode.KEYSTORE_DAMAGED, "the assertion key of the keystore is no key on P-256"
        )
    return key


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
