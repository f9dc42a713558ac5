"""A tap, from the UID to the signed statement."""

from cardd.assurance import levels
from cardd.badges.admission import admit
from cardd.badges.model import Badge, Holder, Scheme
from cardd.errors import Code, Refused
from cardd.kms import messages as m
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
    key = core.keys.derive(Purpose.AUTHENTICATE, badge)
    yield from guarded(card.tap(badge, key))
    return _conclude(core, client, request)


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
    minimum = core.config.badge.minimum_scheme
    if not badge.scheme.meets(Scheme(minimum)):
        raise Refused(
            Code.CARD_NOT_SUPPORTED,
            f"badge {badge.number} was encoded for {badge.scheme}, and the site asks for "
            f"{minimum}; encode another one",
        )
    admitted = admit(badge, holder, core.now())
    if request.expect_holder is not None and admitted.id != request.expect_holder:
        raise Refused(Code.WRONG_PERSON, "this badge belongs to somebody else than was asked for")
    for wanted in request.requests:
        levels.require(levels.Acr.ONE_FACTOR, wanted.minimum_acr)
    return badge, admitted
