"""Each finding, by hand: the facts that make it, and the facts next to them that do not."""

from typing import Any

import msgspec
import pytest

from cardd.badges.inspection.case import Case, Policy
from cardd.badges.inspection.facts import (
    ApplicationFacts,
    BadgeFacts,
    CardFacts,
    FileFacts,
    KeySettingsFacts,
    OriginalityFacts,
    RegistryFacts,
    RightsFacts,
)
from cardd.badges.inspection.findings import Finding, FindingCode, Severity
from cardd.badges.inspection.reading import application_facts
from cardd.badges.inspection.rules import findings
from cardd.badges.model import Scheme
from cardd.desfire.file_settings import parse_file_settings
from cardd.desfire.inspection import ApplicationContent, FileContent

pytestmark = pytest.mark.unit

OURS = "F5CA4D"
THEIRS = "123456"
UID = "04112233445566"
POLICY = Policy(OURS, Scheme.EV1_AES)
CLOSED = KeySettingsFacts(0, True, False, False, True)
OPEN = KeySettingsFacts(0, True, True, True, True)
CLOSED_RIGHTS = RightsFacts(read=1, write="never", read_write="never", change="never")
FREE_READING = msgspec.structs.replace(CLOSED_RIGHTS, read="free")
PICC = ApplicationFacts(aid="000000", settings=CLOSED, key_versions=(7,))

CARD = CardFacts(
    uid=UID,
    uid_kind="double",
    ats="067577810280",
    product="ev2",
    scheme="ev2-aes",
    hardware="12.00",
    storage_bytes=(8192, 8192),
    batch="0102030405",
    production=None,
    told_uid=UID,
    originality=OriginalityFacts("genuine", "EV2"),
    picc=PICC,
    free_bytes=5000,
    listed=None,
    applications=(),
    refused=(),
)
REGISTRY = RegistryFacts(
    badge="ab" * 16,
    number="12345670",
    state="active",
    reason=None,
    scheme="ev2-aes",
    picc="ours",
    generation=7,
    current_generation=7,
    issued_at=1_700_000_000,
    expires_at=1_800_000_000,
    expired=False,
    unfinished=None,
)
APPLICATION = ApplicationFacts(
    aid=OURS,
    settings=CLOSED,
    key_count=2,
    key_type="aes",
    key_versions=(7, 7),
    files=(FileFacts(number=1, type="standard", mode="full", size_bytes=32, read=1, write=0,
                     read_write="never", change=0),),
)  # fmt: skip
BADGE = BadgeFacts(
    picc_key="own",
    master_key="own",
    authenticate_key="own",
    picc=PICC,
    free_bytes=5000,
    listed=(OURS,),
    application=APPLICATION,
    differences=(),
)


def of_a_card(policy: Policy = POLICY, *, is_unknown: bool = True, **card: Any) -> list[Finding]:
    """Return the findings of a card that is no badge of ours."""
    seen = msgspec.structs.replace(CARD, **card)
    return list(findings(Case(seen, policy, is_unknown=is_unknown)))


def of_a_badge(registry: dict[str, Any] | None = None, **badge: Any) -> list[Finding]:
    """Return the findings of a badge of ours."""
    known = msgspec.structs.replace(REGISTRY, **(registry or {}))
    read = msgspec.structs.replace(BADGE, **badge)
    return list(findings(Case(CARD, POLICY, known, read)))


def one(found: list[Finding], code: FindingCode) -> dict[str, Any]:
    """Return the facts of the only finding, which has this code."""
    assert [finding.code for finding in found] == [code]
    return dict(found[0].facts)


def test_of_a_badge_as_it_should_be_there_is_nothing_to_say() -> None:
    assert of_a_badge() == []
    assert of_a_card() == []


def test_a_key_of_zeros() -> None:
    level = msgspec.structs.replace(PICC, default_keys=(0,))
    facts = one(of_a_card(picc=level), FindingCode.DEFAULT_KEY)
    assert facts == {"application": "000000", "keys": (0,)}
    refused = msgspec.structs.replace(PICC, default_keys=())
    assert of_a_card(picc=refused) == []


def test_a_key_that_has_no_version_was_perhaps_never_set() -> None:
    level = msgspec.structs.replace(PICC, key_versions=(0,))
    facts = one(of_a_card(picc=level), FindingCode.KEY_NEVER_SET)
    assert facts == {"application": "000000", "keys": (0,)}
    tried = msgspec.structs.replace(level, default_keys=())
    assert of_a_card(picc=tried) == [], "it was tried, and it is set"


@pytest.mark.parametrize("match", ["another-badge", "without-uid", "zeros"])
@pytest.mark.parametrize("key", ["picc", "master", "authenticate"])
def test_a_key_that_others_have_too(key: str, match: str) -> None:
    changed: dict[str, Any] = {f"{key}_key": match}
    facts = one(of_a_badge(**changed), FindingCode.SHARED_KEY)
    assert facts == {"key": key, "match": match}


def test_a_picc_key_that_is_not_ours() -> None:
    assert one(of_a_badge(picc_key=None), FindingCode.PICC_KEY_NOT_OURS) == {}
    assert of_a_badge({"picc": "foreign"}, picc_key=None) == []


def test_badge_keys_that_are_not_ours() -> None:
    facts = one(of_a_badge(authenticate_key=None), FindingCode.BADGE_KEY_NOT_OURS)
    assert facts == {"keys": ("authenticate",)}


def test_an_application_that_is_gone_is_said_once() -> None:
    found = of_a_badge(
        master_key=None, authenticate_key=None, application=None, differences=("application",)
    )
    assert one(found, FindingCode.REGISTRY_DISAGREES) == {"what": ("application",)}


@pytest.mark.parametrize("state", ["blank", "wiped"])
def test_a_badge_that_was_never_encoded_or_was_wiped_need_not_have_our_keys(state: str) -> None:
    found = of_a_badge({"state": state}, picc_key=None, master_key=None, authenticate_key=None)
    assert one(found, FindingCode.NOT_IN_USE) == {"state": state}


def test_free_create_and_delete() -> None:
    settings = msgspec.structs.replace(CLOSED, free_create_delete=True)
    level = msgspec.structs.replace(PICC, settings=settings)
    found = one(of_a_card(picc=level), FindingCode.FREE_CREATE_DELETE)
    assert found == {"application": "000000"}
    application = msgspec.structs.replace(APPLICATION, settings=settings)
    found = one(of_a_badge(application=application), FindingCode.FREE_CREATE_DELETE)
    assert found == {"application": OURS}


def test_free_listing() -> None:
    settings = msgspec.structs.replace(CLOSED, free_directory=True)
    level = msgspec.structs.replace(PICC, settings=settings)
    assert one(of_a_card(picc=level), FindingCode.FREE_LISTING) == {"application": "000000"}


@pytest.mark.parametrize(
    ("change", "rights"),
    [
        ({"read": "free"}, ("read",)),
        ({"read_write": "free", "write": "free"}, ("write", "read-write")),
        ({"change": "free"}, ("change",)),
        ({"free_get_value": True}, ("value",)),
        ({"additional": (CLOSED_RIGHTS, FREE_READING), "change": "free"}, ("read", "change")),
    ],
)
def test_a_file_with_free_access(change: dict[str, Any], rights: tuple[str, ...]) -> None:
    assert APPLICATION.files is not None
    file = msgspec.structs.replace(APPLICATION.files[0], **change)
    application = msgspec.structs.replace(APPLICATION, files=(file,))
    facts = one(of_a_badge(application=application), FindingCode.FREE_ACCESS_FILE)
    assert facts == {"application": OURS, "file": 1, "rights": rights}


def test_a_file_that_a_further_set_of_rights_opens_is_not_taken_for_a_closed_one() -> None:
    closed_but_for_reading = parse_file_settings(bytes.fromhex("00 83 F0 1F 200000 01 FF EF"))
    content = ApplicationContent(
        int(OURS, 16), None, None, files=(FileContent(3, closed_but_for_reading),)
    )
    facts = one(of_a_badge(application=application_facts(content)), FindingCode.FREE_ACCESS_FILE)
    assert facts == {"application": OURS, "file": 3, "rights": ("read",)}


def test_a_random_uid() -> None:
    found = of_a_card(uid="08A1B2C3", uid_kind="random", told_uid=None)
    assert one(found, FindingCode.RANDOM_UID) == {}


@pytest.mark.parametrize(("kind", "size"), [("single", 4), ("triple", 10)])
def test_a_uid_of_another_length(kind: str, size: int) -> None:
    found = of_a_card(uid="04" * size, uid_kind=kind, told_uid=None)
    assert one(found, FindingCode.UID_LENGTH) == {"bytes": size}


def test_a_card_that_tells_another_uid_than_the_reader() -> None:
    facts = one(of_a_card(told_uid="04998877665544"), FindingCode.UID_MISMATCH)
    assert facts == {"reader": UID, "card": "04998877665544"}


def test_a_card_that_is_no_desfire() -> None:
    nothing = ApplicationFacts(aid="000000")
    found = of_a_card(product=None, scheme=None, hardware=None, told_uid=None, picc=nothing)
    assert one(found, FindingCode.NOT_A_DESFIRE) == {"hardware": "?"}


def test_a_product_that_is_not_known() -> None:
    found = of_a_card(product=None, scheme=None, hardware="40.00")
    assert one(found, FindingCode.PRODUCT_UNKNOWN) == {"hardware": "40.00"}


def test_a_product_without_aes() -> None:
    assert one(of_a_card(product="d40", scheme=None), FindingCode.PRODUCT_WITHOUT_AES) == {}


def test_a_product_below_the_minimum() -> None:
    strict = Policy(OURS, Scheme.EV2_AES)
    facts = one(of_a_card(strict, product="ev1", scheme="ev1-aes"),
                FindingCode.BELOW_MINIMUM_SCHEME)  # fmt: skip
    assert facts == {"scheme": "ev1-aes", "minimum": "ev2-aes"}
    assert of_a_card(product="ev1", scheme="ev1-aes") == []


def test_a_chip_that_is_not_original() -> None:
    found = of_a_card(originality=OriginalityFacts("not-verified"))
    assert one(found, FindingCode.NOT_ORIGINAL) == {}
    assert of_a_card(originality=OriginalityFacts("not-supported")) == []


def test_a_virtual_card() -> None:
    found = of_a_card(originality=OriginalityFacts("genuine", "test", test=True))
    assert one(found, FindingCode.TEST_SIGNATURE) == {}


def test_applications_of_other_parties() -> None:
    facts = one(of_a_badge(listed=(OURS, THEIRS)), FindingCode.OTHER_APPLICATIONS)
    assert facts == {"count": 1, "applications": (THEIRS,)}
    assert one(of_a_card(listed=(THEIRS,)), FindingCode.OTHER_APPLICATIONS)["count"] == 1


def test_a_card_with_our_application_that_the_registry_does_not_know() -> None:
    found = of_a_card(applications=(msgspec.structs.replace(APPLICATION, files=None),))
    assert one(found, FindingCode.NOT_REGISTERED) == {"application": OURS}
    down = of_a_card(applications=(APPLICATION,), is_unknown=False)
    assert down == [], "where the key service was not asked, nobody knows"


@pytest.mark.parametrize("state", ["stock", "assigned", "suspended", "revoked"])
def test_a_badge_that_is_not_in_use(state: str) -> None:
    assert one(of_a_badge({"state": state}), FindingCode.NOT_IN_USE) == {"state": state}


def test_a_badge_that_is_half_done() -> None:
    found = of_a_badge(
        {"state": "blank", "unfinished": "encode-factory"}, differences=("application",)
    )
    assert one(found, FindingCode.UNFINISHED) == {"procedure": "encode-factory"}


def test_a_badge_that_has_expired() -> None:
    assert one(of_a_badge({"expired": True}), FindingCode.EXPIRED) == {"at": 1_800_000_000}


def test_keys_of_an_older_generation() -> None:
    facts = one(of_a_badge({"generation": 6}), FindingCode.OUTDATED_GENERATION)
    assert facts == {"generation": 6, "current": 7}


def test_a_badge_that_is_not_as_the_registry_says() -> None:
    facts = one(of_a_badge(differences=("content", "files")), FindingCode.REGISTRY_DISAGREES)
    assert facts == {"what": ("content", "files")}


def test_the_worst_comes_first() -> None:
    found = of_a_badge({"expired": True, "state": "revoked"}, picc_key="zeros")
    assert [finding.severity for finding in found] == [
        Severity.CRITICAL,
        Severity.WARNING,
        Severity.NOTE,
    ]


def test_what_was_read_under_a_key_keeps_the_default_keys_that_were_found_without_one() -> None:
    public = msgspec.structs.replace(PICC, settings=None, default_keys=(0,))
    case = Case(msgspec.structs.replace(CARD, picc=public), POLICY, REGISTRY, BADGE)
    (finding,) = findings(case)
    assert finding.code is FindingCode.DEFAULT_KEY
