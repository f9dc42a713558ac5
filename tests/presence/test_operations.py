"""Authentications: who gets the card, and how each ends."""

import asyncio

import pytest

from cardd.errors import Code, Refused
from cardd.presence.model import AuthenticationRequest, EnrolmentRequest
from cardd.presence.operations import Operation
from cardd.presence.queue import Queue
from cardd.presence.register import MOST_PER_OWNER
from tests.presence.world import NONCE, OTHER_UID, UID, Card, World, in_thread, limited

pytestmark = pytest.mark.unit


@limited
async def test_an_authentication_takes_the_next_card_and_gets_its_assertion() -> None:
    async with World().running() as world:
        operation = world.authenticate(expect_holder="alice")
        assert (operation.kind, operation.owner, operation.state) == (
            "authentication",
            "me",
            "waiting_for_card",
        )
        await world.tap()
        await world.ended(operation)
        assert operation.state == "succeeded"
        assert operation.result.assertion == "jws app"
        assert (operation.result.sid, operation.result.reader) == ("sid-1", "one")
        assert world.keys.taps[0].expect_holder == "alice"
        assert world.station.operation(operation.id) is operation


@limited
async def test_one_without_a_presence_opens_none_and_leaves_the_one_that_is_open() -> None:
    async with World().running() as world:
        await world.tap()
        operation = world.authenticate(presence="none")
        await world.tap(Card(uid=OTHER_UID))
        await world.ended(operation)
        assert (operation.state, operation.result.sid) == ("succeeded", None)
        assert [view.sid for view in world.station.presences()] == ["sid-1"]


@limited
async def test_another_persons_badge_fails_it_and_opens_no_presence() -> None:
    async with World().running() as world:
        operation = world.authenticate(expect_holder="bob")
        tap = await world.tap()
        assert tap.data["code"] == Code.WRONG_PERSON
        assert (await world.ended(operation)).problem.code == Code.WRONG_PERSON
        assert world.station.presences() == ()


@limited
@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        ("one", "one", False),
        ("one", None, False),
        (None, "one", False),
        (None, None, False),
        ("one", "two", True),
    ],
)
async def test_two_that_want_the_same_card_do_not_both_wait(
    first: str | None, second: str | None, fits: bool
) -> None:
    async with World().running() as world:
        operation = world.authenticate(reader=first)
        if fits:
            other = world.authenticate(reader=second)
            await world.tap(Card(), second)
            assert (await world.ended(other)).state == "succeeded"
            assert operation.state == "waiting_for_card"
            return
        with pytest.raises(Refused) as refusal:
            world.authenticate(reader=second)
        assert refusal.value.code == Code.CARD_BUSY
        world.station.cancel(operation.id)
        assert world.authenticate(reader=second).state == "waiting_for_card"


@limited
async def test_a_request_that_cannot_be_served_is_refused_with_a_reason() -> None:
    async with World().running() as world:
        with pytest.raises(Refused, match="no root certificate") as no_trust:
            world.authenticate(methods=("cps",))
        assert no_trust.value.code == Code.TRUST_UNAVAILABLE
        with pytest.raises(Refused) as no_reader:
            world.authenticate(reader="three")
        assert no_reader.value.code == Code.NOT_FOUND


@limited
async def test_a_time_out_fails_it_and_it_is_forgotten_30_s_after_its_last_poll() -> None:
    async with World().running() as world:
        operation = world.authenticate(timeout_s=10)
        world.advance(9.9)
        assert operation.state == "waiting_for_card"
        world.advance(0.2)
        assert (operation.state, operation.problem.code) == ("failed", Code.TIMEOUT)
        world.advance(29)
        assert world.station.operation(operation.id) is operation
        world.advance(29)
        assert world.station.operation(operation.id) is operation
        world.advance(30.1)
        assert world.station.operation(operation.id) is None
        world.station.cancel(operation.id)


@limited
async def test_a_client_cannot_pile_up_operations() -> None:
    async with World().running() as world:
        for _ in range(MOST_PER_OWNER):
            world.station.cancel(world.authenticate().id)
        with pytest.raises(Refused) as refusal:
            world.authenticate()
        assert refusal.value.code == Code.RATE_LIMITED
        world.advance(31)
        assert world.authenticate().state == "waiting_for_card"


@limited
async def test_changed_returns_at_the_end_at_the_time_out_and_at_once_when_ended() -> None:
    async with World().running() as world:
        operation = world.authenticate()
        await operation.changed(0)
        await operation.changed(0.001)
        waiting = [asyncio.create_task(operation.changed(10)) for _ in range(3)]
        await asyncio.sleep(0)
        world.station.cancel(operation.id)
        await asyncio.gather(*waiting)
        await operation.changed(10)
        assert operation.state == "cancelled"


@limited
@pytest.mark.parametrize("point", [0, 1, 2, 3])
async def test_a_cancel_at_any_point_of_a_tap_leaves_it_cancelled_and_the_person_present(
    point: int,
) -> None:
    async with World().running() as world:
        operation = world.authenticate()
        card = Card(held_at=point)
        world.source.insert("one", card)
        await in_thread(card.reached.wait)
        world.station.cancel(operation.id)
        again = world.authenticate()
        card.released.set()
        assert (await world.until("tap")).data["outcome"] == "succeeded"
        await world.until("presence.started")
        assert operation.state == "cancelled"
        assert operation.result is None
        # Before the claim the card is still free for the one that came instead.
        expected = "succeeded" if point <= 1 else "waiting_for_card"
        assert again.state == expected


@limited
@pytest.mark.parametrize(("late_s", "state"), [(5, "succeeded"), (10.5, "failed")])
async def test_a_time_out_during_a_tap_gives_it_ten_seconds_more(late_s: int, state: str) -> None:
    async with World().running() as world:
        operation = world.authenticate(timeout_s=1)
        card = Card(held_at=2)
        world.source.insert("one", card)
        await in_thread(card.reached.wait)
        world.station._timers.clear(("worker", world.station._slots.find("one")))
        world.advance(1.1)
        assert operation.state == "in_progress"
        world.advance(late_s)
        card.released.set()
        await world.until("tap")
        assert (await world.ended(operation)).state == state


@limited
async def test_the_end_of_the_daemon_cancels_what_waits() -> None:
    async with World().running() as world:
        operation = world.authenticate()
        waiting = asyncio.create_task(operation.changed(10))
        await asyncio.sleep(0)
    await waiting
    assert operation.state == "cancelled"


def _authentication(reader: str | None = None) -> Operation:
    request = AuthenticationRequest(audience="app", nonce=NONCE, reader=reader)
    return Operation("me", request, 0.0)


def _enrolment(reader: str | None = None) -> Operation:
    return Operation("me", EnrolmentRequest(action="encode", reader=reader), 0.0)


def test_one_card_is_claimed_once() -> None:
    queue = Queue()
    operation = _authentication()
    queue.add(operation)
    assert queue.claim("one", UID, shown=False) is None
    assert queue.claim("one", UID, shown=True) is operation
    assert queue.claim("two", UID, shown=True) is None
    assert not queue.withdraw(operation)
    queue.drop(operation)
    queue.drop(operation)


def test_an_interrupted_enrolment_takes_the_same_badge_alone() -> None:
    queue = Queue()
    operation = _enrolment()
    queue.add(operation)
    assert queue.claim("one", None, shown=True) is None
    assert queue.claim("one", UID, shown=False) is operation
    assert queue.release(operation, UID)
    assert queue.claim("one", OTHER_UID, shown=True) is None
    assert queue.claim("two", UID, shown=True) is operation
    queue.drop(operation)
    assert not queue.release(operation, UID)


def test_an_enrolment_at_work_keeps_its_reader_and_an_authentication_does_not() -> None:
    queue = Queue()
    enrolment, authentication = _enrolment("one"), _authentication("two")
    queue.add(enrolment)
    queue.add(authentication)
    queue.claim("one", UID, shown=True)
    queue.claim("two", UID, shown=True)
    with pytest.raises(Refused):
        queue.add(_authentication("one"))
    queue.add(_authentication("two"))
