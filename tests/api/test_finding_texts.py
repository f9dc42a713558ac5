"""Each finding in words: in both languages, from the facts that the rules give."""

import string
from typing import get_args

import pytest

from cardd.api import findings_en, findings_fr
from cardd.api.inspections import said
from cardd.badges.inspection.facts import Difference, KeyMatch
from cardd.badges.inspection.findings import Fact, Finding, FindingCode
from cardd.badges.states import BadgeState

pytestmark = pytest.mark.unit

FACTS: dict[FindingCode, dict[str, Fact]] = {
    FindingCode.DEFAULT_KEY: {"application": "000000", "keys": (0,)},
    FindingCode.KEY_NEVER_SET: {"application": "123456", "keys": (0, 1)},
    FindingCode.SHARED_KEY: {"key": "authenticate", "match": "zeros"},
    FindingCode.PICC_KEY_NOT_OURS: {},
    FindingCode.BADGE_KEY_NOT_OURS: {"keys": ("master", "authenticate")},
    FindingCode.FREE_CREATE_DELETE: {"application": "000000"},
    FindingCode.FREE_LISTING: {"application": "000000"},
    FindingCode.FREE_ACCESS_FILE: {"application": "123456", "file": 1, "rights": ("read",)},
    FindingCode.RANDOM_UID: {},
    FindingCode.UID_LENGTH: {"bytes": 4},
    FindingCode.UID_MISMATCH: {"reader": "04112233445566", "card": "04998877665544"},
    FindingCode.NOT_A_DESFIRE: {"hardware": "?"},
    FindingCode.PRODUCT_UNKNOWN: {"hardware": "40.00"},
    FindingCode.PRODUCT_WITHOUT_AES: {},
    FindingCode.BELOW_MINIMUM_SCHEME: {"scheme": "ev1-aes", "minimum": "ev2-aes"},
    FindingCode.NOT_ORIGINAL: {},
    FindingCode.TEST_SIGNATURE: {},
    FindingCode.OTHER_APPLICATIONS: {"count": 2, "applications": ("123456", "654321")},
    FindingCode.NOT_REGISTERED: {"application": "F5CA4D"},
    FindingCode.NOT_IN_USE: {"state": "revoked"},
    FindingCode.UNFINISHED: {"procedure": "encode-factory"},
    FindingCode.EXPIRED: {"at": 1_800_000_000},
    FindingCode.OUTDATED_GENERATION: {"generation": 1, "current": 2},
    FindingCode.REGISTRY_DISAGREES: {"what": ("content", "files")},
}
CATALOGUES = {"en": findings_en, "fr": findings_fr}


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("code", list(FindingCode))
def test_every_finding_has_a_sentence_and_an_advice(code: FindingCode, language: str) -> None:
    shown = said(Finding(code, FACTS[code]), language)
    assert shown.sentence[0] == shown.sentence[0].upper()
    assert shown.sentence.endswith(".")
    assert shown.advice.endswith(".")
    assert "{" not in shown.sentence + shown.advice


@pytest.mark.parametrize("code", list(FindingCode))
def test_both_languages_say_the_same_facts(code: FindingCode) -> None:
    fields = [
        {name for _, name, _, _ in string.Formatter().parse(catalogue.TEXTS[code].sentence) if name}
        for catalogue in CATALOGUES.values()
    ]
    assert fields[0] == fields[1]
    assert fields[0] <= set(FACTS[code])


@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_code_is_left_where_a_person_expects_a_word(language: str) -> None:
    words = CATALOGUES[language].WORDS
    bad: set[str] = {"another-badge", "without-uid", "zeros"}
    assert bad < set(get_args(KeyMatch))
    states = {state.value for state in BadgeState} - {"active"}
    rights = {"read", "write", "read-write", "change", "value"}
    procedures = {"prepare", "encode-factory", "encode-transport", "rekey", "wipe"}
    assert bad | states | rights | procedures | set(get_args(Difference)) <= set(words)
    assert set(findings_en.WORDS) == set(findings_fr.WORDS)


def test_a_finding_in_french_and_in_english() -> None:
    finding = Finding(FindingCode.DEFAULT_KEY, {"application": "F5CA4D", "keys": (0, 1)})
    assert said(finding, "en").sentence == (
        "Anybody knows a key of application F5CA4D: it is made of zeros (key 0, 1)."
    )
    assert said(finding, "fr").sentence == (
        "Tout le monde connaît une clé de l'application F5CA4D : elle est faite de zéros "
        "(clé 0, 1)."
    )


def test_a_date_is_one() -> None:
    finding = Finding(FindingCode.EXPIRED, {"at": 1_800_000_000})
    assert "2027-01-15" in said(finding, "en").sentence
