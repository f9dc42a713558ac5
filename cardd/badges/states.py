"""The states of a badge, and the one table of what may follow what."""

from enum import StrEnum

from cardd.errors import Code, Refused


class BadgeState(StrEnum):
    """Where a badge is in its life."""

    BLANK = "blank"  # prepared, or its encoding is under way
    STOCK = "stock"  # encoded, no holder
    ASSIGNED = "assigned"  # has a holder, not handed over
    ACTIVE = "active"
    SUSPENDED = "suspended"  # lost, forgotten or administrative; can come back
    REVOKED = "revoked"  # lost, stolen, faulty, returned, replaced or departed; for good
    WIPED = "wiped"


class BadgeEvent(StrEnum):
    """What happens to a badge."""

    ENCODE = "encode"
    ASSIGN = "assign"
    HAND_OVER = "hand_over"
    SUSPEND = "suspend"
    RESUME = "resume"
    REVOKE = "revoke"
    WIPE = "wipe"


class RevocationReason(StrEnum):
    """Why a badge is revoked."""

    LOST = "lost"
    STOLEN = "stolen"
    FAULTY = "faulty"
    RETURNED = "returned"
    REPLACED = "replaced"
    DEPARTED = "departed"


class SuspensionReason(StrEnum):
    """Why a badge is suspended."""

    LOST = "lost"
    FORGOTTEN = "forgotten"
    ADMINISTRATIVE = "administrative"


_S, _E = BadgeState, BadgeEvent
_NEXT = {
    (_S.BLANK, _E.ENCODE): _S.STOCK,
    (_S.BLANK, _E.REVOKE): _S.REVOKED,
    (_S.WIPED, _E.ENCODE): _S.STOCK,
    (_S.STOCK, _E.ASSIGN): _S.ASSIGNED,
    (_S.STOCK, _E.REVOKE): _S.REVOKED,
    (_S.ASSIGNED, _E.HAND_OVER): _S.ACTIVE,
    (_S.ASSIGNED, _E.REVOKE): _S.REVOKED,
    (_S.ACTIVE, _E.SUSPEND): _S.SUSPENDED,
    (_S.ACTIVE, _E.REVOKE): _S.REVOKED,
    (_S.SUSPENDED, _E.RESUME): _S.ACTIVE,
    (_S.SUSPENDED, _E.REVOKE): _S.REVOKED,
    (_S.REVOKED, _E.WIPE): _S.WIPED,
}


def following(state: BadgeState, event: BadgeEvent) -> BadgeState:
    """Return the state after an event; raise Refused (`conflict`) where the table has none."""
    try:
        return _NEXT[state, event]
    except KeyError:
        allowed = ", ".join(e for s, e in _NEXT if s is state) or "nothing"
        raise Refused(
            Code.CONFLICT, f"a badge that is {state} cannot {event}; it allows: {allowed}"
        ) from None
