"""An inspection as its reader understands it: findings in their language."""

import time
from types import ModuleType
from typing import Any

import msgspec

from cardd.api import findings_en, findings_fr, problems
from cardd.api.models import FindingView, InspectionView
from cardd.badges.inspection.findings import Finding
from cardd.presence.model import Inspection

_CATALOGUES: dict[str, ModuleType] = {"fr": findings_fr, "en": findings_en}
_PICC = "000000"


def view(inspection: Inspection, language: str) -> dict[str, Any]:
    """Return an InspectionView, ready for JSON; problems keep their facts."""
    shown: dict[str, Any] = msgspec.to_builtins(
        InspectionView(
            card=inspection.card,
            badge=inspection.badge,
            unavailable=None,
            findings=tuple(said(finding, language) for finding in inspection.findings),
        )
    )
    if inspection.unavailable is not None:
        shown["unavailable"] = problems.members(inspection.unavailable, language)
    return shown


def said(finding: Finding, language: str) -> FindingView:
    """Put a finding into words."""
    catalogue = _CATALOGUES[language]
    words = {name: _word(catalogue, name, fact) for name, fact in finding.facts.items()}
    sentence, advice = catalogue.TEXTS[finding.code]
    sentence = sentence.format(**words)
    return FindingView(
        code=finding.code,
        severity=finding.severity,
        sentence=sentence[0].upper() + sentence[1:],
        advice=advice,
        facts=dict(finding.facts),
    )


def _word(catalogue: ModuleType, name: str, fact: Any) -> str:
    """Return a fact as people say it."""
    if isinstance(fact, tuple):
        return ", ".join(_word(catalogue, name, part) for part in fact)
    if name == "application":
        return str(catalogue.PICC if fact == _PICC else catalogue.APPLICATION.format(fact))
    if name == "at":
        return time.strftime("%Y-%m-%d", time.gmtime(fact))
    return str(catalogue.WORDS.get(fact, fact))
