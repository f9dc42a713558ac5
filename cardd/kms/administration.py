"""People and badges, as an administrator handles them."""

import dataclasses
import secrets

from cardd.badges import numbers
from cardd.badges.model import Badge, Holder
from cardd.badges.states import BadgeEvent, RevocationReason, following
from cardd.errors import Code, Refused
from cardd.kms import messages as m
from cardd.kms.core import Core
from cardd.kms.ports import Client
from cardd.kms.presences import end_open_presences
from cardd.kms.views import badge_view, holder_view


def add_holder(core: Core, client: Client, new: m.NewHolder) -> m.HolderView:
    """Register a person under a new opaque id."""
    if (
        new.valid_from is not None
        and new.valid_until is not None
        and new.valid_until <= new.valid_from
    ):
        raise Refused(Code.INVALID_REQUEST, "valid_until is not after valid_from")
    holder = Holder(
        id=secrets.token_hex(16),
        staff_number=new.staff_number,
        given_name=new.given_name,
        family_name=new.family_name,
        accounts=new.accounts,
        national_ids=new.national_ids,
        groups=new.groups,
        valid_from=new.valid_from,
        valid_until=new.valid_until,
    )
    with core.registry.atomically():
        core.registry.add_holder(holder)
        core.audit.record(
            "holder.added",
            durable=True,
            client=client.name,
            holder=holder.id,
            holder_version=holder.version,
        )
    return holder_view(holder)


def holders(core: Core, page: m.Page) -> m.HolderList:
    """List people by staff number."""
    rows, following_page = core.registry.holders(page)
    return m.HolderList(tuple(holder_view(holder) for holder in rows), following_page)


def badges(core: Core, page: m.Page) -> m.BadgeList:
    """List badges by number."""
    rows, following_page = core.registry.badges(page)
    return m.BadgeList(tuple(badge_view(*row) for row in rows), following_page)


def find_holder(core: Core, name: str) -> Holder:
    """Find a holder by id or staff number; Refused (`not_found`)."""
    holder = core.registry.holder(name) or core.registry.holder_by_staff_number(name)
    if holder is None:
        raise Refused(
            Code.NOT_FOUND, f"there is no holder {name!r}; `cardctl holder list` lists them"
        )
    return holder


def find_badge(core: Core, name: str) -> Badge:
    """Find a badge by id or printed number; Refused (`not_found`, `invalid_request`)."""
    badge = core.registry.badge(name)
    if badge is None:
        badge = core.registry.badge_by_number(numbers.parse(name))
    if badge is None:
        raise Refused(Code.NOT_FOUND, f"there is no badge {name}; `cardctl badge list` lists them")
    return badge


def revoke_badge(core: Core, client: Client, name: str, reason: str) -> m.BadgeView:
    """Revoke a badge and end its presences in one act, also where the audit cannot be written."""
    if reason not in set(RevocationReason):
        raise Refused(
            Code.INVALID_REQUEST,
            f"{reason!r} is no reason; give one of: {', '.join(RevocationReason)}",
        )
    with core.registry.atomically():
        badge = find_badge(core, name)
        state = following(badge.state, BadgeEvent.REVOKE)
        badge = core.registry.put_badge(dataclasses.replace(badge, state=state, reason=reason))
        # A full disk must not keep a stolen badge alive: the line may come late.
        core.audit.record_or_keep(
            "badge.revoked",
            client=client.name,
            badge=badge.id,
            badge_version=badge.version,
            state=badge.state.value,
            reason=reason,
        )
        ended = end_open_presences(core, badge.id, "badge_revoked")
    # After the act: within it, a holder's row is locked before a badge's, or not at all.
    holder = core.registry.holder(badge.holder_id) if badge.holder_id else None
    for told, notice in ended:
        core.notices.tell(told, notice)
    return badge_view(badge, holder)
