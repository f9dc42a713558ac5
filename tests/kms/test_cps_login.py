"""A CPS logs in at the key service, and every proof that is not one is refused."""

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest

from cardd.badges.model import HolderStatus
from cardd.cps.proof import Proof, ProofPurpose, parse
from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms import messages as m
from cardd.kms.audit import verify as verify_audit
from cardd.kms.ports import Right
from simulators.pki import CardType, Issuer, Pki, Profile, Usage
from simulators.pki import Holder as Person
from tests.kms.cps_world import (
    AUDIENCE,
    NATIONAL_ID,
    NOW,
    REQUEST,
    Card,
    Desk,
    desk,
    issued,
    refusal,
)
from tests.kms.kms_world import NONCE

pytestmark = pytest.mark.unit

SKEW_S = 60
STRONG = m.AssertionRequest(audience=AUDIENCE, nonce=NONCE, minimum_acr="urn:cardd:acr:strong")  # type: ignore[arg-type]


@pytest.fixture
def here(tmp_path: Path, pki: Pki) -> Iterator[Desk]:
    with desk(tmp_path, pki) as opened:
        yield opened


@pytest.fixture
def who(here: Desk) -> str:
    return here.add()


def statement(here: Desk, assertion: str) -> dict[str, Any]:
    """Return the claims of an assertion, verified with the key service's public key alone."""
    return jwt.decode(  # type: ignore[no-any-return]
        assertion,
        jwt.PyJWKSet.from_dict(here.service.jwks()).keys[0].key,
        algorithms=["ES256"],
        audience=AUDIENCE,
        issuer="https://cardd.test",
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )


def lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / "audit.jsonl"
    assert verify_audit(path) > 0
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_card_with_its_pin_gives_a_strong_presence_and_assertion(
    here: Desk, card: Card, who: str
) -> None:
    proof = parse(card.prove(here.claims()))
    result = here.login(card)
    assert (result.acr, result.amr) == ("urn:cardd:acr:strong", ("sc", "hwk", "pin", "mfa"))
    assert result.holder.id == who
    assert (result.badge, result.certificate) == (None, proof.x5t_s256)
    assert result.expires_at == NOW + 4 * 3600
    claims = statement(here, result.assertions[0])
    assert claims["sub"] == who
    assert claims["card"] == {"type": "cps", "x5t#S256": proof.x5t_s256}
    assert claims["acr"] == "urn:cardd:acr:strong"
    assert claims["amr"] == ["sc", "hwk", "pin", "mfa"]
    assert (claims["nonce"], claims["sid"], claims["device"]) == (NONCE, result.sid, "desk-1")
    assert claims["auth_time"] == NOW


def test_a_presence_of_a_cps_gives_further_assertions_until_it_ends(
    here: Desk, card: Card, who: str
) -> None:
    sid = here.login(card).sid
    assert sid is not None
    here.clock.time += 3600
    (further,) = here.service.assertions(sid, (STRONG,))
    claims = statement(here, further)
    assert (claims["auth_time"], claims["iat"]) == (NOW, NOW + 3600)
    assert claims["card"]["type"] == "cps"
    here.service.end_presence(sid, "ended_by_client")
    assert refusal(here.service.assertions, sid, (STRONG,)) is Code.NOT_FOUND


def test_no_assertion_follows_once_the_holder_has_left(here: Desk, card: Card, who: str) -> None:
    sid = here.login(card).sid
    assert sid is not None
    here.change(who, status=HolderStatus.ENDED)
    assert refusal(here.service.assertions, sid, (REQUEST,)) is Code.HOLDER_ENDED


def test_a_presence_is_opened_only_where_it_is_asked_for(here: Desk, card: Card, who: str) -> None:
    compact = card.prove(here.claims())
    result = here.service.authenticate_cps(compact, (REQUEST,), presence=False)
    assert (result.sid, result.expires_at) == (None, None)
    assert "sid" not in statement(here, result.assertions[0])


def test_a_presence_ends_with_the_certificate(
    here: Desk, pki: Pki, who: str, technical: Card
) -> None:
    ends_at = NOW + 600
    short = issued(pki, Profile(not_after=datetime.fromtimestamp(ends_at, tz=UTC)))
    result = here.login(short)
    assert result.expires_at == ends_at
    here.clock.time = ends_at
    assert result.sid is not None
    assert refusal(here.service.assertions, result.sid, (REQUEST,)) is Code.NOT_FOUND


@pytest.mark.parametrize("written", ["99700000012", "8 99700000012", "899700000012"])
def test_an_rpps_is_one_person_with_or_without_its_prefix(
    here: Desk, card: Card, written: str
) -> None:
    who = here.add(national_id=written)
    assert here.login(card).holder.id == who


def test_a_card_that_names_nobody_registered_here_is_refused(here: Desk, card: Card) -> None:
    here.add(national_id="899700000013")
    assert refusal(here.login, card) is Code.HOLDER_UNKNOWN


def test_a_card_that_names_two_people_is_refused(here: Desk, card: Card, who: str) -> None:
    again = here.add("A2", "99700000012")
    assert refusal(here.login, card) is Code.CONFLICT
    here.change(again, status=HolderStatus.ENDED)
    assert here.login(card).holder.id == who, "who left stands in nobody's way"


@pytest.mark.parametrize(
    "change",
    [{"status": HolderStatus.ENDED}, {"valid_until": NOW}, {"valid_from": NOW + 1}],
    ids=str,
)
def test_a_holder_who_does_not_belong_here_now_is_refused(
    here: Desk, card: Card, who: str, change: dict[str, Any]
) -> None:
    here.change(who, **change)
    assert refusal(here.login, card) is Code.HOLDER_ENDED


def test_somebody_elses_card_is_refused_where_one_person_is_expected(
    here: Desk, card: Card, who: str
) -> None:
    def login(expected: str) -> m.Authenticated:
        compact = card.prove(here.claims())
        return here.service.authenticate_cps(compact, (REQUEST,), expect_holder=expected)

    assert refusal(login, "0" * 32) is Code.WRONG_PERSON
    assert login(who).holder.id == who


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


def test_the_certificate_of_an_employees_card_names_its_holder(here: Desk, pki: Pki) -> None:
    number = "3760021832/000000018"
    person = Person(number, None, None, title=None, profession=None, specialties=())
    employee = issued(pki, Profile(holder=person, card_type=CardType.CPE))
    who = here.add(national_id=number)
    assert here.login(employee).holder.id == who


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


def test_a_client_without_the_right_can_neither_ask_nor_prove(
    here: Desk, card: Card, who: str, tmp_path: Path
) -> None:
    tapping = here.other(rights=frozenset(Right) - {Right.CPS})
    assert refusal(tapping.service.challenge) is Code.FORBIDDEN
    compact = card.prove(here.claims())
    assert refusal(tapping.service.authenticate_cps, compact, (REQUEST,)) is Code.FORBIDDEN
    assert here.service.authenticate_cps(compact, (REQUEST,)).sid, "its challenge is not spent"
    refused = [line["facts"] for line in lines(tmp_path) if line["event"] == "refused"]
    assert [facts["procedure"] for facts in refused] == ["Challenge", "AuthenticateCps"]
    limited = here.other(audiences=frozenset({"https://mine.test"}))
    assert refusal(limited.login, card) is Code.FORBIDDEN


def test_the_audit_tells_who_was_let_in_with_which_certificate_and_who_was_not(
    here: Desk, card: Card, who: str, tmp_path: Path
) -> None:
    sid = here.login(card).sid
    proof: Proof = parse(card.prove(here.claims()))
    refusal(here.login, card, aud="https://another.test")
    refusal(here.service.authenticate_cps, "no proof", (REQUEST,))
    written = {line["event"]: line["facts"] for line in lines(tmp_path)}
    assert written["cps.succeeded"] == {
        "client": "embedded",
        "certificate": proof.x5t_s256,
        "acr": "urn:cardd:acr:strong",
        "holder": who,
        "sid": sid,
    }
    assert written["assertion.signed"]["certificate"] == proof.x5t_s256
    refused = [line["facts"] for line in lines(tmp_path) if line["event"] == "refused"]
    assert [facts["code"] for facts in refused] == ["proof_invalid", "proof_invalid"]
    assert [facts.get("certificate") for facts in refused] == [proof.x5t_s256, None]


def test_no_identifier_challenge_nonce_or_proof_reaches_the_audit(
    here: Desk, card: Card, who: str, tmp_path: Path
) -> None:
    claims = here.claims()
    compact = card.prove(claims)
    here.service.authenticate_cps(compact, (REQUEST,))
    refusal(here.service.authenticate_cps, compact, (REQUEST,))
    here.change(who, national_ids=())
    refusal(here.login, card)
    written = (tmp_path / "audit.jsonl").read_text()
    for secret in (NATIONAL_ID, NATIONAL_ID[1:], NONCE, claims.kms_challenge, "TESTEUSE"):
        assert secret not in written
    assert compact[-40:] not in written


def test_a_proof_that_the_audit_cannot_record_opens_nothing(
    here: Desk, card: Card, who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core: Any = here.service._core  # type: ignore[attr-defined]
    compact = card.prove(here.claims())
    file = core.audit._file

    def full(line: bytes, *, durable: bool) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file, "append", full)
    with pytest.raises(KmsUnavailable):
        here.service.authenticate_cps(compact, (REQUEST,))
    with closing(sqlite3.connect(tmp_path / "registry.db")) as database:
        assert database.execute("SELECT count(*) FROM presence").fetchone() == (0,)


def test_a_challenge_tells_its_life_by_the_key_services_time(here: Desk) -> None:
    challenge = here.service.challenge()
    assert (challenge.issued_at, challenge.expires_at) == (NOW, NOW + 60)
