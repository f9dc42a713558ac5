import base64
import dataclasses
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cardd.assurance.assertion import TYP, assertion_claims
from cardd.assurance.levels import Acr
from cardd.assurance.presence import PresenceRecord
from cardd.kms.signer import EcdsaSigner
from cardd.secret import Secret

pytestmark = pytest.mark.unit

RECORD = PresenceRecord(
    sid="the presence",
    holder_id="the holder",
    badge_id="0123456789abcdef0123456789abcdef",
    certificate=None,
    device="desk-1",
    client="workstation-1",
    auth_time=1_800_000_000,
    acr=Acr.ONE_FACTOR,
    amr=("hwk",),
    expires_at=1_800_014_400,
)
NONCE = "n" * 22


def claims(record: PresenceRecord = RECORD, **changed: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "issuer": "https://cardd.example",
        "record": record,
        "audience": "https://dpi.example",
        "nonce": NONCE,
        "sid": record.sid,
    }
    return assertion_claims(**(asked | changed))


def test_an_assertion_says_exactly_this() -> None:
    assert TYP == "cardd-auth+jwt"
    assert claims(now=1_800_000_030, jti="once") == {
        "iss": "https://cardd.example",
        "sub": "the holder",
        "aud": "https://dpi.example",
        "nonce": NONCE,
        "jti": "once",
        "iat": 1_800_000_030,
        "nbf": 1_800_000_030,
        "exp": 1_800_000_090,
        "auth_time": 1_800_000_000,
        "acr": "urn:cardd:acr:one-factor",
        "amr": ["hwk"],
        "sid": "the presence",
        "card": {"type": "badge", "badge": "0123456789abcdef0123456789abcdef"},
        "device": "desk-1",
    }


def test_there_is_no_sid_where_no_presence_was_opened() -> None:
    assert claims(now=0).keys() - claims(now=0, sid=None).keys() == {"sid"}


def test_each_assertion_has_a_jti_of_128_random_bits() -> None:
    drawn = {claims()["jti"] for _ in range(500)}
    assert len(drawn) == 500
    assert {len(base64.urlsafe_b64decode(jti + "==")) for jti in drawn} == {16}


def test_the_time_is_the_machines_where_none_is_given() -> None:
    before = int(time.time())
    issued = claims()["iat"]
    assert before <= issued <= time.time()


@pytest.fixture(scope="module")
def signer() -> EcdsaSigner:
    key = ec.generate_private_key(ec.SECP256R1())
    return EcdsaSigner(Secret(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())))


def verified(token: str, jwks: dict[str, Any], **pinned: Any) -> dict[str, Any]:
    """Verify as a relying party must: alg, typ, iss, aud and nonce pinned."""
    header = jwt.get_unverified_header(token)
    if header["typ"] != TYP:
        raise jwt.InvalidTokenError("typ")
    expected = {"issuer": "https://cardd.example", "audience": "https://dpi.example"} | pinned
    decoded: dict[str, Any] = jwt.decode(
        token,
        jwt.PyJWKSet.from_dict(jwks)[header["kid"]],
        algorithms=["ES256"],
        options={"require": ["iss", "sub", "aud", "nonce", "jti", "iat", "nbf", "exp"]},
        **expected,
    )
    if decoded["nonce"] != NONCE:
        raise jwt.InvalidTokenError("nonce")
    return decoded


def test_a_relying_party_that_pins_everything_accepts_it(signer: EcdsaSigner) -> None:
    record = dataclasses.replace(RECORD, auth_time=int(time.time()))
    said = claims(record)
    assert verified(signer.sign(said, TYP), signer.jwks()) == said


@pytest.mark.parametrize(
    ("changed", "pinned"),
    [
        ({"now": 0}, {}),
        ({"now": int(time.time()) + 3600}, {}),
        ({"nonce": "m" * 22}, {}),
        ({}, {"audience": "https://another.example"}),
        ({}, {"issuer": "https://another.example"}),
    ],
)
def test_a_relying_party_refuses_one_that_is_old_early_or_not_its_own(
    signer: EcdsaSigner, changed: dict[str, Any], pinned: dict[str, Any]
) -> None:
    token = signer.sign(claims(**changed), TYP)
    with pytest.raises(jwt.InvalidTokenError):
        verified(token, signer.jwks(), **pinned)


def test_a_token_of_another_type_is_no_assertion(signer: EcdsaSigner) -> None:
    with pytest.raises(jwt.InvalidTokenError, match="typ"):
        verified(signer.sign(claims(), "secevent+jwt"), signer.jwks())


def test_a_cps_is_named_by_the_thumbprint_of_its_certificate() -> None:
    cps = dataclasses.replace(RECORD, badge_id=None, certificate="thumbprint", acr=Acr.STRONG)
    assert claims(cps)["card"] == {"type": "cps", "x5t#S256": "thumbprint"}


@pytest.mark.parametrize("neither_or_both", [{"badge_id": None}, {"certificate": "thumbprint"}])
def test_a_presence_has_one_card(neither_or_both: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        dataclasses.replace(RECORD, **neither_or_both)
