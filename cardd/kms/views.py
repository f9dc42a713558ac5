"""What the registry's rows look like to those who may see them."""

from cardd.badges.model import Badge, Holder
from cardd.kms import messages as m


def claims(holder: Holder) -> m.HolderClaims:
    """Return who a holder is to a relying party."""
    return m.HolderClaims(
        id=holder.id,
        staff_number=holder.staff_number,
        given_name=holder.given_name,
        family_name=holder.family_name,
        accounts=holder.accounts,
        groups=holder.groups,
    )


def holder_view(holder: Holder) -> m.HolderView:
    """Return a holder as an administrator sees it."""
    return m.HolderView(
        id=holder.id,
        staff_number=holder.staff_number,
        given_name=holder.given_name,
        family_name=holder.family_name,
        accounts=holder.accounts,
        groups=holder.groups,
        national_ids=holder.national_ids,
        valid_from=holder.valid_from,
        valid_until=holder.valid_until,
        status=holder.status,
    )


def badge_view(badge: Badge, holder: Holder | None) -> m.BadgeView:
    """Return a badge as an administrator sees it."""
    return m.BadgeView(
        id=badge.id,
        number=badge.number,
        uid=badge.uid.hex().upper(),
        state=badge.state,
        reason=badge.reason,
        scheme=badge.scheme,
        generation=badge.generation,
        holder=None if holder is None else claims(holder),
        issued_at=badge.issued_at,
        expires_at=badge.expires_at,
    )
