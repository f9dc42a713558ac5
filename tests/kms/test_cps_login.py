"""A CPS logs in at the key service: whom it names, what it opens, what the audit tells."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cardd.badges.model import HolderStatus
from cardd.cps.proof import Proof, parse
from cardd.errors import Code, KmsUnavailable
from cardd.kms import messages as m
from cardd.kms.ports import Right
from simulators.pki import CardType, Pki, Profile
from simulators.pki import Holder as Person
from tests.kms.cps_world import (
    NATIONAL_ID,
    NOW,
    REQUEST,
    STRONG,
    Card,
    Desk,
    issued,
    lines,
    refusal,
    statement,
)
from tests.kms.kms_world import NONCE

pytestmark = pytest.mark.unit


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


def test_a_presence_ends_with_the_certificate(here: Desk, pki: Pki, who: str) -> None:
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


def test_the_certificate_of_an_employees_card_names_its_holder(here: Desk, pki: Pki) -> None:
    number = "3760021832/000000018"
    person = Person(number, None, None, title=None, profession=None, specialties=())
    employee = issued(pki, Profile(holder=person, card_type=CardType.CPE))
    who = here.add(national_id=number)
    assert here.login(employee).holder.id == who


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
