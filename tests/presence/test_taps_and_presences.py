"""A card shown is a tap; a tap that succeeds opens, replaces or switches a presence."""

import asyncio

import pytest

from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms import messages as m
from cardd.kms.messages import AssertionRequest
from tests.presence.world import NONCE, OTHER_UID, UID, Card, Source, World, in_thread, limited

pytestmark = pytest.mark.unit


@limited
async def test_a_known_badge_gives_its_events_in_order_and_a_presence() -> None:
    async with World().running() as world:
        world.source.insert("one", Card())
        await world.until("presence.started")
        shown = [event for event in world.seen if event.card]
        assert [event.type for event in shown] == [
            "card.inserted",
            "card.identified",
            "tap",
            "presence.started",
        ]
        assert len({event.card for event in shown}) == 1
        tap = shown[2]
        assert tap.data == {"outcome": "succeeded", "code": None}
        assert tap.identity["holder"]["id"] == "alice"
        (presence,) = world.station.presences()
        assert (presence.holder.id, presence.reader, presence.sid) == ("alice", "one", "sid-1")
        reader = world.station.readers()[0]
        assert (reader.sid, reader.card.type) == ("sid-1", "badge")


@limited
async def test_a_tap_is_one_connection_one_transaction_and_three_commands() -> None:
    async with World().running() as world:
        card = Card()
        await world.tap(card)
        assert len(card.commands) == 3  # the UID, and the two of the key service
        (connection,) = world.source.connections
        await world.station._slots.find("one").worker.call(lambda: None)
        assert connection.closed


@limited
async def test_nothing_that_is_shown_carries_a_uid_or_an_assertion() -> None:
    async with World().running() as world:
        operation = world.authenticate()
        await world.tap()
        await world.ended(operation)
        shown = repr(world.seen) + repr(world.station.readers()) + repr(world.station.presences())
        assert UID.hex() not in shown.lower().replace("badge-" + UID.hex(), "")
        assert repr(UID) not in shown
        assert "jws" not in shown


@limited
@pytest.mark.parametrize(
    ("card", "code"),
    [
        (Card(uid=b"\x04\x05\x06\x07\x08\x09\x0a"), Code.BADGE_UNKNOWN),
        (Card(genuine=False), Code.BADGE_NOT_GENUINE),
        (Card(pulled_at=0), Code.TAP_TOO_SHORT),
        (Card(pulled_at=1), Code.TAP_TOO_SHORT),
        (Card(pulled_at=2), Code.TAP_TOO_SHORT),
        (Card(pulled_at=3), Code.TAP_TOO_SHORT),
        (Card(uid_answer=b"\x6a\x81"), Code.CARD_NOT_SUPPORTED),
        (Card(uid_answer=b""), Code.CARD_NOT_SUPPORTED),
        (Card(uid_answer=b"\x90\x00"), Code.CARD_NOT_SUPPORTED),
    ],
)
async def test_a_card_that_is_no_good_is_refused_with_its_code(card: Card, code: Code) -> None:
    async with World().running() as world:
        operation = world.authenticate()
        tap = await world.tap(card)
        assert tap.data == {"outcome": "refused", "code": code}
        assert tap.identity == {}
        await world.ended(operation)
        assert (operation.state, operation.problem.code) == ("failed", code)
        assert world.station.presences() == ()
        again = world.authenticate()
        await world.tap(Card())
        assert (await world.ended(again)).state == "succeeded"


@limited
async def test_a_card_pulled_in_the_middle_gives_the_handle_up() -> None:
    async with World().running() as world:
        await world.tap(Card(pulled_at=2))
        assert world.keys.aborted == ["handle-1"]
        assert world.keys.exchanges == {}


@limited
async def test_a_card_that_lay_there_at_start_is_no_tap_and_no_authentication() -> None:
    async with World().running() as world:
        world.source.insert("one", Card(), shown=False)
        await world.until("card.inserted")
        operation = world.authenticate()
        await world.station._slots.find("one").worker.call(lambda: None)
        assert world.keys.taps == []
        assert operation.state == "waiting_for_card"
        await world.take_away()
        await world.tap()
        assert (await world.ended(operation)).state == "succeeded"


@limited
async def test_a_spent_card_does_not_serve_a_later_authentication() -> None:
    async with World().running() as world:
        world.source.insert("one", Card())
        await world.until("tap")
        operation = world.authenticate()
        await world.station._slots.find("one").worker.call(lambda: None)
        assert operation.state == "waiting_for_card"
        assert len(world.keys.taps) == 1


@limited
async def test_the_same_person_again_goes_on_with_a_new_sid() -> None:
    async with World().running() as world:
        await world.tap()
        await world.tap()
        assert [presence.sid for presence in world.station.presences()] == ["sid-2"]
        await world.errands_done()
        assert world.keys.ended == {"sid-1": "replaced"}
        world.station.touch("sid-2", world.clock.now())
        started = [event for event in world.seen if event.type == "presence.started"]
        world.source.insert("two", Card(uid=OTHER_UID))
        started.append(await world.until("presence.started"))
        assert [event.identity["sid"] for event in started] == ["sid-1", "sid-2", "sid-3"]
        assert started[1].identity["replaces"] == "sid-1"
        assert not [event for event in world.seen if event.type == "presence.ended"]


@limited
async def test_another_person_switches_the_presence_in_one_event() -> None:
    async with World().running() as world:
        await world.tap()
        world.source.insert("one", Card(uid=OTHER_UID))
        switched = await world.until("presence.switched")
        assert switched.identity["from"]["sid"] == "sid-1"
        assert switched.identity["from"]["holder"]["id"] == "alice"
        assert switched.identity["to"]["sid"] == "sid-2"
        await world.errands_done()
        assert world.keys.ended == {"sid-1": "switched"}
        assert not [event for event in world.seen if event.type == "presence.ended"]


@limited
async def test_two_readers_have_two_presences() -> None:
    async with World().running() as world:
        await world.tap(Card(), "one")
        await world.tap(Card(uid=OTHER_UID), "two")
        assert [view.holder.id for view in world.station.presences()] == ["alice", "bob"]


@limited
async def test_a_card_that_loses_contact_for_a_moment_is_not_tapped_again() -> None:
    async with World().running() as world:
        world.source.insert("one", Card())
        await world.until("presence.started")
        world.source.withdraw("one")
        await world.until("card.removed")
        world.clock.time += 0.4
        world.source.insert("one", Card())
        await world.until("card.inserted")
        await world.station._slots.find("one").worker.call(lambda: None)
        assert len(world.keys.taps) == 1
        await world.take_away()
        await world.tap()
        assert len(world.keys.taps) == 2


@limited
async def test_another_card_or_a_waiting_operation_is_not_debounced() -> None:
    async with World().running() as world:
        for card in (Card(), Card(uid=OTHER_UID)):
            world.source.insert("one", card)
            await world.until("tap")
            world.source.withdraw("one")
            await world.until("card.removed")
        operation = world.authenticate()
        world.source.insert("one", Card(uid=OTHER_UID))
        assert (await world.ended(operation)).state == "succeeded"


@limited
async def test_a_tap_that_was_too_short_may_be_tried_again_at_once() -> None:
    async with World().running() as world:
        world.source.insert("one", Card(pulled_at=2))
        assert (await world.until("tap")).data["code"] == Code.TAP_TOO_SHORT
        world.source.withdraw("one")
        world.source.insert("one", Card())
        assert (await world.until("tap")).data["outcome"] == "succeeded"


@limited
async def test_idle_ends_a_presence_and_activity_keeps_it() -> None:
    async with World().running() as world:
        await world.tap()
        world.advance(29 * 60)
        view = world.station.touch("sid-1", world.clock.now() + 999)
        assert view.idle_until == world.clock.now() + 30 * 60
        world.advance(29 * 60)
        assert world.station.touch("sid-1", 0).idle_until == view.idle_until
        assert world.station.presences()
        world.advance(2 * 60)
        assert (await world.until("presence.ended")).data == {"reason": "idle"}
        assert world.station.presences() == ()
        await world.errands_done()
        assert world.keys.ended == {"sid-1": "idle"}


@limited
async def test_the_removal_of_the_card_counts_as_activity_and_ends_nothing() -> None:
    async with World().running() as world:
        world.source.insert("one", Card())
        await world.until("presence.started")
        world.advance(20 * 60)
        await world.take_away()
        world.advance(20 * 60)
        assert world.station.presence("sid-1") is not None
        world.advance(10 * 60)
        assert world.station.presence("sid-1") is None


@limited
async def test_activity_does_not_carry_a_presence_over_its_maximum() -> None:
    async with World().running() as world:
        await world.tap()
        for _ in range(12):
            world.station.touch("sid-1", world.clock.now())
            world.advance(1199)
        assert world.station.presence("sid-1") is not None
        world.advance(12)
        assert (await world.until("presence.ended")).data == {"reason": "maximum"}


@limited
async def test_a_client_ends_a_presence_and_then_there_is_none() -> None:
    async with World().running() as world:
        await world.tap()
        await world.station.end_presence("sid-1")
        assert (await world.until("presence.ended")).data == {"reason": "ended_by_client"}
        await world.errands_done()
        assert world.keys.ended == {"sid-1": "ended_by_client"}
        request = (AssertionRequest("app", NONCE),)
        with pytest.raises(Refused) as ending:
            await world.station.end_presence("sid-1")
        with pytest.raises(Refused) as asserting:
            await world.station.assertions("sid-1", request)
        with pytest.raises(Refused) as touching:
            world.station.touch("sid-1", 0)
        for refusal in (ending, asserting, touching):
            assert refusal.value.code == Code.NOT_FOUND


@limited
async def test_a_revocation_ends_the_presence_without_telling_the_kms_again() -> None:
    async with World().running() as world:
        await world.tap()
        await in_thread(lambda: world.keys.push("sid-1", "revoked"))
        assert (await world.until("presence.ended")).data == {"reason": "revoked"}
        await world.errands_done()
        assert world.keys.ended == {"sid-1": "revoked"}


@limited
async def test_after_a_resync_what_ended_unheard_ends_here_and_the_rest_stays() -> None:
    async with World().running() as world:
        await world.tap(Card(), "one")
        await world.tap(Card(uid=OTHER_UID), "two")
        world.keys.ended["sid-1"] = "revoked"
        await in_thread(lambda: world.keys.tell(m.Resync()))
        ended = await world.until("presence.ended")
        assert ended.data == {"reason": "ended_at_kms"}
        assert ended.identity["sid"] == "sid-1"
        await world.errands_done()
        assert [presence.sid for presence in world.station.presences()] == ["sid-2"]
        assert world.keys.ended == {"sid-1": "revoked"}, "the KMS is not told what it knows"


@limited
async def test_a_presence_that_could_not_be_asked_for_is_asked_for_when_the_kms_is_back() -> None:
    async with World().running() as world:
        await world.tap()
        world.keys.ended["sid-1"] = "revoked"
        world.keys.down = "away"
        await in_thread(lambda: world.keys.tell(m.Resync()))
        await world.until("service.degraded")
        assert len(world.station.presences()) == 1
        world.keys.down = None
        world.advance(3)
        await world.until("service.restored")
        assert (await world.until("presence.ended")).data == {"reason": "ended_at_kms"}


@limited
async def test_a_presence_that_the_kms_ended_before_its_report_is_not_opened() -> None:
    async with World().running() as world:
        await in_thread(lambda: world.keys.push("sid-1", "revoked"))
        await asyncio.sleep(0)
        tap = await world.tap()
        assert tap.data["outcome"] == "succeeded"
        assert world.station.presences() == ()


@limited
async def test_assertions_are_signed_while_the_presence_lives() -> None:
    async with World().running() as world:
        await world.tap()
        wanted = (AssertionRequest("a", NONCE), AssertionRequest("b", NONCE))
        signed = await world.station.assertions("sid-1", wanted)
        assert signed == ("jws sid-1 a", "jws sid-1 b")


@limited
async def test_an_end_that_the_kms_could_not_hear_is_told_when_it_is_back() -> None:
    async with World().running() as world:
        await world.tap()
        world.keys.down = "the registry is away"
        await world.station.end_presence("sid-1")
        assert (await world.until("service.degraded")).data["why"] == "the registry is away"
        assert world.keys.ended == {}
        world.keys.down = None
        world.advance(3)
        await world.until("service.restored")
        await world.errands_done()
        assert world.keys.ended == {"sid-1": "ended_by_client"}


@limited
async def test_without_the_kms_a_badge_is_refused_at_once_and_later_served_again() -> None:
    async with World().running() as world:
        assert world.station.status().can.badge
        world.keys.down = "the key service is off"
        tap = await world.tap()
        assert tap.data["code"] == Code.KMS_UNAVAILABLE
        can = world.station.status().can
        assert (can.badge, can.cps, can.why) == (False, False, "the key service is off")
        with pytest.raises(KmsUnavailable):
            await world.station.run_kms(lambda: world.keys.badges(None))
        world.keys.down = None
        assert (await world.tap()).data["outcome"] == "succeeded"
        assert world.station.status().can.badge


@limited
async def test_a_lost_source_takes_its_cards_and_leaves_the_presences() -> None:
    async with World(Source(), Source("other", ())).running() as world:
        world.source.insert("one", Card())
        await world.until("presence.started")
        world.source.lose("pcscd is gone")
        lost = await world.until("service.degraded")
        assert lost.data == {"source": "desk", "why": "pcscd is gone"}
        removed = [e.type for e in world.seen if e.type in {"card.removed", "reader.removed"}]
        assert removed == ["card.removed", "reader.removed", "reader.removed"]
        assert world.station.readers() == ()
        assert world.station.presence("sid-1") is not None
        world.source.restore()
        assert (await world.until("service.restored")).data["source"] == "desk"
        await world.until("reader.added")
        assert [view.health for view in world.station.status().sources] == ["ok", "ok"]


@limited
async def test_a_snapshot_shows_the_readers_to_everyone_and_the_people_apart() -> None:
    async with World().running() as world:
        world.source.insert("one", Card())
        await world.until("presence.started")
        listener = world.station.events.subscribe()
        snapshot = await anext(listener)
        listener.close()
        one, two = snapshot.data["readers"]
        assert (one["name"], one["source"], one["health"], one["card"]["type"]) == (
            "one",
            "desk",
            "ok",
            "badge",
        )
        assert two["card"] is None
        can = snapshot.data["status"]["can"]
        assert (can["badge"], can["cps"], can["why"]) == (True, False, None)
        assert "alice" not in repr(snapshot.data)
        assert "sid-1" not in repr(snapshot.data)
        (presence,) = snapshot.identity["presences"]
        assert (presence["sid"], presence["holder"]["id"]) == ("sid-1", "alice")
