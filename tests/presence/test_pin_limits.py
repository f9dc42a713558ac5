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
        assert refusal.code == Code.RATE_LIMITED
        return refusal.facts
    return None


def test_after_two_wrong_pins_the_next_waits_until_a_minute_has_passed() -> None:
    clock = HandClock()
    limits = PinLimits(clock)
    limits.wrong("me", "1")
    assert refused(limits) is None
    clock.time += 20
    limits.wrong("me", "1")
    assert refused(limits) == {"retry_after": 40}
    clock.time += 39
    assert refused(limits) == {"retry_after": 1}
    clock.time += 1
    assert refused(limits) is None
    limits.wrong("me", "1")
    assert refused(limits) == {"retry_after": 20}


def test_another_peer_and_another_card_do_not_wait() -> None:
    limits = PinLimits(HandClock())
    for _ in range(2):
        limits.wrong("me", "1")
    assert refused(limits) is not None
    assert refused(limits, peer="another") is None
    assert refused(limits, card="2") is None


def test_the_right_pin_forgets_the_wrong_ones() -> None:
    limits = PinLimits(HandClock())
    for _ in range(2):
        limits.wrong("me", "1")
    limits.right("me", "1")
    assert refused(limits) is None


def test_a_clock_that_is_set_back_lengthens_no_wait() -> None:
    clock = HandClock()
    limits = PinLimits(clock)
    for _ in range(2):
        limits.wrong("me", "1")
    clock.time -= 86_400
    assert refused(limits) is None


def test_what_is_remembered_is_bounded() -> None:
    limits = PinLimits(HandClock())
    for card in range(MOST_REMEMBERED + 10):
        limits.wrong("me", str(card))
    assert len(limits._wrong) == MOST_REMEMBERED
