"""Encodings that are cut or disturbed anywhere, and what showing the badge again makes of them."""

from contextlib import suppress
from pathlib import Path

import pytest

from cardd.errors import Code, Refused
from cardd.kms import messages as m
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import (
    PRODUCTS,
    Cut,
    MovedClock,
    Relay,
    configuration,
    encoded,
    holder,
    key_service,
    refusal,
    tapped,
)

pytestmark = pytest.mark.faults

BLANKS = ("factory", "transport")


def commands_of_an_encoding(folder: Path, product: str, blanks: str) -> int:
    with key_service(configuration(folder, blanks), MovedClock()) as service:
        badge = VirtualDesfire.factory(product)
        relay = Relay(service, badge)
        if blanks == "transport":
            relay.run(m.Prepare(uid=badge.uid))
        relay.run(m.Encode(uid=badge.uid))
        return len(relay.sent)


@pytest.mark.parametrize("executed", [False, True], ids=["lost-command", "lost-answer"])
@pytest.mark.parametrize("blanks", BLANKS)
@pytest.mark.parametrize("product", PRODUCTS)
def test_an_encoding_cut_at_any_command_goes_on_when_the_badge_is_shown_again(
    tmp_path: Path, product: str, blanks: str, executed: bool
) -> None:
    (tmp_path / "count").mkdir()
    total = commands_of_an_encoding(tmp_path / "count", product, blanks)
    assert total > 30
    clock = MovedClock()
    with key_service(configuration(tmp_path, blanks), clock) as service:
        for cut_at in range(total):
            who = holder(service, f"S{cut_at}").id
            badge = VirtualDesfire.factory(product)
            relay = Relay(service, badge)
            if blanks == "transport":
                relay.run(m.Prepare(uid=badge.uid))
            with pytest.raises(Cut):
                relay.run(m.Encode(uid=badge.uid, holder=who), cut_at=cut_at, executed=executed)
            clock.time += 10
            receipt = encoded(service, badge, who)
            assert receipt.exposed is (blanks == "factory")
            assert tapped(service, badge).holder.id == who, f"after a cut at command {cut_at}"
            assert set(badge.to_json()["default_key"]) == {"0"}


def test_an_encoding_cut_twice_goes_on_all_the_same(tmp_path: Path) -> None:
    with key_service(configuration(tmp_path), MovedClock()) as service:
        for first in range(0, 30, 5):
            badge = VirtualDesfire.factory("ev2")
            relay = Relay(service, badge)
            for cut_at, executed in ((first, True), (4, True), (6, False)):
                with pytest.raises(Cut):
                    relay.run(m.Encode(uid=badge.uid), cut_at=cut_at, executed=executed)
            assert encoded(service, badge).number


def test_preparing_a_badge_whose_encoding_was_cut_takes_nothing_away(tmp_path: Path) -> None:
    with key_service(configuration(tmp_path), MovedClock()) as service:
        for cut_at in range(8, 40, 3):
            badge = VirtualDesfire.factory("ev2")
            relay = Relay(service, badge)
            with pytest.raises(Cut):
                relay.run(m.Encode(uid=badge.uid), cut_at=cut_at, executed=True)
            with suppress(Refused):
                relay.run(m.Prepare(uid=badge.uid))
            assert encoded(service, badge).exposed


@pytest.mark.parametrize("cut_at", [12, 20, 27, 33, 38])
def test_another_card_with_the_uid_cannot_begin_a_cut_encoding_again(
    tmp_path: Path, cut_at: int
) -> None:
    with key_service(configuration(tmp_path), MovedClock()) as service:
        badge = VirtualDesfire.factory("ev2")
        with pytest.raises(Cut):
            Relay(service, badge).run(m.Encode(uid=badge.uid), cut_at=cut_at, executed=True)
        emulator = VirtualDesfire.factory("ev2", uid=badge.uid)
        code = refusal(service, emulator, m.Encode(uid=badge.uid))
        assert code in {Code.BADGE_KEYS_UNKNOWN, Code.BADGE_NOT_GENUINE}
        assert set(emulator.to_json()["master"]["value"]) == {"0"}, "it was given no key"
        assert encoded(service, badge).number


def test_a_prepared_uid_is_not_prepared_on_another_card(tmp_path: Path) -> None:
    with key_service(configuration(tmp_path, "transport"), MovedClock()) as service:
        genuine = VirtualDesfire.factory("ev2")
        Relay(service, genuine).run(m.Prepare(uid=genuine.uid))
        emulator = VirtualDesfire.factory("ev2", uid=genuine.uid)
        assert refusal(service, emulator, m.Prepare(uid=genuine.uid)) is Code.BADGE_KEYS_UNKNOWN
        assert encoded(service, genuine).exposed is False


def test_two_encodings_for_one_holder_give_one_active_badge(tmp_path: Path) -> None:
    with key_service(configuration(tmp_path), MovedClock()) as service:
        who = holder(service).id
        badges = [VirtualDesfire.factory("ev2") for _ in range(2)]
        steps = [service.begin(m.Encode(uid=badge.uid, holder=who)) for badge in badges]
        outcomes: list[object] = []
        while steps:
            step, badge = steps.pop(0), badges.pop(0)
            try:
                answers = tuple(badge.transmit(command) for command in step.commands)
                following = service.next(step.handle, answers)
            except Refused as error:
                outcomes.append(error.code)
                continue
            if isinstance(following, m.Step):
                steps.append(following)
                badges.append(badge)
            else:
                outcomes.append(type(following))
        assert sorted(map(str, outcomes)) == sorted(map(str, [m.Encoded, Code.CONFLICT]))
        states = sorted(badge.state for badge in service.badges(m.Page()).items)
        assert states == ["active", "stock"]


@pytest.mark.parametrize("executed", [False, True])
def test_a_preparation_that_was_cut_goes_on(tmp_path: Path, executed: bool) -> None:
    with key_service(configuration(tmp_path, "transport"), MovedClock()) as service:
        for cut_at in range(8):
            badge = VirtualDesfire.factory("ev1")
            relay = Relay(service, badge)
            with pytest.raises(Cut):
                relay.run(m.Prepare(uid=badge.uid), cut_at=cut_at, executed=executed)
            assert isinstance(relay.run(m.Prepare(uid=badge.uid)), m.Prepared)
            assert encoded(service, badge).number


def test_an_encoding_with_one_spoilt_answer_fails_cleanly_and_then_goes_on(
    tmp_path: Path,
) -> None:
    with key_service(configuration(tmp_path), MovedClock()) as service:
        for number in range(1, 46, 2):
            badge = VirtualDesfire.factory("ev2")

            def spoil(count: int, answer: bytes, number: int = number) -> bytes:
                return answer[:-3] + b"\x00" + answer[-2:] if count == number else answer

            with suppress(Refused):
                Relay(service, badge).run(m.Encode(uid=badge.uid), spoil=spoil)
                continue
            assert encoded(service, badge).number
