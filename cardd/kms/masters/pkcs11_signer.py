"""The key that signs assertions, in a PKCS #11 token: EC P-256, not extractable."""

import hashlib
import json
import os
from typing import Any, NoReturn

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from jwt.algorithms import Algorithm
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, Session
from pkcs11.exceptions import PKCS11Error
from pkcs11.util.ec import encode_named_curve_parameters

from cardd.errors import Code, KmsUnavailable, Refused, StartCode, StartError
from cardd.kms.masters.names import Names
from cardd.kms.masters.pkcs11_token import OpenToken, search
from cardd.kms.signer import public_jwk, thumbprint

_ALGORITHM = "ES256"
_CURVE = "secp256r1"
_POINT_BYTES = 65  # 04 || x || y: SEC 1, 2.3.3
_HALF = 32


class TokenSigner:
    """Implements `AssertionSigner`. Thread-safe; sign raises KmsUnavailable as the token's calls.

    Raises StartError (`masters_not_found`, `masters_unusable`) when it is made, where the key is
    missing or the public half in the token is not that of the private one.
    """

    def __init__(self, token: OpenToken, names: Names) -> None:
        self._token = token
        self._label = names.assertion_key
        self._session: Session | None = None
        self._key: Any = None
        public = self._verified(token.call(self._read_public))
        self._public = public_jwk(public)
        self.kid = thumbprint(self._public)
        self._jws = jwt.PyJWS(algorithms=[])
        self._jws.register_algorithm(_ALGORITHM, _Es256InToken(self._raw_signature))

    def sign(self, claims: dict[str, Any], typ: str) -> str:
        """Return a compact JWS over the claims, with `typ`, `alg` and `kid` in its header."""
        payload = json.dumps(claims, separators=(",", ":")).encode()
        headers = {"typ": typ, "kid": self.kid}
        return self._jws.encode(payload, "", algorithm=_ALGORITHM, headers=headers)

    def jwks(self) -> dict[str, Any]:
        """Return the public keys that verify it (RFC 7517, 5)."""
        return {"keys": [{**self._public, "use": "sig", "alg": _ALGORITHM, "kid": self.kid}]}

    def _raw_signature(self, message: bytes) -> bytes:
        """Return r || s, 64 bytes: CKM_ECDSA gives what RFC 7518, 3.4 asks for."""
        digest = hashlib.sha256(message).digest()

        def work(session: Session) -> bytes:
            if session is not self._session:
                self._key = _find(session, ObjectClass.PRIVATE_KEY, self._label)
                self._session = session
            return bytes(self._key.sign(digest, mechanism=Mechanism.ECDSA))

        return self._token.call(work)

    def _read_public(self, session: Session) -> bytes:
        try:
            return bytes(_find(session, ObjectClass.PUBLIC_KEY, self._label)[Attribute.EC_POINT])
        except KmsUnavailable:
            raise StartError(
                StartCode.MASTERS_NOT_FOUND,
                f"{self._token} has no key {self._label} to sign assertions with; create it with "
                "`cardd-kms init`",
            ) from None

    def _verified(self, ec_point: bytes) -> EllipticCurvePublicKey:
        # CKA_EC_POINT is the point in an OCTET STRING; some modules leave that out.
        point, challenge = ec_point[-_POINT_BYTES:], os.urandom(32)
        signature = self._raw_signature(challenge)
        r, s = signature[:_HALF], signature[_HALF:]
        der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
        try:
            key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
            key.verify(der, challenge, ECDSA(SHA256()))
        except (ValueError, InvalidSignature):
            raise StartError(
                StartCode.MASTERS_UNUSABLE,
                f"the key {self._label} of {self._token} is no key pair on P-256; remove it by the "
                "token's own tools and create another",
            ) from None
        return key


def create_assertion_key(token: OpenToken, names: Names) -> bool:
    """Make the key pair in the token; return False where there is one already.

    Raises Refused (`not_supported`), and KmsUnavailable as the token's calls.
    """

    def exists(session: Session) -> bool:
        template = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: names.assertion_key}
        return bool(search(session, template))

    def make(session: Session) -> None:
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters(_CURVE)}
        parameters = session.create_domain_parameters(KeyType.EC, curve, local=True)
        parameters.generate_keypair(
            id=names.assertion_key.encode(),
            label=names.assertion_key,
            store=True,
            capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
            private_template={Attribute.EXTRACTABLE: False},
        )

    if token.call(exists):
        return False
    try:
        token.call_once(make)
    except PKCS11Error as error:
        raise Refused(
            Code.NOT_SUPPORTED,
            f"{token} makes no EC key on P-256 ({type(error).__name__}); set kms.assertion_key to "
            "sealed:/PATH",
        ) from error
    return True


class _Es256InToken(Algorithm):
    """ES256 whose private key PyJWT does not see. It signs, and does nothing else."""

    def __init__(self, raw_signature: Any) -> None:
        self._raw_signature = raw_signature

    def prepare_key(self, key: Any) -> Any:
        return key

    def sign(self, msg: bytes, key: Any) -> bytes:  # noqa: ARG002 - PyJWT's signature
        signature: bytes = self._raw_signature(msg)
        return signature

    def check_key_length(self, key: Any) -> None:  # noqa: ARG002 - PyJWT's signature
        return None

    def verify(self, *_: Any) -> NoReturn:
        raise NotImplementedError("whoever verifies has the public key")

    @staticmethod
    def to_jwk(*_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("the key stays in the token")

    @staticmethod
    def from_jwk(*_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("the key stays in the token")


def _find(session: Session, kind: ObjectClass, label: str) -> Any:
    found = search(session, {Attribute.CLASS: kind, Attribute.LABEL: label})
    if len(found) != 1:
        raise KmsUnavailable(f"the token has {len(found)} objects of class {kind.name} {label}")
    return found[0]
