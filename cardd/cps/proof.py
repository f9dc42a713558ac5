"""What a CPS signs when its holder authenticates: a compact JWS over claims that cardd builds.

Its signing input is made from claims, never from a hash or a text that a caller brings: what the
card signs is always a proof of this form. Header: `alg` RS256, `typ`, and `x5c` with the card's own
certificate first. The authentication key signs with RSASSA-PKCS1-v1_5 and SHA-256.

Each proof has one writing, so that no two readers can see two things in it: canonical base64url
without padding, the header's and the claims' members in the order below, no other member.
Source: RFC 7515 (3.1, 4.1.6, 7.1), RFC 7518 (3.3), RFC 7519 (4.1).
"""

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Literal, NoReturn

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec import Meta

from cardd.cps.certificate import MAXIMUM_BYTES, parse_certificate
from cardd.errors import Code, Refused

TYP: Final = "cardd-cps-proof+jwt"
LIFETIME_S = 60

MAXIMUM_CERTIFICATES = 4
MAXIMUM_LENGTH = 63 * 1024  # of the compact form, within the 64 KiB of a request's body

_JTI_BYTES = 16
_LATEST = 2**53 - 1  # the last second that every JSON reader keeps exactly

_Token = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{22,128}$(?!\n)")]
_Seconds = Annotated[int, Meta(ge=0, le=_LATEST)]
_Der = Annotated[bytes, Meta(min_length=1, max_length=MAXIMUM_BYTES)]


class ProofPurpose(StrEnum):
    """What a proof is for; one for another purpose is refused."""

    LOGIN = "login"
    ENROL = "enrol"
    OPERATOR = "operator"
    CEREMONY = "ceremony"


class ProofClaims(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a proof says. Times are Unix seconds.

    `kms_challenge` is absent where no key service could be asked; none accepts such a proof later.
    """

    purpose: ProofPurpose
    aud: Annotated[str, Meta(min_length=1, max_length=512)]
    nonce: _Token
    iat: _Seconds
    exp: _Seconds
    jti: _Token
    kms_challenge: _Token | None = None


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: Literal["RS256"]
    typ: Literal["cardd-cps-proof+jwt"]
    x5c: Annotated[tuple[_Der, ...], Meta(min_length=1, max_length=MAXIMUM_CERTIFICATES)]


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that was read and not yet verified. `chain` is DER, the card's certificate first."""

    claims: ProofClaims
    chain: tuple[bytes, ...]
    signing_input: bytes
    signature: bytes

    @property
    def x5t_s256(self) -> str:
        """Return the thumbprint of the card's certificate."""
        return thumbprint(self.chain[0])


def new_claims(
    *,
    purpose: ProofPurpose,
    audience: str,
    nonce: str,
    kms_challenge: str | None,
    now: int | None = None,
    jti: str | None = None,
) -> ProofClaims:
    """Return the claims of a proof for one audience, valid for 60 s from `now` (Unix seconds).

    `nonce` is the relying party's own, already parsed (22 to 128 base64url characters).
    """
    issued_at = int(time.time()) if now is None else now
    return ProofClaims(
        purpose=purpose,
        aud=audience,
        nonce=nonce,
        iat=issued_at,
        exp=issued_at + LIFETIME_S,
        jti=secrets.token_urlsafe(_JTI_BYTES) if jti is None else jti,
        kms_challenge=kms_challenge,
    )


def signing_input(claims: ProofClaims, chain: tuple[bytes, ...]) -> bytes:
    """Return the ASCII bytes that the card signs, once SHA-256 is taken over them.

    `chain` holds DER certificates, the card's authentication certificate first, then those that
    lead towards the root, at most MAXIMUM_CERTIFICATES in all. Raises Refused (`proof_invalid`)
    where the chain is larger than any verifier takes.
    """
    if not 1 <= len(chain) <= MAXIMUM_CERTIFICATES or not all(
        1 <= len(der) <= MAXIMUM_BYTES for der in chain
    ):
        _refuse(
            f"its chain has {len(chain)} certificates; a proof carries 1 to "
            f"{MAXIMUM_CERTIFICATES} of at most {MAXIMUM_BYTES} bytes"
        )
    header = _Header(alg="RS256", typ=TYP, x5c=chain)
    return b"%b.%b" % (_base64url(_encoder.encode(header)), _base64url(_encoder.encode(claims)))


def assemble(signed: bytes, signature: bytes) -> str:
    """Return the compact JWS of a signing input and the card's signature over it."""
    return f"{signed.decode('ascii')}.{_base64url(signature).decode('ascii')}"


def parse(compact: str) -> Proof:
    """Read a proof that anybody may have written; Refused (`proof_invalid`) for any other text."""
    if len(compact) > MAXIMUM_LENGTH:
        _refuse(f"it has {len(compact)} characters, over {MAXIMUM_LENGTH}")
    parts = compact.split(".")
    if len(parts) != 3:
        _refuse("it is no compact JWS: three parts are expected")
    header_json, claims_json, signature = (_decoded(part) for part in parts)
    try:
        header = _headers.decode(header_json)
        claims = _claims.decode(claims_json)
        written = _encoder.encode(header), _encoder.encode(claims)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        _refuse("its header or its claims are not those of a proof")
    if written != (header_json, claims_json):
        _refuse("its header or its claims are not in the one form in which proofs are written")
    return Proof(claims, header.x5c, compact.rpartition(".")[0].encode("ascii"), signature)


def verify_signature(proof: Proof) -> None:
    """Return where the first certificate's key made the signature.

    Raises Refused: `proof_invalid`, `certificate_invalid`. Whether the certificate is to be
    trusted is another question (`trust`).
    """
    key = parse_certificate(proof.chain[0]).public_key
    try:
        key.verify(proof.signature, proof.signing_input, PKCS1v15(), SHA256())
    except InvalidSignature:
        _refuse("its signature is not by the key of its certificate")


def thumbprint(der: bytes) -> str:
    """Return the `x5t#S256` of a certificate (RFC 7515, 4.1.8)."""
    return _base64url(hashlib.sha256(der).digest()).decode("ascii")


def _decoded(part: str) -> bytes:
    """Return the bytes of a part; refuse padding, other alphabets and spare bits that are set."""
    try:
        value = base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True)
    except ValueError:
        value = b""
    if not value or _base64url(value) != part.encode("utf-8", "replace"):
        _refuse("a part of it is not canonical base64url")
    return value


def _base64url(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def _refuse(why: str) -> NoReturn:
    raise Refused(Code.PROOF_INVALID, f"the card's proof is refused: {why}; authenticate again")


_encoder = msgspec.json.Encoder()
_headers = msgspec.json.Decoder(_Header)
_claims = msgspec.json.Decoder(ProofClaims)
