"""How many wrong PINs a peer may give a card."""

import pytest

from cardd.errors import Code, Refused
from cardd.presence.pin_limits import MOST_REMEMBERED, PinLimits
from tests.presence.world import HandClock

pytestmark = pytest.mark.unit


def refused(limits: PinLimits, peer: str = "me", card: str = "1") -> dict[str, object] | None:
    try:
        limits.require(peer, card)
    except Refused as refusal:
        return refusal.facts if refusal.code == Code.RATE_LIMITED else {}
    return None


def guess(limits: PinLimits, peer: str, card: str) -> None:
    limits.wrong(peer, card, limits.reserve(peer, card))


def test_after_two_wrong_pins_the_next_waits_until_a_minute_has_passed() -> None:
    clock = HandClock()
    limits = PinLimits(clock)
    guess(limits, "me", "1")
    assert refused(limits) is None
    clock.time += 20
    guess(limits, "me", "1")
    assert refused(limits) == {"retry_after": 40}
    clock.time += 39
    assert refused(limits) == {"retry_after": 1}
    clock.time += 1
    assert refused(limits) is None
    guess(limits, "me", "1")
    assert refused(limits) == {"retry_after": 20}


def test_another_peer_and_another_card_do_not_wait() -> None:
    limits = PinLimits(HandClock())
    for _ in range(2):
        guess(limits, "me", "1")
    assert refused(limits) is not None
    assert refused(limits, peer="another") is None
    assert refused(limits, card="2") is None


def test_the_right_pin_forgets_the_wrong_ones() -> None:
    limits = PinLimits(HandClock())
    for _ in range(2):
        guess(limits, "me", "1")
    limits.right("me", "1")
    assert refused(limits) is None


def test_a_clock_that_is_set_back_lengthens_no_wait() -> None:
    clock = HandClock()
    limits = PinLimits(clock)
    for _ in range(2):
        guess(limits, "me", "1")
    clock.time -= 86_400
    assert refused(limits) is None


def test_what_is_remembered_is_bounded() -> None:
    limits = PinLimits(HandClock())
    for card in range(MOST_REMEMBERED + 10):
        guess(limits, "me", str(card))
    assert len(limits._wrong) == MOST_REMEMBERED


def test_a_pin_that_is_still_tried_counts_as_wrong_until_it_is_taken_back() -> None:
    limits = PinLimits(HandClock())
    first, second = limits.reserve("me", "1"), limits.reserve("me", "1")
    assert refused(limits) is not None
    limits.take_back("me", "1", first)
    assert refused(limits) is None
    limits.take_back("me", "1", second)
    assert limits._wrong == {}


def test_a_wrong_pin_counts_from_when_the_card_refused_it() -> None:
    clock = HandClock()
    limits = PinLimits(clock)
    first, second = limits.reserve("me", "1"), limits.reserve("me", "1")
    clock.time += 50
    limits.wrong("me", "1", first)
    assert refused(limits) == {"retry_after": 10}
    limits.wrong("me", "1", second)
    assert refused(limits) == {"retry_after": 60}


def test_a_wrong_pin_among_right_ones_still_counts() -> None:
    limits = PinLimits(HandClock())
    first = limits.reserve("me", "1")
    limits.reserve("me", "1")
    limits.right("me", "1")
    limits.wrong("me", "1", first)
    guess(limits, "me", "1")
    assert refused(limits) is not None
