"""May this badge, or this person's own card, speak for this holder now?"""

from cardd.badges.model import Badge, Holder, HolderStatus, Scheme
from cardd.badges.states import BadgeState
from cardd.errors import Code, Refused

_REFUSALS = {
    BadgeState.BLANK: (Code.BADGE_UNKNOWN, "it is not encoded to the end; present it for encoding"),
    BadgeState.STOCK: (Code.BADGE_NOT_HANDED_OVER, "it has no holder yet"),
    BadgeState.ASSIGNED: (Code.BADGE_NOT_HANDED_OVER, "it was not handed over to its holder"),
    BadgeState.SUSPENDED: (Code.BADGE_SUSPENDED, "it is suspended"),
    BadgeState.REVOKED: (Code.BADGE_REVOKED, "it is revoked"),
    BadgeState.WIPED: (Code.BADGE_UNKNOWN, "it was wiped; present it for encoding"),
}


def admit(badge: Badge, holder: Holder | None, now: float) -> Holder:
    """Return the holder of a badge that may be used; raise Refused with the reason otherwise."""
    if badge.state in _REFUSALS:
        code, why = _REFUSALS[badge.state]
        raise Refused(code, f"badge {badge.number}: {why}")
    if badge.expires_at is None or now >= badge.expires_at:
        raise Refused(Code.BADGE_EXPIRED, f"badge {badge.number} has expired; encode another one")
    if holder is None:
        raise Refused(Code.BADGE_NOT_HANDED_OVER, f"badge {badge.number} has no holder")
    return admit_holder(holder, now)


def require_scheme(badge: Badge, minimum: Scheme) -> None:
    """Raise Refused (`card_not_supported`) for a badge of a weaker scheme than the site takes."""
    if not badge.scheme.meets(minimum):
        raise Refused(
            Code.CARD_NOT_SUPPORTED,
            f"badge {badge.number} was encoded for {badge.scheme}, and the site asks for "
            f"{minimum}; encode another one",
        )


def admit_holder(holder: Holder, now: float) -> Holder:
    """Return a holder who belongs here now; raise Refused (`holder_ended`) otherwise."""
    if holder.status is not HolderStatus.ACTIVE:
        raise Refused(Code.HOLDER_ENDED, f"holder {holder.id} has left")
    if holder.valid_from is not None and now < holder.valid_from:
        raise Refused(Code.HOLDER_ENDED, f"holder {holder.id} has not started yet")
    if holder.valid_until is not None and now >= holder.valid_until:
        raise Refused(Code.HOLDER_ENDED, f"holder {holder.id} is past the last day")
    return holder
