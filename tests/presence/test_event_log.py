"""Events are numbered, replayed, and never held back by who reads them slowly."""

import asyncio

import pytest

from cardd.presence.events import EventLog, Subscription
from cardd.presence.model import Event
from tests.presence.world import HandClock, limited

pytestmark = pytest.mark.unit


def log(*, kept: int = 4, backlog: int = 3) -> EventLog:
    def snapshot() -> tuple[dict[str, str], dict[str, str]]:
        return {"readers": "none"}, {"presences": "none"}

    return EventLog(HandClock(), snapshot, epoch="abc", kept=kept, backlog=backlog)


async def drained(subscription: Subscription) -> list[Event]:
    subscription.finish()
    return [event async for event in subscription]


@limited
async def test_a_listener_gets_a_snapshot_and_then_what_happens() -> None:
    events = log()
    events.publish("before")
    listener = events.subscribe()
    events.publish("tap", reader="one", card="c", data={"a": 1}, identity={"b": 2})
    first, second = await drained(listener)
    assert (first.type, first.id, first.data) == ("snapshot", "abc.1", {"readers": "none"})
    assert first.identity == {"presences": "none"}
    assert second == Event("abc.2", "tap", 1_800_000_000.0, "one", "c", {"a": 1}, {"b": 2})


@limited
async def test_a_known_id_is_followed_by_exactly_what_was_missed() -> None:
    events = log(kept=4)
    for number in range(6):
        events.publish(str(number))
    for last, missed in [("abc.6", []), ("abc.4", ["4", "5"]), ("abc.2", ["2", "3", "4", "5"])]:
        assert [event.type for event in await drained(events.subscribe(last))] == missed


@limited
@pytest.mark.parametrize(
    "last",
    ["abc.1", "abc.7", "abd.3", "abc", "", ".", "abc.-1", "abc.x", "abc.٣", "abc." + "9" * 99],
)
async def test_an_id_that_is_not_kept_or_not_ours_gives_a_snapshot_that_says_gap(last: str) -> None:
    events = log(kept=4)
    for number in range(6):
        events.publish(str(number))
    (first,) = await drained(events.subscribe(last))
    assert (first.type, first.data["reason"], first.id) == ("snapshot", "gap", "abc.6")


@limited
async def test_one_that_lags_is_told_so_and_goes_on_from_there() -> None:
    events = log(kept=100, backlog=3)
    slow, quick = events.subscribe(), events.subscribe("abc.0")
    got = []
    for number in range(8):
        events.publish(str(number))
        got.append((await anext(quick)).type)
    assert got == [str(number) for number in range(8)]
    held = [event async for event in slow]
    assert [event.type for event in held] == ["snapshot", "0", "1", "2", "lagged"]
    rest = await drained(events.subscribe(held[-1].id))
    assert [event.type for event in rest] == ["3", "4", "5", "6", "7"]


@limited
async def test_a_listener_that_waits_is_woken_and_at_shutdown_every_one_ends() -> None:
    events = log()
    listener = events.subscribe("abc.0")
    waiting = asyncio.create_task(anext(listener))
    await asyncio.sleep(0)
    events.publish("now")
    assert (await waiting).type == "now"
    waiting = asyncio.create_task(anext(listener, None))
    await asyncio.sleep(0)
    events.close_all()
    assert await waiting is None
    assert [event async for event in events.subscribe()] == []


@limited
async def test_a_cancelled_wait_loses_no_event() -> None:
    events = log()
    listener = events.subscribe("abc.0")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(listener)
    events.publish("kept")
    assert (await anext(listener)).type == "kept"


@limited
async def test_a_closed_listener_gets_nothing_more() -> None:
    events = log()
    listener = events.subscribe()
    listener.close()
    listener.close()
    events.publish("late")
    assert [event async for event in listener] == []
