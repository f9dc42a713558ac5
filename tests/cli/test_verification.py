"""`cardctl verify`: what a relying party accepts, and everything that it must not."""

import json
import time
from typing import Any

import jwt
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from cardd.cli.cardctl.main import cardctl
from cardd.cli.cardctl.verification import Invalid, verified

pytestmark = pytest.mark.unit

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
NONCE = "n" * 32
HEADER = {"typ": "cardd-auth+jwt", "kid": "k1"}


def jwk(key: ec.EllipticCurvePrivateKey, **changes: Any) -> dict[str, Any]:
    return {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "k1", **changes}


KEY_SET = json.dumps({"keys": [jwk(KEY), jwk(OTHER, kid="k2")]})


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {
        "iss": "urn:site",
        "sub": "h1",
        "aud": "app",
        "nonce": NONCE,
        "jti": "j",
        "iat": now,
        "nbf": now,
        "exp": now + 3600,  # later than any run ends
        "auth_time": now,
        "acr": "urn:cardd:acr:one-factor",
        "amr": ["hwk"],
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def signed(
    key: Any = KEY, algorithm: str = "ES256", header: dict[str, Any] | None = None, **changes: Any
) -> str:
    return jwt.encode(claims(**changes), key, algorithm, {**HEADER, **(header or {})})


def check(compact: str, key_set: str = KEY_SET) -> dict[str, Any]:
    return verified(compact, key_set, issuer="urn:site", audience="app", nonce=NONCE)


def test_an_assertion_that_holds_is_accepted() -> None:
    assert check(signed())["sub"] == "h1"


PUBLIC_AS_SECRET = b"-" + json.dumps(jwk(KEY)).encode()


@pytest.mark.parametrize(
    "compact",
    [
        signed(OTHER),
        signed(PUBLIC_AS_SECRET, "HS256"),
        jwt.encode(claims(), None, "none", HEADER),
        signed(ec.generate_private_key(ec.SECP384R1()), "ES384"),
        signed(header={"typ": "JWT"}),
        signed(header={"typ": None}),
        signed(header={"kid": "unknown"}),
        signed(header={"kid": "k2"}),
        signed(header={"crit": ["x"], "x": 1}),
        signed(iss="urn:other"),
        signed(aud="other"),
        signed(aud=["app"]),
        signed(aud=["app", "other"]),
        signed(nonce="m" * 32),
        signed(nonce=5),
        signed(exp=int(time.time()) - 60),
        signed(nbf=int(time.time()) + 3600),
        *[signed(**{name: None}) for name in ("exp", "nbf", "iat", "jti", "nonce", "sub", "acr")],
        signed()[:-4] + "AAAA",
        "..",
        "",
    ],
)
def test_an_assertion_that_does_not_hold_is_refused(compact: str) -> None:
    with pytest.raises(Invalid):
        check(compact)


@pytest.mark.parametrize(
    "key_set",
    [
        "",
        "[]",
        "5",
        '{"keys": 5}',
        '{"keys": [5]}',
        '{"keys": []}',
        json.dumps({"keys": [jwk(KEY), jwk(KEY)]}),
        json.dumps({"keys": [jwk(KEY, crv="P-384")]}),
        json.dumps({"keys": [jwk(KEY, x="AAAA")]}),
        json.dumps({"keys": [jwk(KEY, x=5)]}),
        json.dumps({"keys": [{"kid": "k1", "kty": "oct", "k": "AAAA"}]}),
        "[" * 100_000,
    ],
)
def test_a_key_set_that_is_none_is_refused(key_set: str) -> None:
    with pytest.raises(Invalid):
        check(signed(), key_set)


@given(st.text(max_size=80) | st.from_regex(r"[\w-]{0,30}\.[\w-]{0,30}\.[\w-]{0,30}"))
def test_any_text_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(Invalid):
        check(text)


@given(st.integers(0, 2000), st.integers(1, 255))
def test_any_changed_character_is_found(place: int, change: int) -> None:
    good = signed()
    place %= len(good)
    changed = chr(ord(good[place]) ^ change)
    with pytest.raises(Invalid):
        # The last character of a signature has 4 bits that say nothing.
        check(good[:place] + changed + good[place + 1 :] if place < len(good) - 1 else "x" + good)


def run(compact: str, *options: str) -> Any:
    arguments = ["verify", "--issuer", "urn:site", "--audience", "app", "--nonce", NONCE, *options]
    return CliRunner().invoke(cardctl, arguments, input=compact)


def test_the_command_says_valid_and_prints_the_claims(tmp_path: Any) -> None:
    (tmp_path / "jwks.json").write_text(KEY_SET)
    result = run(signed() + "\n", "--jwks", str(tmp_path / "jwks.json"))
    assert result.exit_code == 0
    assert json.loads(result.stdout.partition("\n")[2])["sub"] == "h1"
    result = run(signed(), "--json", "--jwks", str(tmp_path / "jwks.json"))
    assert json.loads(result.stdout)["iss"] == "urn:site"


def test_the_command_refuses_with_1_and_prints_no_claims(tmp_path: Any) -> None:
    (tmp_path / "jwks.json").write_text(KEY_SET)
    for compact in (signed(aud="other"), "\xe9", "x" * 70_000):
        result = run(compact, "--jwks", str(tmp_path / "jwks.json"))
        assert result.exit_code == 1
        assert result.stdout == ""
        assert "not valid" in result.stderr


def test_one_stream_cannot_be_both_key_set_and_assertion() -> None:
    assert run(signed(), "--jwks", "-").exit_code == 2
