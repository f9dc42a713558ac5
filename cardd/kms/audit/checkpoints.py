"""Checkpoints: signed statements of where a chain stood, and when.

One is a compact JWS (RFC 7515) by the key that signs assertions, told from those by its `typ`. As
each line carries the hash of the one before, a checkpoint vouches for all lines up to its own.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import jwt
import msgspec
from jwt.api_jws import PyJWS
from msgspec import Meta

from cardd.kms.audit.lines import Chain, Head
from cardd.kms.ports import AssertionSigner

TYP = "cardd-audit-checkpoint+jwt"
CHECKPOINT = "audit.checkpoint"
"""The event of the line that carries one, as its fact `jws`."""

_ALGORITHM = "ES256"  # RFC 7518, 3.4


class Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the chain of a replica stood: the number and hash of its last line, at `iat`.

    `iat` is in Unix seconds.
    """

    replica: str
    chain: str
    seq: Annotated[int, Meta(ge=1)]
    hash: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    iat: int

    @property
    def head(self) -> Head:
        """What it says of the chain."""
        return Head(self.seq, self.hash)


def sign(signer: AssertionSigner, chain: Chain, head: Head, now: float) -> str:
    """Return a checkpoint as a compact JWS; KmsUnavailable where the key cannot be used."""
    checkpoint = Checkpoint(chain.replica, chain.id, head.seq, head.hash, int(now))
    return signer.sign(msgspec.to_builtins(checkpoint), TYP)


def type_of(jws: str) -> str | None:
    """Return what a JWS says it is, unverified; None for what is no JWS, or does not say."""
    try:
        typ = jwt.get_unverified_header(jws).get("typ")
    except jwt.PyJWTError:
        return None
    return typ if isinstance(typ, str) else None


class CheckpointKeys:
    """The public keys that checkpoints are verified with: a JWK set (RFC 7517, 5).

    Raises ValueError for what is no such set, or has no key on P-256 with a `kid`.
    """

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        try:
            keys = jwt.PyJWKSet.from_dict(dict(jwks)).keys
        except (jwt.PyJWTError, AttributeError, TypeError, KeyError) as error:
            raise ValueError(f"it is no JWK set with a key in it: {error}") from None
        self._keys = {key.key_id: key for key in keys if key.algorithm_name == _ALGORITHM}
        if not self._keys:
            raise ValueError("it has no ES256 key")

    def verify(self, jws: str) -> Checkpoint:
        """Return what a checkpoint says; raise ValueError with the reason, in a clause."""
        try:
            header = jwt.get_unverified_header(jws)
        except jwt.PyJWTError:
            raise ValueError("it is no JWS") from None
        if header.get("typ") != TYP or header.get("alg") != _ALGORITHM:
            raise ValueError("it is a JWS for something else")
        key = self._keys.get(header.get("kid"))
        if key is None:
            raise ValueError("it is signed by a key that is not among the given ones")
        try:
            payload = PyJWS(algorithms=[_ALGORITHM]).decode(jws, key, algorithms=[_ALGORITHM])
        except jwt.PyJWTError:
            raise ValueError("its signature is wrong") from None
        try:
            return _decoder.decode(payload)
        except (msgspec.MsgspecError, ValueError):
            raise ValueError("it is signed, and does not say what a checkpoint says") from None


_decoder = msgspec.json.Decoder(Checkpoint)
