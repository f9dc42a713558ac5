"""What the registry knows of all badges, counted: before a re-key, and for who looks after them.

The registry does not keep a badge's product, only the scheme that it speaks; and no badge is lent
by it yet, so that `lent` is null.
"""

from collections import Counter
from collections.abc import Mapping

import msgspec

from cardd.badges.model import Badge, Holder, HolderStatus
from cardd.badges.states import BadgeState
from cardd.kms.key_use import all_badges
from cardd.kms.ports import Registry

DAY_S = 86_400
_HELD = {BadgeState.ACTIVE, BadgeState.SUSPENDED, BadgeState.ASSIGNED}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A badge that somebody should look at. Times are Unix seconds.

    `why` is `dormant` (`at`: its last use, or when it was issued), `expires` or `holder_leaves`
    (`at`: when), or `holder_left`.
    """

    number: str
    holder: str | None
    why: str
    at: int | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of all badges. Those by generation leave out what has no keys of ours."""

    made_at: int
    badges: int
    by_state: dict[str, int]
    by_scheme: dict[str, int]
    by_generation: dict[int, dict[str, int]]
    by_transport_generation: dict[int, int]
    dormant: tuple[Line, ...]
    leaving: tuple[Line, ...]
    lent: None = None


def make_report(registry: Registry, now: int, *, dormant_days: int, leaving_days: int) -> Report:
    """Count all badges; errors as Registry: a row that was altered ends the report."""
    last_used = registry.last_used()
    states: Counter[str] = Counter()
    schemes: Counter[str] = Counter()
    transport: Counter[int] = Counter()
    generations: dict[int, Counter[str]] = {}
    dormant: list[Line] = []
    leaving: list[Line] = []
    for badge, holder in all_badges(registry):
        states[badge.state.value] += 1
        if badge.transport_generation is not None:
            transport[badge.transport_generation] += 1
        if badge.state not in {BadgeState.BLANK, BadgeState.WIPED}:
            schemes[badge.scheme.value] += 1
            generations.setdefault(badge.generation, Counter())[badge.state.value] += 1
        if badge.state in _HELD:
            dormant += _dormant(badge, holder, last_used, now - dormant_days * DAY_S)
            leaving += _leaving(badge, holder, now + leaving_days * DAY_S)
    return Report(
        made_at=now,
        badges=states.total(),
        by_state=_sorted(states),
        by_scheme=_sorted(schemes),
        by_generation={g: _sorted(of) for g, of in sorted(generations.items())},
        by_transport_generation=dict(sorted(transport.items())),
        dormant=tuple(dormant),
        leaving=tuple(leaving),
    )


def _dormant(
    badge: Badge, holder: Holder | None, last_used: Mapping[str, int], before: int
) -> list[Line]:
    used = last_used.get(badge.id, badge.issued_at or 0)
    return [_line(badge, holder, "dormant", used)] if used <= before else []


def _leaving(badge: Badge, holder: Holder | None, before: int) -> list[Line]:
    if holder is not None and holder.status is HolderStatus.ENDED:
        return [_line(badge, holder, "holder_left", holder.valid_until)]
    if holder is not None and holder.valid_until is not None and holder.valid_until <= before:
        return [_line(badge, holder, "holder_leaves", holder.valid_until)]
    if badge.expires_at is not None and badge.expires_at <= before:
        return [_line(badge, holder, "expires", badge.expires_at)]
    return []


def _line(badge: Badge, holder: Holder | None, why: str, at: int | None) -> Line:
    return Line(
        number=badge.number,
        holder=None if holder is None else holder.staff_number,
        why=why,
        at=at,
    )


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
