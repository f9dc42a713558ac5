"""A CPS login: the proof that the card signed, from its challenge to the signed statement.

Every check of it is here or called from here, and any that fails refuses the whole proof. The
cheap ones come first, so that only what a card signed now makes the key service validate a chain.
"""

from dataclasses import dataclass

from cardd.assurance import levels
from cardd.badges.admission import admit_holder
from cardd.badges.model import Holder
from cardd.cps.identity import identity
from cardd.cps.proof import LIFETIME_S, Proof, ProofClaims, ProofPurpose, verify_signature
from cardd.cps.trust_usage import Usage
from cardd.errors import Code, Refused
from cardd.kms import challenges
from cardd.kms import messages as m
from cardd.kms.core import Core
from cardd.kms.ports import Client
from cardd.kms.presences import Proven, conclude, new_presence
from cardd.kms.rights import require_audiences

_Worth = tuple[levels.Acr, tuple[str, ...]]
CONTACT: _Worth = (levels.Acr.STRONG, levels.CPS_PIN_AMR)
CONTACTLESS: _Worth = (levels.Acr.ONE_FACTOR, levels.CPS_AMR)


@dataclass(frozen=True, slots=True)
class Login:
    """A proof that was read, and what is asked for on it."""

    proof: Proof
    requests: tuple[m.AssertionRequest, ...]
    presence: bool
    expect_holder: str | None


def challenge(core: Core, client: Client) -> m.Challenge:
    """Issue a challenge for one proof of this client."""
    now = core.now()
    value = core.challenges.issue(client.name, now)
    return m.Challenge(value, issued_at=now, expires_at=now + challenges.LIFETIME_S)


def authenticate(core: Core, client: Client, login: Login) -> m.Authenticated:
    """Verify a proof, find whom it names, then open, sign and answer."""
    require_audiences(client, login.requests)
    claims = login.proof.claims
    issued_at = _spend(core, client, claims)
    _require_fields(claims, login, core.config.site.issuer)
    _require_times(claims, issued_at, core.now(), core.config.trust.clock_skew_s)
    verify_signature(login.proof)
    proven, national_id = _proven(core, login.proof)
    for wanted in login.requests:
        levels.require(proven.acr, wanted.minimum_acr)
    with core.registry.atomically():
        holder = _holder(core, national_id)
        if login.expect_holder is not None and holder.id != login.expect_holder:
            raise Refused(Code.WRONG_PERSON, "this card is somebody else's than was asked for")
        record = new_presence(core, client, holder, proven)
        return conclude(core, "cps.succeeded", holder, record, login)


def _spend(core: Core, client: Client, claims: ProofClaims) -> int:
    """Spend the proof's challenge; return when it was issued."""
    if claims.kms_challenge is None:
        raise _invalid("it has no challenge of the key service, and is evidence for others alone")
    return core.challenges.spend(client.name, claims.kms_challenge)


def _require_fields(claims: ProofClaims, login: Login, issuer: str) -> None:
    """Refuse a proof that was not signed for this purpose and these requests."""
    if claims.purpose is not ProofPurpose.LOGIN:
        raise _invalid(f"it is for the purpose {claims.purpose}, and this is a login")
    if not login.requests and claims.aud != issuer:
        raise _invalid(
            f"it is for {claims.aud!r}; where no assertion is asked for, it names "
            f"the key service's issuer, {issuer!r}"
        )
    for request in login.requests:
        if claims.aud != request.audience:
            raise _invalid(f"it is for {claims.aud!r}, and the request for {request.audience!r}")
        if claims.nonce != request.nonce:
            raise _invalid("it has another nonce than the request")


def _require_times(claims: ProofClaims, issued_at: int, now: int, skew_s: int) -> None:
    """Refuse a proof that is not of the time between its challenge and now; Unix seconds."""
    if not 0 < claims.exp - claims.iat <= LIFETIME_S:
        raise _invalid(
            f"it is made to live {claims.exp - claims.iat} s; 1 to {LIFETIME_S} are accepted"
        )
    if claims.iat > now + skew_s:
        raise _invalid(
            f"it is dated {claims.iat - now} s ahead of the key service's time; set the clock of "
            "the workstation"
        )
    if claims.iat < issued_at - skew_s:
        raise _invalid(
            f"it is dated {issued_at - claims.iat} s before its challenge; set the clock of the "
            "workstation"
        )
    if now >= claims.exp + skew_s:
        raise _invalid(f"it expired {now - claims.exp} s ago by the key service's time")


def _proven(core: Core, proof: Proof) -> tuple[Proven, str]:
    """Return what the proof is worth, by its certificate alone, and whom that names.

    `strong` is for a certificate that positively is a contact card's authentication certificate,
    whose key the card uses after the PIN only. Any other is one factor, where that is allowed.
    """
    now = core.now()
    try:
        certificate = core.trust.check(proof.chain, Usage.CONTACT_AUTHENTICATION, now)
        acr, amr = CONTACT
    except Refused as refusal:
        if refusal.code is not Code.CERTIFICATE_USAGE or not core.config.trust.allow_contactless:
            raise
        certificate = core.trust.check(proof.chain, Usage.CONTACTLESS_AUTHENTICATION, now)
        acr, amr = CONTACTLESS
    ends_at = int(certificate.not_after.timestamp())
    proven = Proven(acr, amr, certificate=certificate.x5t_s256, valid_until=ends_at)
    return proven, identity(certificate).national_id.value


def _holder(core: Core, national_id: str) -> Holder:
    """Find the one person who has a national identifier and belongs here now."""
    found = core.registry.holders_by_national_id(national_id)
    if not found:
        raise Refused(
            Code.HOLDER_UNKNOWN,
            "nobody here has the national identifier of this card; register it with the person",
        )
    admitted = [holder for holder in found if _is_admitted(holder, core.now())]
    if len(admitted) > 1:
        raise Refused(
            Code.CONFLICT,
            f"{len(admitted)} people are registered with the national identifier of this card; "
            "correct the one to whom it does not belong",
        )
    return admitted[0] if admitted else admit_holder(found[0], core.now())


def _is_admitted(holder: Holder, now: int) -> bool:
    try:
        admit_holder(holder, now)
    except Refused:
        return False
    return True


def _invalid(why: str) -> Refused:
    return Refused(Code.PROOF_INVALID, f"the card's proof is refused: {why}")
