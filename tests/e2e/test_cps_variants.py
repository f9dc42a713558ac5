"""CPS logins in other circumstances: a pinpad, a card that is not believed, no contacts."""

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from cardd.client import Authentication
from scripts.private_pcscd import PrivatePcscd
from simulators.cps import Face, VirtualCps
from simulators.link import insert
from simulators.pinpad import Key, Typed, press
from tests.e2e.conftest import Issued
from tests.e2e.cps_world import PIN, WRONG, CpsDesk, cps_desk
from tests.e2e.daemon_world import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

PINPAD = ("\n[badge]\n", "\npinpad = true\n\n[badge]\n")
LAST_TRY = ('"authenticate", "admin"]', '"authenticate", "last-try", "admin"]')
CONTACTLESS = ("allow_test_cards = true", "allow_test_cards = true\nallow_contactless = true")
NO_TEST_CARDS = ("allow_test_cards = true", "allow_test_cards = false")
LIMIT_S = 20


@pytest.fixture(scope="module")
def pinpad(issued: Issued) -> Iterator[CpsDesk]:
    with cps_desk(issued.folder, changes=(PINPAD, LAST_TRY)) as made:
        register(made, issued)
        yield made


def register(desk: CpsDesk, issued: Issued) -> str:
    """Register the person whom the card names."""
    with shown(desk, issued.card()):
        who = desk.cps().identity
    assert who is not None
    return desk.admin.add_holder("1001", national_ids=[who["SubjectNameID"]]).id


@contextmanager
def shown(desk: CpsDesk, card: VirtualCps, **data: Any) -> Iterator[VirtualCps]:
    with desk.admin.events(timeout_s=LIMIT_S) as events:
        next(events)
        with insert(card, desk.address):
            wait_for(events, "card.identified", **data)
            yield card
        wait_for(events, "card.removed")


@contextmanager
def typing(desk: CpsDesk, *pins: str, last: Key = Key.OK) -> Iterator[Future[Typed]]:
    """Have a finger at the reader's keys; see in the end what it saw."""
    typed: Future[Typed] = Future()
    call: Callable[[], Typed] = lambda: press(  # noqa: E731 - a name for its type
        desk.address, pins, last=last, wait_seconds=LIMIT_S
    )

    def run() -> None:
        try:
            typed.set_result(call())
        except Exception as error:  # noqa: BLE001 - it is raised again where it is asked for
            typed.set_exception(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield typed
    thread.join(LIMIT_S)
    assert not thread.is_alive()


def settled(desk: CpsDesk, asked: Authentication) -> Authentication:
    """Wait while the reader asks for the PIN."""
    assert asked.pin is not None
    assert asked.pin.asked
    return desk.admin.poll_authentication(asked.id, wait_s=LIMIT_S, state="pin_required")


def tries(card: VirtualCps) -> int:
    return card.chip.codes[1].tries_left


def test_a_pin_typed_at_the_reader_logs_in_and_the_client_never_has_it(
    pinpad: CpsDesk, issued: Issued
) -> None:
    with shown(pinpad, issued.card()), typing(pinpad, PIN) as typed:
        asked = pinpad.asked()
        assert asked.pin.entry == "pinpad"
        done = settled(pinpad, asked)
        assert done.state == "succeeded"
        assert done.result.acr == "urn:cardd:acr:strong"
        assert typed.result(LIMIT_S) == Typed(1, 0x9000)


def test_a_wrong_pin_at_the_reader_is_asked_for_again_when_the_client_says_so(
    pinpad: CpsDesk, issued: Issued
) -> None:
    card = issued.card()
    with shown(pinpad, card):
        with typing(pinpad, WRONG):
            wrong = settled(pinpad, pinpad.asked())
        assert (wrong.state, wrong.problem.code) == ("pin_required", "pin_incorrect")
        assert (wrong.pin.tries_left, wrong.pin.asked) == (2, False)
        with typing(pinpad, PIN):
            assert pinpad.give(wrong, None).state == "succeeded"
        assert tries(card) == 3


@pytest.mark.parametrize(
    ("pins", "last", "code"),
    [((PIN,), Key.CANCEL, "pin_cancelled"), (("12",), Key.OK, "pin_malformed")],
)
def test_an_entry_that_comes_to_nothing_ends_the_login_and_uses_no_try(
    pinpad: CpsDesk, issued: Issued, pins: tuple[str, ...], last: Key, code: str
) -> None:
    card = issued.card()
    with shown(pinpad, card), typing(pinpad, *pins, last=last):
        ended = settled(pinpad, pinpad.asked())
        assert (ended.state, ended.problem.code) == ("failed", code)
        assert tries(card) == 3


def test_a_card_taken_out_while_its_pin_is_typed_ends_the_login(
    pinpad: CpsDesk, issued: Issued
) -> None:
    card = issued.card()
    with shown(pinpad, card):
        asked = pinpad.asked()
        assert asked.pin.asked
    ended = pinpad.until(asked, "failed")
    assert ended.problem.code == "card_removed"
    assert tries(card) == 3


def test_a_client_with_a_prompt_waits_while_the_person_types_at_the_reader(
    pinpad: CpsDesk, issued: Issued
) -> None:
    prompts: list[str] = []
    with shown(pinpad, issued.card()), typing(pinpad, PIN):
        result = pinpad.admin.authenticate(
            "https://dpi.test", ask_pin=lambda wanted, _: prompts.append(wanted.entry) or ""
        )
    assert result.method == "cps"
    assert set(prompts) == {"pinpad"}


def refused(desk: CpsDesk, card: VirtualCps) -> tuple[str, int]:
    """Return why a card is not asked for its PIN, and how many it was given."""
    with desk.admin.events(timeout_s=LIMIT_S) as events:
        next(events)
        with insert(card, desk.address):
            seen = wait_for(events, "card.identified", type="cps")
            assert "identity" not in seen.data
            ended = desk.until(desk.begin(), "failed")
            assert ended.problem.code == seen.data["code"]
        wait_for(events, "card.removed")
    given = sum(command[1] == 0x20 for command in card.commands)
    return ended.problem.code, given


def test_a_card_that_is_not_believed_is_never_given_a_pin(issued: Issued) -> None:
    with cps_desk(issued.folder, changes=(NO_TEST_CARDS,)) as desk:
        assert refused(desk, issued.card()) == ("test_card_refused", 0)
    with cps_desk(issued.folder) as desk:
        shutil.rmtree(desk.folder / "pki" / "crls")
        assert refused(desk, issued.card()) == ("revocation_unavailable", 0)


def test_a_card_of_another_root_is_never_given_a_pin(issued: Issued, another_root: Issued) -> None:
    with cps_desk(another_root.folder) as desk:
        assert refused(desk, issued.card())[0] in {"untrusted_issuer", "issuer_signature_invalid"}


def contactless(issued: Issued) -> VirtualCps:
    card = issued.card()
    card.turn(Face.CONTACTLESS)
    return card


def test_a_card_without_contacts_is_off_by_default_and_one_factor_where_it_is_allowed(
    issued: Issued, pcscd: PrivatePcscd
) -> None:
    with cps_desk(issued.folder, pcscd) as desk:
        code, given = refused(desk, contactless(issued))
        assert (code, given) == ("certificate_usage", 0)
    with cps_desk(issued.folder, pcscd, changes=(CONTACTLESS,)) as desk:
        holder = register(desk, issued)
        started = desk.begin()
        with shown(desk, contactless(issued), family="cps3-contactless"):
            done = desk.until(started, "succeeded")
        assert done.result.holder.id == holder
        assert done.result.acr == "urn:cardd:acr:one-factor"
        assert done.result.amr == ("sc", "hwk")
        assert [each.sid for each in desk.admin.presences()] == [done.result.sid]
