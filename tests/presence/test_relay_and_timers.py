"""What carries commands to a card, and what keeps deadlines."""

import asyncio
from typing import Any

import pytest

from cardd.errors import CardRemoved, Code, KmsUnavailable, Refused
from cardd.kms import messages as m
from cardd.presence.relay import MOST_STEPS, relay
from cardd.presence.timers import Timers
from tests.presence.world import UID, Card, Connection, HandClock, Keys, limited, proof

pytestmark = pytest.mark.unit


class Endless(Keys):
    """A key service whose steps have three commands each, and which never comes to an end."""

    answers: tuple[bytes, ...] = ()

    def begin(self, procedure: m.Procedure) -> m.Step:
        return m.Step("handle", (b"\x01", b"\x02", b"\x03"))

    def next(self, handle: str, answers: tuple[bytes, ...]) -> m.Step:
        self.answers = answers
        return self.begin(m.Tap(UID))


def relayed(keys: Keys, card: Card) -> m.Outcome:
    connection = Connection(card)
    signs: list[Any] = []
    with connection.transaction():
        return relay(
            keys,  # type: ignore[arg-type]
            connection,
            m.Tap(UID),
            alive=lambda: signs.append(None),
            progress=signs.append,
        )


def test_the_commands_of_a_step_are_sent_and_answered_in_order() -> None:
    keys, card = Endless(HandClock()), Card()
    with pytest.raises(Refused) as refusal:
        relayed(keys, card)
    assert refusal.value.code == Code.INTERNAL_ERROR
    assert card.commands == [b"\x01", b"\x02", b"\x03"] * MOST_STEPS
    assert keys.answers == tuple(proof(UID, command) for command in (b"\x01", b"\x02", b"\x03"))
    assert keys.aborted == ["handle"]


@pytest.mark.parametrize("pulled_at", [0, 1, 2])
def test_a_card_that_goes_gives_the_handle_up_and_is_not_asked_again(pulled_at: int) -> None:
    keys, card = Endless(HandClock()), Card(pulled_at=pulled_at)
    with pytest.raises(CardRemoved):
        relayed(keys, card)
    assert keys.aborted == ["handle"]
    assert len(card.commands) == pulled_at


def test_a_key_service_that_cannot_even_abort_does_not_hide_what_happened() -> None:
    class Deaf(Endless):
        def abort(self, handle: str) -> None:
            raise KmsUnavailable("gone")

    with pytest.raises(CardRemoved):
        relayed(Deaf(HandClock()), Card(pulled_at=1))


def test_deadlines_are_kept_in_their_order_and_each_once() -> None:
    clock, done = HandClock(), []
    timers = Timers(clock)
    now = clock.now()
    timers.set("b", now + 2, lambda: done.append("b"))
    timers.set("a", now + 1, lambda: done.append("a"))
    timers.set("c", now + 3, lambda: done.append("c"))
    timers.set("gone", now + 1, lambda: done.append("gone"))
    timers.clear("gone")
    timers.tick()
    clock.time = now + 2
    timers.tick()
    timers.tick()
    assert done == ["a", "b"]


def test_an_action_may_move_another_deadline_and_its_failure_stops_none() -> None:
    clock, done = HandClock(), []
    timers = Timers(clock)
    now = clock.now()

    def move() -> None:
        timers.set("moved", now + 10, lambda: done.append("moved"))
        timers.clear("cleared")
        raise RuntimeError("a fault of this action")

    timers.set("first", now, move)
    timers.set("moved", now + 1, lambda: done.append("too early"))
    timers.set("cleared", now + 1, lambda: done.append("cleared"))
    timers.set("last", now + 1, lambda: done.append("last"))
    clock.time = now + 1
    timers.tick()
    assert done == ["last"]
    clock.time = now + 10
    timers.tick()
    assert done == ["last", "moved"]


@limited
async def test_in_service_deadlines_are_kept_without_a_tick() -> None:
    clock = HandClock()
    timers = Timers(clock)
    timers.start(asyncio.get_running_loop())
    acted = asyncio.Event()
    timers.set("later", clock.now() + 3600, lambda: None)
    timers.set("now", clock.now(), acted.set)
    await acted.wait()
    timers.stop()


@limited
async def test_a_deadline_set_by_an_action_is_aimed_at_too() -> None:
    clock = HandClock()
    timers = Timers(clock)
    timers.start(asyncio.get_running_loop())
    acted = asyncio.Event()
    timers.set("first", clock.now(), lambda: timers.set("next", clock.now(), acted.set))
    await acted.wait()
    timers.stop()
