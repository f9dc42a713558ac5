"""Cards of a test IGC-Santé that sign proofs, and key services that judge them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15

from cardd.badges.model import Holder
from cardd.config import Config, Trust
from cardd.cps import proof
from cardd.cps.proof import ProofClaims, ProofPurpose
from cardd.errors import Code, Refused
from cardd.kms import messages as m
from cardd.kms.audit.verification import verify as verify_audit
from cardd.kms.ports import KeyService
from simulators.pki import Pki, Profile
from tests.kms.kms_world import NONCE, MovedClock, configuration, key_service

NOW = 1_800_000_000
AUDIENCE = "https://dpi.test"
REQUEST = m.AssertionRequest(audience=AUDIENCE, nonce=NONCE)
STRONG = m.AssertionRequest(audience=AUDIENCE, nonce=NONCE, minimum_acr="urn:cardd:acr:strong")  # type: ignore[arg-type]
NATIONAL_ID = "899700000012"


@dataclass(frozen=True)
class Card:
    """A certificate, those above it, and its key, with which another library signs."""

    chain: tuple[bytes, ...]
    key: RSA.RsaKey

    def prove(self, claims: ProofClaims) -> str:
        signed = proof.signing_input(claims, self.chain)
        return proof.assemble(signed, pkcs1_15.new(self.key).sign(SHA256.new(signed)))


def issued(pki: Pki, profile: Profile, key: bytes | None = None) -> Card:
    made = pki.issue(profile, key)
    return Card((made.certificate, pki.intermediate.der), RSA.import_key(made.key))


@dataclass
class Desk:
    """A workstation, its key service, and the clock of both."""

    service: KeyService
    clock: MovedClock

    def claims(self, **changes: Any) -> ProofClaims:
        """Return the claims of a good proof over a new challenge, but for the changes."""
        challenge = changes.pop("kms_challenge", None) or self.service.challenge().value
        plain = proof.new_claims(
            purpose=ProofPurpose.LOGIN,
            audience=AUDIENCE,
            nonce=NONCE,
            kms_challenge=challenge,
            now=int(self.clock.now()),
        )
        return msgspec.structs.replace(plain, **changes)

    def login(self, card: Card, **changes: Any) -> m.Authenticated:
        return self.service.authenticate_cps(card.prove(self.claims(**changes)), (REQUEST,))

    def add(self, number: str = "A1", national_id: str = NATIONAL_ID, **fields: Any) -> str:
        """Register a person; return the id."""
        new = m.NewHolder(staff_number=number, national_ids=(national_id,), **fields)
        return self.service.add_holder(new).id

    def change(self, holder_id: str, **fields: Any) -> None:
        """Change a person as no verb does yet."""
        registry = self.service._core.registry  # type: ignore[attr-defined]
        holder: Holder = registry.holder(holder_id)
        registry.put_holder(replace(holder, **fields))

    def other(self, **fields: Any) -> "Desk":
        """Return the same key service as another client sees it."""
        face: Any = self.service
        return Desk(type(face)(face._core, replace(face._client, **fields)), self.clock)


@contextmanager
def desk(folder: Path, pki: Pki, **trust: Any) -> Iterator[Desk]:
    """Open a key service that trusts a PKI, with a person who has its holder's card."""
    clock = MovedClock(NOW)
    with key_service(trusting(configuration(folder), pki, **trust), clock) as service:
        yield Desk(service, clock)


def trusting(config: Config, pki: Pki, **trust: Any) -> Config:
    settings: dict[str, Any] = {
        "roots": pki.roots,
        "intermediates": pki.intermediates,
        "crls": pki.crls,
        "allow_test_cards": True,
    }
    return msgspec.structs.replace(config, trust=Trust(**settings | trust))


def refusal(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Code:
    with pytest.raises(Refused) as caught:
        call(*arguments, **keywords)
    return caught.value.code


def statement(here: Desk, assertion: str) -> dict[str, Any]:
    """Return the claims of an assertion, verified with the key service's public key alone."""
    return jwt.decode(  # type: ignore[no-any-return]
        assertion,
        jwt.PyJWKSet.from_dict(here.service.jwks()).keys[0].key,
        algorithms=["ES256"],
        audience=AUDIENCE,
        issuer="https://cardd.test",
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )


def lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / "audit.jsonl"
    assert verify_audit(path).lines > 0
    return [json.loads(line) for line in path.read_text().splitlines()]
