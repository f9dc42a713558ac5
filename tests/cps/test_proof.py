"""What a CPS signs: one writing of it, verified by others, and nothing else is read."""

import base64
import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from cardd.cps import proof
from cardd.cps.proof import Proof, ProofClaims, ProofPurpose
from cardd.errors import Code, Refused
from simulators.pki import Pki, Profile

pytestmark = pytest.mark.unit

NOW = 1_800_000_000
NONCE = "n" * 22
CLAIMS = proof.new_claims(
    purpose=ProofPurpose.LOGIN,
    audience="https://dpi.example",
    nonce=NONCE,
    kms_challenge="c" * 43,
    now=NOW,
    jti="j" * 22,
)


@dataclass(frozen=True)
class Card:
    """A card's certificate, those above it, and its key as another library has it."""

    chain: tuple[bytes, ...]
    key: RSA.RsaKey

    def sign(self, signed: bytes) -> bytes:
        return pkcs1_15.new(self.key).sign(SHA256.new(signed))

    def prove(self, claims: ProofClaims = CLAIMS) -> str:
        signed = proof.signing_input(claims, self.chain)
        return proof.assemble(signed, self.sign(signed))


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.create(tmp_path_factory.mktemp("pki") / "pki")


@pytest.fixture(scope="module")
def card(pki: Pki) -> Card:
    issued = pki.issue(Profile())
    return Card((issued.certificate, pki.intermediate.der), RSA.import_key(issued.key))


@pytest.fixture(scope="module")
def compact(card: Card) -> str:
    return card.prove()


def base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def judged(compact: str) -> Code | None:
    """Return why a proof is refused, None where it is not."""
    try:
        proof.verify_signature(proof.parse(compact))
    except Refused as refused:
        return refused.code
    return None


def refusal(compact: str) -> Code:
    code = judged(compact)
    assert code is not None, "it was accepted"
    return code


def written(card: Card, header: bytes, claims: bytes) -> str:
    """Return a proof whose parts are these very bytes, with a good signature over them."""
    signed = f"{base64url(header)}.{base64url(claims)}".encode()
    return proof.assemble(signed, card.sign(signed))


def parts(compact: str) -> tuple[bytes, bytes]:
    header, claims, _ = compact.split(".")
    return tuple(base64.urlsafe_b64decode(part + "==") for part in (header, claims))  # type: ignore[return-value]


def test_another_library_verifies_a_proof_with_the_certificate_it_carries(compact: str) -> None:
    header = jwt.get_unverified_header(compact)
    assert list(header) == ["alg", "typ", "x5c"]
    assert (header["alg"], header["typ"]) == ("RS256", "cardd-cps-proof+jwt")
    certificate = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0], validate=True))
    claims = jwt.decode(
        compact,
        certificate.public_key(),  # type: ignore[arg-type]
        algorithms=["RS256"],
        audience="https://dpi.example",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims == {
        "purpose": "login",
        "aud": "https://dpi.example",
        "nonce": NONCE,
        "iat": NOW,
        "exp": NOW + 60,
        "jti": "j" * 22,
        "kms_challenge": "c" * 43,
    }


def test_a_proof_comes_back_as_it_was_made(card: Card, compact: str) -> None:
    read = proof.parse(compact)
    signed = proof.signing_input(CLAIMS, card.chain)
    assert read == Proof(CLAIMS, card.chain, signed, card.sign(signed))
    proof.verify_signature(read)
    digest = hashlib.sha256(card.chain[0]).digest()
    assert read.x5t_s256 == base64url(digest)


def test_each_proof_has_an_identifier_of_its_own() -> None:
    def made() -> ProofClaims:
        return proof.new_claims(
            purpose=ProofPurpose.LOGIN, audience="a", nonce=NONCE, kms_challenge=None
        )

    assert len({made().jti for _ in range(50)}) == 50
    assert "kms_challenge" not in json.loads(
        base64.urlsafe_b64decode(
            proof.signing_input(made(), (b"certificate",)).split(b".")[1] + b"=="
        )
    )


@pytest.mark.parametrize("count", [0, 5])
def test_a_chain_that_no_verifier_takes_is_not_signed(count: int) -> None:
    with pytest.raises(Refused) as caught:
        proof.signing_input(CLAIMS, (b"certificate",) * count)
    assert caught.value.code is Code.PROOF_INVALID
    with pytest.raises(Refused):
        proof.signing_input(CLAIMS, (b"x" * 8193,))


def test_the_largest_chain_fits_the_length_that_is_read(card: Card) -> None:
    largest = (card.chain[0], *[b"x" * proof.MAXIMUM_BYTES] * 3)
    assert proof.parse(Card(largest, card.key).prove()).chain == largest


CLAIM_CHANGES: list[dict[str, Any]] = [
    {"purpose": "sign-this"},
    {"purpose": None},
    {"aud": ["https://dpi.example"]},
    {"aud": ""},
    {"aud": "a" * 513},
    {"nonce": "n" * 21},
    {"nonce": "n" * 129},
    {"nonce": "n" * 22 + "\n"},
    {"nonce": "n" * 21 + "+"},
    {"iat": -1},
    {"iat": 1.5},
    {"iat": "1800000000"},
    {"iat": True},
    {"exp": 2**53},
    {"exp": 10**400},
    {"jti": "j"},
    {"kms_challenge": ""},
    {"kms_challenge": None},
    {"sub": "somebody"},
    {"acr": "urn:cardd:acr:strong"},
]


@pytest.mark.parametrize("change", CLAIM_CHANGES, ids=lambda c: f"{c!r:.40}")
def test_claims_of_another_form_are_refused_though_signed(
    card: Card, compact: str, change: dict[str, Any]
) -> None:
    header, claims = parts(compact)
    changed = json.dumps(json.loads(claims) | change, separators=(",", ":")).encode()
    assert refusal(written(card, header, changed)) is Code.PROOF_INVALID


@pytest.mark.parametrize("missing", ["purpose", "aud", "nonce", "iat", "exp", "jti"])
def test_a_claim_that_is_missing_is_refused(card: Card, compact: str, missing: str) -> None:
    header, claims = parts(compact)
    fewer = {name: value for name, value in json.loads(claims).items() if name != missing}
    assert (
        refusal(written(card, header, json.dumps(fewer, separators=(",", ":")).encode()))
        is Code.PROOF_INVALID
    )


def test_the_same_claims_in_another_writing_are_refused(card: Card, compact: str) -> None:
    header, claims = parts(compact)
    members = json.loads(claims)
    proof.verify_signature(proof.parse(written(card, header, claims)))
    others = [
        json.dumps(members).encode(),
        json.dumps(dict(reversed(members.items())), separators=(",", ":")).encode(),
        claims.replace(b"login", b"\\u006cogin"),
        claims.replace(b'{"purpose"', b'{"purpose":"operator","purpose"'),
        claims + b"\n",
        b"\xef\xbb\xbf" + claims,
    ]
    for other in others:
        assert other != claims
        assert refusal(written(card, header, other)) is Code.PROOF_INVALID


HEADER_CHANGES: list[dict[str, Any]] = [
    {"alg": "none"},
    {"alg": "HS256"},
    {"alg": "PS256"},
    {"alg": "rs256"},
    {"typ": "JWT"},
    {"typ": "cardd-auth+jwt"},
    {"x5c": []},
    {"x5c": None},
    {"x5c": [""]},
    {"x5c": ["!"]},
    {"x5c": ["AAAA"] * 5},
    {"x5c": [base64.b64encode(b"x" * 8193).decode()]},
    {"crit": ["exp"]},
    {"jwk": {}},
    {"kid": "mine"},
    {"x5u": "http://127.0.0.1/"},
]


@pytest.mark.parametrize("change", HEADER_CHANGES, ids=lambda c: f"{c!r:.40}")
def test_a_header_of_another_form_is_refused(
    card: Card, compact: str, change: dict[str, Any]
) -> None:
    header, claims = parts(compact)
    changed = json.dumps(json.loads(header) | change, separators=(",", ":")).encode()
    assert refusal(written(card, changed, claims)) is Code.PROOF_INVALID


def test_a_key_of_too_few_bits_is_refused(pki: Pki) -> None:
    key = RSA.generate(1024)  # noqa: S505 - what is refused
    issued = pki.issue(Profile(), key.export_key("DER", pkcs=8))
    assert refusal(Card((issued.certificate,), key).prove()) is Code.CERTIFICATE_INVALID


def test_a_key_that_is_not_rsa_is_refused(card: Card, tmp_path: Path) -> None:
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", tmp_path / "key", "-subj", "/CN=x", "-outform", "DER"],
        capture_output=True, check=True, timeout=20,
    )  # fmt: skip
    assert refusal(Card((made.stdout,), card.key).prove()) is Code.CERTIFICATE_INVALID


def test_a_certificate_that_is_none_is_refused(card: Card) -> None:
    for rubbish in (b"\0", b"0\x82\xff\xff", card.chain[0][:-1], card.chain[0] + b"\0"):
        assert refusal(Card((rubbish,), card.key).prove()) is Code.CERTIFICATE_INVALID


def test_a_proof_by_another_key_or_over_other_claims_is_refused(card: Card, pki: Pki) -> None:
    stranger = Card(card.chain, RSA.import_key(pki.issue(Profile()).key))
    assert refusal(stranger.prove()) is Code.PROOF_INVALID
    later = proof.new_claims(
        purpose=ProofPurpose.LOGIN, audience="b", nonce=NONCE, kms_challenge=None
    )
    signature = card.sign(proof.signing_input(CLAIMS, card.chain))
    moved = proof.assemble(proof.signing_input(later, card.chain), signature)
    assert refusal(moved) is Code.PROOF_INVALID


@given(st.data())
def test_a_proof_changed_anywhere_is_refused(compact: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(compact) - 1))
    put = data.draw(st.text(max_size=3))
    cut = data.draw(st.integers(0, 3))
    changed = compact[:at] + put + compact[at + cut :]
    if changed != compact:
        assert refusal(changed) in {Code.PROOF_INVALID, Code.CERTIFICATE_INVALID}


@given(st.data())
def test_a_certificate_changed_in_a_byte_gives_a_refusal_or_the_same_key(
    card: Card, data: st.DataObject
) -> None:
    """A signature covers the certificate it names, so a change needs the card to sign again."""
    at = data.draw(st.integers(0, len(card.chain[0]) - 1))
    value = data.draw(st.integers(0, 255))
    changed = card.chain[0][:at] + bytes([value]) + card.chain[0][at + 1 :]
    compact = Card((changed,), card.key).prove()
    assert judged(compact) in {None, Code.PROOF_INVALID, Code.CERTIFICATE_INVALID}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
part = st.one_of(
    st.binary(max_size=64),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.integers(1, 4000).map(lambda depth: b"[" * depth + b"]" * depth),
)


@given(st.one_of(st.text(), st.tuples(part, part, part).map(lambda p: ".".join(map(base64url, p)))))
def test_any_other_text_is_refused(text: str) -> None:
    assert refusal(text) is Code.PROOF_INVALID


def test_a_text_of_any_length_is_refused_at_once(compact: str) -> None:
    assert refusal("A" * 10_000_000) is Code.PROOF_INVALID
    assert refusal("." * 60_000) is Code.PROOF_INVALID
    with pytest.raises(Refused):
        proof.parse(compact + "AAAA" * 16_000)


def test_another_number_of_parts_is_refused(compact: str) -> None:
    for other in (compact + ".AAAA", "AAAA." + compact, compact.rpartition(".")[0]):
        assert refusal(other) is Code.PROOF_INVALID


def test_a_signature_has_one_writing(compact: str) -> None:
    """256 bytes leave four spare bits in the last character, which a lenient decoder drops."""
    assert compact[-1] in "AQgw"
    for spare in range(1, 16):
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        other = compact[:-1] + alphabet[alphabet.index(compact[-1]) + spare]
        assert refusal(other) is Code.PROOF_INVALID
    assert refusal(compact + "==") is Code.PROOF_INVALID
