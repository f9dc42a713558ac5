"""A CPS login as agents see it: the daemon, the key service, and a virtual card that is real."""

import contextlib
import dataclasses
import secrets
from collections.abc import Iterator

import jwt
import pytest

from cardd.client import Authentication, CarddProblem
from scripts.private_pcscd import PrivatePcscd
from simulators.cps import VirtualCps
from simulators.faults import Faults
from simulators.link import insert
from tests.e2e.conftest import Issued
from tests.e2e.cps_world import AUDIENCE, PIN, WRONG, CpsDesk, cps_desk
from tests.e2e.daemon_world import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

LAST_TRY = ('rights = ["observe", "authenticate", "admin"]',
            'rights = ["observe", "authenticate", "last-try", "admin"]')  # fmt: skip


@pytest.fixture(scope="module", params=["built-in", "pcscd"])
def desk(request: pytest.FixtureRequest, issued: Issued) -> Iterator[CpsDesk]:
    server: PrivatePcscd | None = None
    if request.param == "pcscd":
        server = request.getfixturevalue("_pcscd")
        server.start()
    with cps_desk(issued.folder, server, changes=(LAST_TRY,)) as made:
        yield made


@contextlib.contextmanager
def shown(desk: CpsDesk, card: VirtualCps) -> Iterator[VirtualCps]:
    """Put a card in the reader; wait until it is known, and in the end until it is gone."""
    with desk.admin.events(timeout_s=20) as events:
        next(events)
        with insert(card, desk.address):
            wait_for(events, "card.identified")
            yield card
        wait_for(events, "card.removed")


@pytest.fixture(scope="module")
def holder(desk: CpsDesk, issued: Issued) -> str:
    """The person whom the card names, registered; return the id."""
    with shown(desk, issued.card()):
        who = desk.cps().identity
        assert who is not None
        # Written without its 8, as many files of people have it: the same person.
        rpps = who["SubjectNameID"].removeprefix("8")
        return desk.admin.add_holder("1001", given_name="Camille", national_ids=[rpps]).id


def codes(desk: CpsDesk, asked: Authentication, pin: str | None, **how: bool) -> str:
    """Return the code with which a PIN is refused before the card is asked."""
    with pytest.raises(CarddProblem) as refused:
        desk.give(asked, pin, **how)
    return refused.value.code


def test_a_card_that_comes_is_asked_for_its_pin_and_its_holder_is_strongly_authenticated(
    desk: CpsDesk, issued: Issued, holder: str
) -> None:
    nonce = secrets.token_urlsafe(32)
    started = desk.begin(nonce=nonce)
    assert started.state == "waiting_for_card"
    card = issued.card()
    with shown(desk, card):
        asked = desk.until(started, "pin_required")
        assert asked.pin is not None
        assert (asked.pin.type, asked.pin.tries_left, asked.pin.entry) == ("cps", 3, "client")
        done = desk.give(asked, PIN)
        assert done.state == "succeeded"
        result = done.result
        assert result is not None
        assert result.holder is not None
        assert (result.method, result.holder.id) == ("cps", holder)
        assert result.acr == "urn:cardd:acr:strong"
        assert result.amr == ("sc", "hwk", "pin", "mfa")
        claims = verified(desk, result.assertion, nonce)
        assert claims["card"] == {"type": "cps", "x5t#S256": result.card.certificate}
        assert (claims["acr"], claims["sub"], claims["sid"]) == (result.acr, holder, result.sid)
        proof = jwt.decode(result.evidence, options={"verify_signature": False})
        assert (proof["aud"], proof["nonce"], proof["purpose"]) == (AUDIENCE, nonce, "login")
        (presence,) = desk.admin.presences()
        assert presence.sid == result.sid
    assert card.face.value == "contact"


def verified(desk: CpsDesk, assertion: str | None, nonce: str) -> dict[str, object]:
    assert assertion is not None
    (key,) = desk.admin.jwks()["keys"]
    claims = jwt.decode(assertion, jwt.PyJWK(key), algorithms=["ES256"], audience=AUDIENCE)
    assert claims["nonce"] == nonce
    return claims


def test_the_presence_ends_when_the_card_is_taken_out(
    desk: CpsDesk, issued: Issued, holder: str
) -> None:
    with desk.admin.events(timeout_s=20) as events:
        next(events)
        with shown(desk, issued.card()):
            desk.give(desk.asked(), PIN)
            started = wait_for(events, "presence.started")
        ended = wait_for(events, "presence.ended")
        assert ended.data["reason"] == "card_removed"
        assert ended.data["sid"] == started.data["sid"]


def test_a_card_is_identified_for_the_seat_and_no_event_has_an_assertion(
    desk: CpsDesk, issued: Issued, holder: str
) -> None:
    with desk.admin.events(timeout_s=20) as events:
        next(events)
        with insert(issued.card(), desk.address):
            seen = wait_for(events, "card.identified", type="cps", family="cps3")
            assert seen.data["identity"]["family_name"] == "MARTIN"
            desk.give(desk.asked(), PIN)
        told = [wait_for(events, "tap", outcome="succeeded", method="cps"), seen]
        wait_for(events, "card.removed")
    assert not any("eyJ" in str(event.data) for event in told)


def test_a_wrong_pin_is_told_with_the_tries_left_and_asked_for_again(
    desk: CpsDesk, issued: Issued, holder: str
) -> None:
    card = issued.card()
    with shown(desk, card):
        asked = desk.asked()
        wrong = desk.give(asked, WRONG)
        assert (wrong.state, wrong.problem.code) == ("pin_required", "pin_incorrect")
        assert wrong.problem.facts["tries_left"] == 2
        assert wrong.pin.tries_left == 2
        assert tries(card) == 2
        assert desk.give(wrong, PIN).state == "succeeded"
        assert tries(card) == 3


def set_tries(card: VirtualCps, left: int) -> None:
    card.chip.codes[1] = dataclasses.replace(card.chip.codes[1], tries_left=left)


def tries(card: VirtualCps) -> int:
    """Return what the card itself counts."""
    return card.chip.codes[1].tries_left


def test_a_pin_of_wrong_form_never_reaches_the_card(
    desk: CpsDesk, issued: Issued, holder: str
) -> None:
    card = issued.card()
    with shown(desk, card):
        asked = desk.asked()
        sent = len(card.commands)
        for pin in ("", "123", "123456789", "12a4", "12 4", "\u0661\u0662\u0663\u0664"):
            assert codes(desk, asked, pin) == "pin_malformed"
        assert codes(desk, asked, "1" * 65) == "invalid_request"
        assert codes(desk, asked, None) == "invalid_request"
        assert len(card.commands) == sent
        assert tries(card) == 3
        assert desk.give(asked, PIN).state == "succeeded"


def test_a_blocked_card_is_not_asked_for_its_pin(
    desk: CpsDesk, issued: Issued, holder: str
) -> None:
    card = issued.card()
    set_tries(card, 0)
    with shown(desk, card):
        ended = desk.until(desk.begin(), "failed")
        assert ended.problem.code == "pin_blocked"


def test_the_last_try_needs_to_be_asked_for(desk: CpsDesk, issued: Issued, holder: str) -> None:
    card = issued.card()
    set_tries(card, 1)
    with shown(desk, card):
        asked = desk.asked()
        assert asked.pin.last_try
        assert codes(desk, asked, WRONG) == "pin_last_try"
        assert tries(card) == 1
        assert desk.give(asked, PIN, use_last_try=True).state == "succeeded"


def test_a_card_pulled_before_its_pin_ends_the_login(
    desk: CpsDesk, issued: Issued, holder: str
) -> None:
    with shown(desk, issued.card()):
        asked = desk.asked()
    ended = desk.until(asked, "failed")
    assert ended.problem.code == "card_removed"
    assert desk.give(asked, PIN).state == "failed"


def test_a_card_that_took_the_place_of_another_is_not_given_its_pin(
    desk: CpsDesk, issued: Issued, holder: str
) -> None:
    first, second = issued.card(), issued.card()
    with shown(desk, first):
        asked = desk.asked()
    with shown(desk, second):
        other = desk.asked()
        with pytest.raises(CarddProblem) as refused:
            desk.admin.give_pin(other.id, asked.pin.card, WRONG)
        assert refused.value.code == "card_removed"
        assert (tries(first), tries(second)) == (3, 3)
        assert desk.give(other, PIN).state == "succeeded"


def pins(card: VirtualCps) -> int:
    """Count the PINs that reached the card."""
    return sum(command[1] == 0x20 and len(command) > 5 for command in card.commands)


def commands_of_login(desk: CpsDesk, issued: Issued) -> int:
    card = issued.card()
    with shown(desk, card):
        asked = desk.asked()
        before = len(card.commands)
        assert desk.give(asked, PIN).state == "succeeded"
        return len(card.commands) - before


def test_a_card_torn_away_at_any_command_ends_the_login_and_uses_no_try_more(
    desk: CpsDesk, issued: Issued, holder: str
) -> None:
    for at in range(1, commands_of_login(desk, issued) + 1):
        card = issued.card()
        faults = Faults()
        with desk.admin.events(timeout_s=20) as events:
            next(events)
            with insert(card, desk.address, faults=faults):
                wait_for(events, "card.identified")
                asked = desk.asked()
                faults.tear_after = faults._seen + at
                ended = desk.give(asked, PIN)
                assert (ended.state, ended.problem.code) == ("failed", "card_removed"), at
                wait_for(events, "card.removed")
        assert tries(card) == 3
        assert pins(card) <= 1
    assert desk.admin.presences() == ()


def test_a_card_that_another_program_verified_still_needs_its_pin(
    desk: CpsDesk, issued: Issued, holder: str
) -> None:
    card = issued.card()
    with shown(desk, card):
        asked = desk.asked()
        assert card.transmit(bytes.fromhex("0020000104") + PIN.encode()) == b"\x90\x00"
        wrong = desk.give(asked, WRONG)
        assert wrong.problem.code == "pin_incorrect"
        assert desk.give(asked, PIN).state == "succeeded"


def test_no_other_program_finds_the_pin_verified_after_a_login(
    desk: CpsDesk, issued: Issued, holder: str
) -> None:
    card = issued.card()
    with shown(desk, card):
        assert desk.give(desk.asked(), PIN).state == "succeeded"
        card.transmit(bytes.fromhex("00A4090C043F000001"))
        card.transmit(bytes.fromhex("002241A406800102840182"))
        digest_info = bytes.fromhex("3031300D060960864801650304020105000420") + bytes(32)
        answer = card.transmit(bytes.fromhex("0088000033") + digest_info)
        assert answer == bytes.fromhex("6982")


def test_an_authentication_for_badges_alone_leaves_a_cps_alone(
    desk: CpsDesk, issued: Issued, holder: str
) -> None:
    started = desk.begin(methods=["badge"])
    with shown(desk, issued.card()):
        assert desk.admin.poll_authentication(started.id).state == "waiting_for_card"
        desk.admin.cancel_authentication(started.id)


def test_a_second_login_with_the_same_card_has_to_wait(
    desk: CpsDesk, issued: Issued, holder: str
) -> None:
    with shown(desk, issued.card()):
        asked = desk.asked()
        (reader,) = [each.name for each in desk.admin.readers() if each.card]
        with pytest.raises(CarddProblem) as busy:
            desk.begin(reader=reader)
        assert busy.value.code == "card_busy"
        with pytest.raises(CarddProblem) as held:
            desk.cps()
        assert held.value.code == "card_busy"
        desk.admin.cancel_authentication(asked.id)
        assert desk.give(desk.asked(reader=reader), PIN).state == "succeeded"


def test_the_pin_is_changed_and_a_blocked_card_is_unblocked(
    desk: CpsDesk, issued: Issued, holder: str
) -> None:
    card = issued.card()
    with shown(desk, card):
        handle = desk.cps().card
        desk.admin.change_pin(handle, PIN, "567890")
        assert desk.give(desk.asked(), "567890").state == "succeeded"
    set_tries(card, 0)
    with shown(desk, card):
        handle = desk.cps().card
        assert desk.cps().pin["blocked"]
        with pytest.raises(CarddProblem) as malformed:
            desk.admin.unblock_pin(handle, "1", "2468")
        assert malformed.value.code == "pin_malformed"
        desk.admin.unblock_pin(handle, "12345678", "2468")
        assert desk.give(desk.asked(), "2468").state == "succeeded"


def test_a_wrong_unblocking_code_is_not_called_the_pin(
    desk: CpsDesk, issued: Issued, holder: str
) -> None:
    card = issued.card()
    with shown(desk, card):
        handle = desk.cps().card
        with pytest.raises(CarddProblem) as wrong:
            desk.admin.unblock_pin(handle, "00000000", "2468")
        assert wrong.value.code == "puk_incorrect"
        assert wrong.value.facts["tries_left"] == card.chip.codes[2].tries_left
        card.chip.codes[2] = dataclasses.replace(card.chip.codes[2], tries_left=0)
        with pytest.raises(CarddProblem) as blocked:
            desk.admin.unblock_pin(handle, "12345678", "2468")
        assert blocked.value.code == "puk_blocked"


def test_a_peer_that_guesses_has_to_wait(desk: CpsDesk, issued: Issued, holder: str) -> None:
    card = issued.card()
    with shown(desk, card):
        asked = desk.asked()
        for left in (2, 1):
            asked = desk.give(asked, WRONG)
            assert asked.pin.tries_left == left
        with pytest.raises(CarddProblem) as limited:
            desk.give(asked, PIN, use_last_try=True)
        assert limited.value.code == "rate_limited"
        assert 0 < limited.value.facts["retry_after"] <= 60
        assert tries(card) == 1
        desk.admin.cancel_authentication(asked.id)
