"""All the rules, and the findings of a case, worst first."""

from cardd.badges.inspection import badge_rules, card_rules
from cardd.badges.inspection.case import Case
from cardd.badges.inspection.findings import Finding, Severity

_RULES = (
    badge_rules.keys,
    card_rules.default_keys,
    card_rules.uid,
    card_rules.product,
    card_rules.originality,
    badge_rules.registration,
    badge_rules.differences,
    badge_rules.generation,
    card_rules.free_settings,
    card_rules.free_files,
    card_rules.other_applications,
)
_WORST_FIRST = tuple(Severity)


def findings(case: Case) -> tuple[Finding, ...]:
    """Return what there is to say about a card, worst first, else in the order of the rules."""
    found = [finding for rule in _RULES for finding in rule(case)]
    return tuple(sorted(found, key=lambda finding: _WORST_FIRST.index(finding.severity)))
