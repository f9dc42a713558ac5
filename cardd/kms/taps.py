"""A tap, from the UID to the signed statement."""

from cardd.assurance import levels
from cardd.badges.admission import admit, require_scheme
from cardd.badges.model import Badge, Holder
from cardd.desfire.status import Status
from cardd.errors import Code, Refused
from cardd.kms import messages as m
from cardd.kms import rekeying
from cardd.kms.core import Core
from cardd.kms.ports import Client, Purpose, Right
from cardd.kms.presences import Proven, conclude, new_presence
from cardd.kms.procedures import tap as card
from cardd.kms.procedures.guard import guarded
from cardd.kms.procedures.ports import Driven
from cardd.kms.rights import require, require_audiences
from cardd.kms.runs import Begun


def begin(core: Core, client: Client, request: m.Tap) -> Begun:
    """Return the procedure for a badge that may be used; Refused before the card is asked."""
    require(client, Right.TAP)
    require_audiences(client, request.requests)
    badge, _ = _admitted(core, request)
    return Begun(_tap(core, client, request, badge))


def _tap(core: Core, client: Client, request: m.Tap, badge: Badge) -> Driven[m.Outcome]:
    key = core.keys.key(Purpose.AUTHENTICATE, badge)
    try:
        yield from guarded(card.tap(badge, key), registered=True)
    except Refused as refusal:
        raise _explained(core, badge, refusal) from None
    return _conclude(core, client, request)


def _explained(core: Core, badge: Badge, refusal: Refused) -> Refused:
    """Say that a badge whose re-key was cut has a new key, where that may be why it failed."""
    other_key = refusal.facts.get("status") == f"{Status.AUTHENTICATION_ERROR.word:04X}"
    if not other_key or not rekeying.unfinished(core, badge):
        return refusal
    return Refused(
        Code.BADGE_UNFINISHED,
        f"the re-key of badge {badge.number} was cut, and its old key opens it no more; show it "
        "at a badge desk, where the re-key is finished",
        number=badge.number,
    )


def _conclude(core: Core, client: Client, request: m.Tap) -> m.Authenticated:
    """Look again, since the badge may have been revoked meanwhile; then open, sign and answer."""
    with core.registry.atomically():
        badge, holder = _admitted(core, request)
        proven = Proven(levels.Acr.ONE_FACTOR, levels.BADGE_AMR, badge_id=badge.id)
        record = new_presence(core, client, holder, proven)
        return conclude(core, "tap.succeeded", holder, record, request)


def _admitted(core: Core, request: m.Tap) -> tuple[Badge, Holder]:
    found = core.registry.badge_and_holder(request.uid)
    if found is None:
        raise Refused(
            Code.BADGE_UNKNOWN,
            "this badge is not in the registry; have it encoded at the badge desk",
        )
    badge, holder = found
    require_scheme(badge, core.minimum_scheme)
    admitted = admit(badge, holder, core.now())
    if request.expect_holder is not None and admitted.id != request.expect_holder:
        raise Refused(Code.WRONG_PERSON, "this badge belongs to somebody else than was asked for")
    for wanted in request.requests:
        levels.require(levels.Acr.ONE_FACTOR, wanted.minimum_acr)
    return badge, admitted
