"""Encodings that are cut or disturbed anywhere, and what showing the badge again makes of them."""

from contextlib import suppress
from pathlib import Path

import pytest

from cardd.errors import Refused
from cardd.kms import messages as m
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import (
    Cut,
    MovedClock,
    Relay,
    configuration,
    encoded,
    holder,
    key_service,
    tapped,
)

pytestmark = pytest.mark.faults

PRODUCTS = ("ev1", "ev2")
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
