"""What the registry and a badge's own keys tell, and what there is to say about it."""

from collections.abc import Iterator

from cardd.badges.inspection.case import Case
from cardd.badges.inspection.facts import KeyMatch
from cardd.badges.inspection.findings import Finding, FindingCode
from cardd.badges.states import BadgeState

_WITH_OWN_KEYS = frozenset(
    {
        BadgeState.STOCK,
        BadgeState.ASSIGNED,
        BadgeState.ACTIVE,
        BadgeState.SUSPENDED,
        BadgeState.REVOKED,
    }
)
_USABLE = BadgeState.ACTIVE
_COMMON: frozenset[KeyMatch] = frozenset({"another-badge", "without-uid", "zeros"})


def keys(case: Case) -> Iterator[Finding]:
    """Say where a badge answers to a key that others have too, or to none of ours."""
    registry, badge = case.registry, case.badge
    if registry is None or badge is None:
        return
    matches = {
        "picc": badge.picc_key,
        "master": badge.master_key,
        "authenticate": badge.authenticate_key,
    }
    for key, match in matches.items():
        if match in _COMMON:
            yield Finding.of(FindingCode.SHARED_KEY, key=key, match=match)
    if registry.state not in _WITH_OWN_KEYS:
        return
    if registry.picc == "ours" and badge.picc_key is None:
        yield Finding.of(FindingCode.PICC_KEY_NOT_OURS)
    missing = tuple(key for key in ("master", "authenticate") if matches[key] is None)
    if missing and "application" not in badge.differences:
        yield Finding.of(FindingCode.BADGE_KEY_NOT_OURS, keys=missing)


def registration(case: Case) -> Iterator[Finding]:
    """Say where a badge is not in the registry, not in use, expired or half done."""
    registry = case.registry
    if registry is None:
        if case.is_unknown and case.policy.aid in case.listed:
            yield Finding.of(FindingCode.NOT_REGISTERED, application=case.policy.aid)
        return
    if registry.unfinished is not None:
        yield Finding.of(FindingCode.UNFINISHED, procedure=registry.unfinished)
    elif registry.state != _USABLE:
        yield Finding.of(FindingCode.NOT_IN_USE, state=registry.state)
    if registry.expired:
        yield Finding.of(FindingCode.EXPIRED, at=registry.expires_at or 0)


def generation(case: Case) -> Iterator[Finding]:
    """Say that a badge's keys come from an older generation of the masters."""
    registry = case.registry
    if registry is None or registry.state not in _WITH_OWN_KEYS:
        return
    if registry.generation < registry.current_generation:
        yield Finding.of(
            FindingCode.OUTDATED_GENERATION,
            generation=registry.generation,
            current=registry.current_generation,
        )


def differences(case: Case) -> Iterator[Finding]:
    """Say where a badge that was encoded to the end is not as it was encoded."""
    registry, badge = case.registry, case.badge
    if registry is None or badge is None or registry.unfinished is not None:
        return
    if registry.state in _WITH_OWN_KEYS and badge.differences:
        yield Finding.of(FindingCode.REGISTRY_DISAGREES, what=badge.differences)
