"""Proofs that are refused: for something else, of another time, replayed, by a doubtful card."""

import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cardd.cps.proof import ProofPurpose
from cardd.errors import Code, Refused
from cardd.kms import messages as m
from simulators.pki import Issuer, Pki, Profile, Usage
from tests.kms.cps_world import (
    AUDIENCE,
    NOW,
    REQUEST,
    STRONG,
    Card,
    Desk,
    desk,
    issued,
    lines,
    refusal,
    statement,
)
from tests.kms.kms_world import NONCE

pytestmark = pytest.mark.unit

SKEW_S = 60


WRONG_FIELDS: list[dict[str, Any]] = [
    {"aud": "https://another.test"},
    {"aud": "https://cardd.test"},
    {"nonce": "o" * 22},
    {"purpose": ProofPurpose.ENROL},
    {"purpose": ProofPurpose.OPERATOR},
    {"purpose": ProofPurpose.CEREMONY},
    {"iat": NOW + SKEW_S + 1, "exp": NOW + SKEW_S + 61},
    {"iat": NOW + 86_400, "exp": NOW + 86_460},
    {"iat": NOW - SKEW_S - 1},
    {"iat": NOW - SKEW_S - 1, "exp": NOW - 1},
    {"iat": NOW - 60, "exp": NOW - SKEW_S},
    {"exp": NOW + 61},
    {"exp": NOW},
    {"exp": NOW - 1},
    {"iat": 0, "exp": 2**53 - 1},
]


@pytest.mark.parametrize("wrong", WRONG_FIELDS, ids=str)
def test_a_proof_for_something_else_or_of_another_time_is_refused(
    here: Desk, card: Card, who: str, wrong: dict[str, Any]
) -> None:
    assert refusal(here.login, card, **wrong) is Code.PROOF_INVALID


@pytest.mark.parametrize(
    "right", [{"iat": NOW + SKEW_S, "exp": NOW + SKEW_S + 60}, {"iat": NOW - SKEW_S, "exp": NOW}]
)
def test_a_clock_that_differs_by_the_configured_skew_is_accepted(
    here: Desk, card: Card, who: str, right: dict[str, Any]
) -> None:
    assert here.login(card, **right).sid


def test_a_proof_made_before_it_expired_and_shown_after_is_refused(
    here: Desk, card: Card, who: str
) -> None:
    compact = card.prove(here.claims())
    here.clock.time += 60 + SKEW_S
    assert refusal(here.service.authenticate_cps, compact, (REQUEST,)) is Code.PROOF_INVALID


def test_every_request_must_be_the_one_that_was_signed(here: Desk, card: Card, who: str) -> None:
    for other in (
        m.AssertionRequest(audience="https://another.test", nonce=NONCE),
        m.AssertionRequest(audience=AUDIENCE, nonce="o" * 22),
    ):
        compact = card.prove(here.claims())
        both = (REQUEST, other)
        assert refusal(here.service.authenticate_cps, compact, both) is Code.PROOF_INVALID


def test_a_proof_without_request_is_for_the_key_service_itself(
    here: Desk, card: Card, who: str
) -> None:
    def login(audience: str) -> m.Authenticated:
        return here.service.authenticate_cps(card.prove(here.claims(aud=audience)))

    assert login("https://cardd.test").assertions == ()
    assert refusal(login, AUDIENCE) is Code.PROOF_INVALID


def test_a_spent_challenge_is_refused(here: Desk, card: Card, who: str) -> None:
    compact = card.prove(here.claims())
    here.service.authenticate_cps(compact, (REQUEST,))
    assert refusal(here.service.authenticate_cps, compact, (REQUEST,)) is Code.TIMEOUT
    challenge = here.service.challenge().value
    assert refusal(here.login, card, kms_challenge=challenge, nonce="o" * 22)
    assert refusal(here.login, card, kms_challenge=challenge) is Code.TIMEOUT


def test_another_clients_challenge_is_refused(here: Desk, card: Card, who: str) -> None:
    other = here.other(name="desk-2", device="desk-2")
    compact = card.prove(here.claims())
    assert refusal(other.service.authenticate_cps, compact, (REQUEST,)) is Code.TIMEOUT
    assert here.service.authenticate_cps(compact, (REQUEST,)).sid, "its own client's still"
    assert other.login(card).sid


def test_a_challenge_that_nobody_issued_or_none_is_refused(
    here: Desk, card: Card, who: str
) -> None:
    assert refusal(here.login, card, kms_challenge="c" * 43) is Code.TIMEOUT
    evidence = msgspec.structs.replace(here.claims(), kms_challenge=None)
    compact = card.prove(evidence)
    assert refusal(here.service.authenticate_cps, compact, (REQUEST,)) is Code.PROOF_INVALID


def test_one_of_two_threads_with_one_proof_is_let_in(here: Desk, card: Card, who: str) -> None:
    compact = card.prove(here.claims())
    start = threading.Barrier(2)
    results: list[Code | None] = []

    def race() -> None:
        start.wait(5)
        try:
            here.service.authenticate_cps(compact, (REQUEST,))
        except Refused as refused:
            results.append(refused.code)
        else:
            results.append(None)

    threads = [threading.Thread(target=race) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(results, key=str) == [None, Code.TIMEOUT]


def test_the_contactless_key_is_refused_where_it_is_not_allowed(
    here: Desk, technical: Card, who: str
) -> None:
    assert refusal(here.login, technical) is Code.CERTIFICATE_USAGE


def test_the_contactless_key_is_one_factor_and_never_strong(
    tmp_path: Path, pki: Pki, card: Card, technical: Card
) -> None:
    with desk(tmp_path, pki, allow_contactless=True) as here:
        here.add()
        result = here.login(technical)
        assert (result.acr, result.amr) == ("urn:cardd:acr:one-factor", ("sc", "hwk"))
        assert statement(here, result.assertions[0])["acr"] == "urn:cardd:acr:one-factor"
        compact = technical.prove(here.claims())
        claimed = refusal(here.service.authenticate_cps, compact, (STRONG,))
        assert claimed is Code.SECOND_FACTOR_REQUIRED
        events = [line["event"] for line in lines(tmp_path)]
        assert events.count("cps.succeeded") == 1, "the audit tells of no success that was none"
        assert here.login(card).acr == "urn:cardd:acr:strong"
        assert result.sid is not None
        asked_later = refusal(here.service.assertions, result.sid, (STRONG,))
        assert asked_later is Code.SECOND_FACTOR_REQUIRED


# What a certificate lacks, and what becomes of it where one factor is allowed.
LESS_THAN_STRONG = [
    (Profile(extended_usages=("1.3.6.1.5.5.7.3.2",)), None),
    (Profile(category=None), None),
    (Profile(card_number=None), Code.CERTIFICATE_USAGE),
    (Profile(key_usage=frozenset({"key_encipherment"})), Code.CERTIFICATE_USAGE),
    (Profile(usage=Usage.SIGNATURE), Code.CERTIFICATE_USAGE),
    (Profile(card_type=None), Code.CERTIFICATE_INVALID),
]


@pytest.mark.parametrize(("profile", "code"), LESS_THAN_STRONG)
def test_what_is_not_positively_a_contact_card_is_never_strong(
    tmp_path: Path, pki: Pki, card: Card, here: Desk, who: str, profile: Profile, code: Code | None
) -> None:
    doubtful = issued(pki, profile, card.key.export_key("DER", pkcs=8))
    assert refusal(here.login, doubtful) is Code.CERTIFICATE_USAGE
    (tmp_path / "contactless").mkdir()
    with desk(tmp_path / "contactless", pki, allow_contactless=True) as lenient:
        lenient.add()
        if code is None:
            assert lenient.login(doubtful).acr == "urn:cardd:acr:one-factor"
        else:
            assert refusal(lenient.login, doubtful) is code


@pytest.mark.parametrize(
    ("issuer", "code"),
    [
        (Issuer.STRANGER, Code.UNTRUSTED_ISSUER),
        (Issuer.IMPOSTOR, Code.ISSUER_SIGNATURE_INVALID),
    ],
)
def test_a_chain_that_does_not_lead_to_a_configured_root_is_refused(
    here: Desk, pki: Pki, card: Card, who: str, issuer: Issuer, code: Code
) -> None:
    forged = issued(pki, Profile(issuer=issuer), card.key.export_key("DER", pkcs=8))
    assert refusal(here.login, forged) is code


def test_a_card_of_another_pki_with_the_same_names_is_refused(
    here: Desk, card: Card, who: str, tmp_path: Path
) -> None:
    other = Pki.create(tmp_path / "other", now=datetime.fromtimestamp(NOW, tz=UTC))
    foreign = issued(other, Profile(), card.key.export_key("DER", pkcs=8))
    with_its_root = Card((*foreign.chain, other.root.der), foreign.key)
    for forged in (foreign, with_its_root):
        assert refusal(here.login, forged) is Code.ISSUER_SIGNATURE_INVALID


def test_a_revoked_card_is_refused(tmp_path: Path, pki: Pki, card: Card) -> None:
    now = datetime.fromtimestamp(NOW, tz=UTC)
    made = pki.issue(Profile(), card.key.export_key("DER", pkcs=8))
    lists = shutil.copytree(pki.crls, tmp_path / "crls")
    with desk(tmp_path, pki, crls=lists) as here:
        here.add()
        revoked = Card((made.certificate, *card.chain[1:]), card.key)
        assert here.login(revoked).sid
        pki.revoke(made.serial, now)
        (lists / "again.crl").write_bytes(pki.crl(now=now))
        assert refusal(here.login, revoked) is Code.CERTIFICATE_REVOKED
        assert here.login(card).sid


def test_expired_early_and_test_cards_are_refused(
    tmp_path: Path, pki: Pki, card: Card, here: Desk, who: str
) -> None:
    key = card.key.export_key("DER", pkcs=8)
    now, day = datetime.fromtimestamp(NOW, tz=UTC), timedelta(days=1)
    expired = Profile(not_before=now - 20 * day, not_after=now - day)
    assert refusal(here.login, issued(pki, expired, key)) is Code.CERTIFICATE_EXPIRED
    early = Profile(not_before=now + day, not_after=now + 20 * day)
    assert refusal(here.login, issued(pki, early, key)) is Code.CERTIFICATE_NOT_YET_VALID
    (tmp_path / "production").mkdir()
    with desk(tmp_path / "production", pki, allow_test_cards=False) as production:
        production.add()
        assert refusal(production.login, card) is Code.TEST_CARD_REFUSED


def test_a_proof_changed_in_one_character_is_refused(here: Desk, card: Card, who: str) -> None:
    length = len(card.prove(here.claims()))
    codes = set()
    for at in range(3, length, length // 40):
        compact = card.prove(here.claims())
        changed = compact[:at] + ("A" if compact[at] != "A" else "B") + compact[at + 1 :]
        codes.add(refusal(here.service.authenticate_cps, changed, (REQUEST,)))
    assert Code.PROOF_INVALID in codes
    assert codes <= {Code.PROOF_INVALID, Code.CERTIFICATE_INVALID, Code.TIMEOUT}
