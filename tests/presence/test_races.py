"""Threads against each other: cards that come and go while clients ask, cancel and poll."""

import asyncio
import random
import threading
from typing import Any

import pytest

from cardd.errors import Code, Refused
from cardd.presence.operations import Operation
from tests.presence.world import LIMIT_S, OTHER_UID, UID, Card, World, in_thread, limited

pytestmark = pytest.mark.unit

CODES = {
    Code.TAP_TOO_SHORT,
    Code.BADGE_UNKNOWN,
    Code.BADGE_NOT_GENUINE,
    Code.CARD_NOT_SUPPORTED,
    Code.WRONG_PERSON,
}
BLANK = bytes.fromhex("04AAAAAAAAAAAA")


def some_card(chance: random.Random) -> Card:
    return Card(
        uid=chance.choice([UID, OTHER_UID, BLANK]),
        pulled_at=chance.choice([None, None, 0, 1, 2, 3]),
        genuine=chance.random() > 0.1,
    )


def ask(world: World, chance: random.Random) -> Operation | None:
    try:
        if chance.random() < 0.3:
            return world.enrol(reader=chance.choice([None, "one"]))
        return world.authenticate(
            reader=chance.choice([None, "one", "two"]),
            expect_holder=chance.choice([None, "bob"]),
            presence=chance.choice(["start", "none"]),
        )
    except Refused as refusal:
        if refusal.code not in {Code.CARD_BUSY, Code.CONFLICT, Code.RATE_LIMITED}:
            raise
        return None


@limited
@pytest.mark.parametrize("seed", range(20))
async def test_whatever_the_order_every_operation_ends_once_and_nothing_is_left_over(
    seed: int,
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the order of a test is no secret
    async with World(debounce_ms=0).running() as world:
        operations: list[Operation] = []
        full = dict.fromkeys(("one", "two"), False)
        for _ in range(150):
            reader = chance.choice(("one", "two"))
            match chance.randrange(4):
                case 0 | 1:
                    world.clock.time += 0.1
                    if full[reader]:
                        world.source.withdraw(reader)
                    else:
                        world.source.insert(reader, some_card(chance))
                    full[reader] = not full[reader]
                case 2:
                    asked = ask(world, chance)
                    operations += [asked] if asked else []
                case 3 if operations and chance.random() < 0.3:
                    world.station.cancel(chance.choice(operations).id)
            await asyncio.sleep(0)
        await world.settled()
        world.advance(75)
        await check(world, operations)


async def check(world: World, operations: list[Operation]) -> None:
    for operation in operations:
        assert operation.ended
        if operation.state == "succeeded":
            assert operation.result is not None
        if operation.state == "failed":
            assert operation.problem.code in CODES | {Code.TIMEOUT}
    assert world.station._queue._entries == []
    signed = [op.result.assertion for op in operations if hasattr(op.result, "assertion")]
    assert len(signed) <= sum(len(tap.requests) for tap in world.keys.taps)
    # What the key service holds open is exactly what the workstation shows.
    await world.errands_done()
    open_there = set(world.keys.opened) - set(world.keys.ended)
    assert open_there == {view.sid for view in world.station.presences()}
    assert all(connection.closed for connection in world.source.connections)
    assert world.keys.exchanges == {}


@limited
async def test_an_enrolment_asked_for_as_the_card_is_shown_always_gets_it() -> None:
    async with World(debounce_ms=0).running() as world:
        for _ in range(100):
            card = Card(uid=BLANK)
            world.keys.encoded.clear()
            world.source.insert("one", card)
            operation = world.enrol()
            assert (await world.ended(operation)).state == "succeeded"
            world.source.withdraw("one")
            await world.until("card.removed")
            world.advance(31)


@limited
async def test_the_loop_hears_of_a_card_before_it_hears_what_came_of_it() -> None:
    async with World(debounce_ms=0).running() as world:
        order: dict[str, list[str]] = {}
        for _ in range(10):
            for _ in range(20):
                world.source.insert("one", Card())
                world.source.withdraw("one")
            taps = 0
            while taps < 20:
                event = await world.until("card.inserted", "tap")
                order.setdefault(event.card, []).append(event.type)
                taps += event.type == "tap"
        assert set(map(tuple, order.values())) == {("card.inserted", "tap")}


@limited
async def test_a_card_shown_while_its_enrolment_is_being_opened_is_found() -> None:
    async with World().running() as world:
        slot = world.station._slots.find("one")
        opening = world.station._operations.open

        def slow(*arguments: Any) -> Operation:
            world.source.insert("one", Card(uid=BLANK))
            for put in (world.source._reports.put, lambda done: slot.worker.submit(done.set)):
                done = threading.Event()
                put(done)
                assert done.wait(LIMIT_S)
            return opening(*arguments)

        world.station._operations.open = slow
        assert (await world.ended(world.enrol())).state == "succeeded"


@limited
async def test_a_card_that_left_before_its_turn_is_not_taken_for_the_next_one() -> None:
    async with World().running() as world:
        first = Card(uid=OTHER_UID, held_at=2)
        world.source.insert("one", first)
        await in_thread(first.reached.wait)
        for card in (Card(uid=BLANK), Card(uid=UID)):
            world.source.withdraw("one")
            world.source.insert("one", card)
        await world.source.drained()
        first.released.set()
        taps = [await world.until("tap") for _ in range(3)]
        assert [tap.data["code"] for tap in taps] == [None, Code.TAP_TOO_SHORT, None]
        assert [tap.uid for tap in world.keys.taps] == [OTHER_UID, UID]


@limited
async def test_a_slow_reporter_is_not_overtaken_by_the_worker_that_it_woke() -> None:
    async with World().running() as world:
        tell, reported = world.station._slots._tell, threading.Event()
        take = world.station._reception.reported

        def late(*arguments: Any) -> None:
            reported.wait(0.2)
            tell(*arguments)

        def noted(report: Any) -> None:
            reported.set()
            take(report)

        world.station._slots._tell = late
        world.station._reception.reported = noted
        world.source.insert("one", Card())
        await world.until("tap")
        shown = [event.type for event in world.seen if event.card]
        assert shown == ["card.inserted", "card.identified", "tap"]
