"""A card that never answers, a source that fails, and a clean stop in spite of them."""

import threading

import pytest

from cardd.errors import Code, Refused
from tests.presence.world import OTHER_UID, Card, Source, World, in_thread, limited

pytestmark = pytest.mark.unit


async def stuck(world: World, card: Card, reader: str = "one") -> None:
    """Show a card that does not answer any more, and let the time pass in which it should."""
    world.source.insert(reader, card)
    await in_thread(card.reached.wait)
    await world.until("card.inserted")
    world.advance(5)
    world.advance(0.5)


@limited
async def test_a_stuck_reader_is_a_fault_and_what_waited_for_it_fails() -> None:
    async with World().running() as world:
        operation = world.authenticate()
        card = Card(held_at=2)
        await stuck(world, card)
        degraded = await world.until("service.degraded")
        assert (degraded.reader, degraded.data["source"]) == ("one", "desk")
        assert (await world.until("tap")).data == {"outcome": "refused", "code": Code.TIMEOUT}
        assert operation.problem.code == Code.TIMEOUT
        first, second = world.station.readers()
        assert (first.health, second.health) == ("fault", "ok")
        assert "5 s" in first.why
        with pytest.raises(Refused) as refusal:
            world.authenticate(reader="one")
        assert refusal.value.code == Code.CARD_BUSY
        assert (await world.tap(Card(uid=OTHER_UID), "two")).data["outcome"] == "succeeded"
        card.released.set()


@limited
async def test_a_slow_card_that_shows_signs_of_life_is_not_given_up() -> None:
    async with World().running() as world:
        card = Card(held_at=2)
        world.source.insert("one", card)
        await in_thread(card.reached.wait)
        await world.until("card.inserted")
        world.advance(3)
        slot = world.station._slots.find("one")
        slot.alive_at = world.clock.now()
        world.advance(3)
        assert world.station.readers()[0].health == "ok"
        world.advance(2)
        assert world.station.readers()[0].health == "ok"
        world.advance(0.5)
        assert world.station.readers()[0].health == "fault"
        card.released.set()


@limited
async def test_a_clock_that_is_set_forward_makes_no_reader_stuck() -> None:
    async with World().running() as world:
        card = Card(held_at=2)
        world.source.insert("one", card)
        await in_thread(card.reached.wait)
        await world.until("card.inserted")
        world.advance(3600)
        card.released.set()
        assert (await world.until("tap")).data["outcome"] == "succeeded"
        assert not [event for event in world.seen if event.type == "service.degraded"]


@limited
async def test_further_cards_get_card_busy_and_are_not_tapped_when_it_comes_free() -> None:
    async with World().running() as world:
        card = Card(held_at=2)
        await stuck(world, card)
        await world.until("tap")
        operation = world.authenticate()
        await world.take_away()
        world.source.insert("one", Card(uid=OTHER_UID))
        assert (await world.until("tap")).data["code"] == Code.CARD_BUSY
        card.released.set()
        restored = await world.until("service.restored")
        assert (restored.reader, restored.data["why"]) == ("one", None)
        assert world.station.readers()[0].health == "ok"
        assert operation.state == "waiting_for_card"
        assert len(world.keys.taps) == 1
        await world.take_away()
        await world.tap(Card(uid=OTHER_UID))
        assert (await world.ended(operation)).result.holder.id == "bob"


@limited
async def test_a_card_that_waits_behind_a_stuck_one_is_told_and_not_tapped_later() -> None:
    async with World().running() as world:
        card = Card(held_at=2)
        world.source.insert("one", card)
        await in_thread(card.reached.wait)
        await world.until("card.inserted")
        await world.take_away()
        world.source.insert("one", Card(uid=OTHER_UID))
        await world.until("card.inserted")
        world.advance(5)
        world.advance(0.5)
        codes = [(await world.until("tap")).data["code"] for _ in range(2)]
        assert codes == [Code.TIMEOUT, Code.CARD_BUSY]
        card.released.set()
        await world.until("service.restored")
        await world.settled()
        assert len(world.keys.taps) == 1
        assert world.station.presences() == ()
        assert world.keys.ended == {"sid-1": "too_late"}


@limited
async def test_what_a_given_up_card_says_too_late_opens_no_presence() -> None:
    async with World().running() as world:
        operation = world.authenticate()
        card = Card(held_at=3)
        await stuck(world, card)
        card.released.set()
        await world.until("service.restored")
        await world.errands_done()
        assert operation.state == "failed"
        assert world.station.presences() == ()
        assert world.keys.ended == {"sid-1": "too_late"}


@limited
async def test_a_stuck_enrolment_fails_and_a_new_one_goes_on() -> None:
    async with World().running() as world:
        operation = world.enrol()
        card = Card(held_at=4, pulled_at=4)
        await stuck(world, card)
        assert operation.problem.code == Code.TIMEOUT
        card.released.set()
        await world.until("service.restored")
        await world.take_away()
        world.source.insert("one", card)
        await world.until("card.inserted")
        assert (await world.ended(world.enrol())).state == "succeeded"


@limited
async def test_a_reader_that_goes_while_it_is_stuck_comes_back_with_a_worker_that_works() -> None:
    async with World().running() as world:
        card = Card(held_at=2)
        await stuck(world, card)
        world.source.withdraw("one")
        world.source.remove("one")
        world.source.add("one")
        await world.until("reader.removed")
        await world.until("reader.added")
        assert world.station.readers()[0].health == "ok"
        assert (await world.tap(Card(uid=OTHER_UID))).data["outcome"] == "succeeded"
        card.released.set()


@limited
async def test_a_reader_that_goes_takes_its_card_along() -> None:
    async with World().running() as world:
        world.source.insert("one", Card())
        inserted = await world.until("card.inserted")
        world.source.remove("one")
        assert (await world.until("card.removed")).card == inserted.card
        await world.until("reader.removed")
        assert [view.name for view in world.station.readers()] == ["two"]


@limited
async def test_a_fault_of_the_source_shows_until_the_next_card() -> None:
    async with World().running() as world:
        world.source.fault("one", "the card does not answer to reset")
        degraded = await world.until("service.degraded")
        assert degraded.data["why"] == "the card does not answer to reset"
        assert world.station.readers()[0].health == "fault"
        assert (await world.tap()).data["outcome"] == "succeeded"
        assert world.station.readers()[0].health == "ok"


@limited
async def test_a_reader_of_the_same_name_in_another_source_is_left_out() -> None:
    async with World(Source(), Source("other", ())).running() as world:
        world.sources[1].add("one")
        world.sources[1].insert("one", Card(uid=OTHER_UID))
        assert (await world.tap()).identity["holder"]["id"] == "alice"
        assert [view.source for view in world.station.readers()] == ["desk", "desk"]
        assert len(world.keys.taps) == 1


@limited
async def test_a_key_service_that_does_not_answer_makes_the_health_bad_and_holds_nothing_up() -> (
    None
):
    async with World().running() as world:
        world.keys.health_waits_for.clear()
        world.keys.health_asked.clear()
        world.advance(30)
        await in_thread(world.keys.health_asked.wait)
        assert world.station.status().can.badge
        world.advance(5)
        assert world.station.status().can.why == "the key service has not answered for 5 s"
        world.keys.health_waits_for.set()
        await world.until("service.restored")
        assert world.keys.calls["health"] == 2


@limited
async def test_a_stop_ends_every_thread_and_tells_the_kms_who_was_present() -> None:
    before = set(threading.enumerate())
    async with World().running() as world:
        await world.tap()
    assert (await world.until("presence.ended")).data == {"reason": "service_stopped"}
    assert [event async for event in world.events] == []
    assert world.keys.ended == {"sid-1": "service_stopped"}
    assert world.keys.listeners == []
    left = {thread.name for thread in set(threading.enumerate()) - before if thread.is_alive()}
    assert not {name for name in left if not name.startswith(("asyncio", "stop"))}


@limited
async def test_a_stop_does_not_wait_for_a_stuck_card_or_a_stuck_source() -> None:
    card = Card(held_at=2)
    async with World(Source(), Source("other", ("three",))).running() as world:
        world.sources[1].stop_waits_for.clear()
        world.source.insert("one", card)
        await in_thread(card.reached.wait)
    card.released.set()
    world.sources[1].stop_waits_for.set()
