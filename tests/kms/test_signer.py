import base64
import hashlib
import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cardd.errors import StartCode, StartError
from cardd.kms.ports import AssertionSigner
from cardd.kms.signer import EcdsaSigner, thumbprint
from cardd.secret import Secret

pytestmark = pytest.mark.unit

RFC_9449 = json.loads(
    (Path(__file__).parents[1] / "vectors" / "jwk_thumbprint_p256.json").read_text("utf-8")
)


def pkcs8(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> Secret:
    return Secret(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def signer() -> EcdsaSigner:
    return EcdsaSigner(pkcs8(ec.generate_private_key(ec.SECP256R1())))


def test_the_thumbprint_is_the_published_one() -> None:
    assert thumbprint(RFC_9449["jwk"]) == RFC_9449["thumbprint"]


def test_what_is_signed_verifies_with_the_published_keys_alone() -> None:
    one: AssertionSigner = signer()
    token = one.sign({"sub": "somebody", "n": 1}, "cardd-auth+jwt")
    header = jwt.get_unverified_header(token)
    key = jwt.PyJWKSet.from_dict(one.jwks())[header["kid"]]
    assert jwt.decode(token, key, algorithms=["ES256"]) == {"sub": "somebody", "n": 1}
    assert header == {"alg": "ES256", "kid": header["kid"], "typ": "cardd-auth+jwt"}


def test_a_signature_of_another_key_does_not_verify() -> None:
    key = jwt.PyJWKSet.from_dict(signer().jwks()).keys[0]
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(signer().sign({}, "cardd-auth+jwt"), key, algorithms=["ES256"])


def test_the_published_key_is_public_and_says_its_use() -> None:
    # The x of the second and the y of the third begin with a zero byte, which stays (RFC 7518,
    # 6.2.1.2).
    for secret in (1, 379, 43):
        one = EcdsaSigner(pkcs8(ec.derive_private_key(secret, ec.SECP256R1())))
        (key,) = one.jwks()["keys"]
        assert set(key) == {"kty", "crv", "x", "y", "use", "alg", "kid"}
        assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("EC", "P-256", "sig", "ES256")
        assert [len(key["x"]), len(key["y"])] == [43, 43]
        required = f'{{"crv":"P-256","kty":"EC","x":"{key["x"]}","y":"{key["y"]}"}}'
        digest = hashlib.sha256(required.encode()).digest()
        assert key["kid"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "key",
    [
        Secret(b""),
        Secret(b"no key at all"),
        pkcs8(ec.generate_private_key(ec.SECP384R1())),
        pkcs8(ec.generate_private_key(ec.SECP256K1())),
        pkcs8(ed25519.Ed25519PrivateKey.generate()),
    ],
)
def test_anything_but_a_key_on_p256_is_refused(key: Secret) -> None:
    with pytest.raises(StartError, match="no key on P-256") as error:
        EcdsaSigner(key)
    assert error.value.code is StartCode.KEYSTORE_DAMAGED
