"""Enrolments: the card that is there or the next one, cut at any point, to its good end."""

import asyncio

import pytest

from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms.messages import Encoded, Prepared, Rekeyed, Wiped
from tests.presence.world import OTHER_UID, UID, Card, World, in_thread, limited

pytestmark = pytest.mark.unit

BLANK = bytes.fromhex("04AAAAAAAAAAAA")


def steps(world: World) -> list[tuple[int, str]]:
    return [
        (event.data["done"], event.data["state"])
        for event in world.seen
        if event.type == "enrolment.progress"
    ]


@limited
async def test_the_next_card_shown_is_encoded_and_not_tapped() -> None:
    async with World().running() as world:
        operation = world.enrol()
        world.source.insert("one", Card(uid=BLANK))
        await world.ended(operation)
        assert isinstance(operation.result, Encoded)
        assert operation.progress == (4, 5)
        await world.take_away()
        assert steps(world) == [(n, "in_progress") for n in range(5)] + [(5, "succeeded")]
        assert {e.data["all"] for e in world.seen if e.type == "enrolment.progress"} == {5}
        assert world.keys.taps == []
        assert world.station.presences() == ()
        assert (await world.tap(Card(uid=BLANK))).identity["holder"]["id"] == "carol"


@limited
@pytest.mark.parametrize("shown", [True, False])
async def test_the_card_in_the_reader_is_taken_even_one_that_was_refused(shown: bool) -> None:
    async with World().running() as world:
        world.source.insert("two", Card(uid=BLANK), shown=shown)
        if shown:
            assert (await world.until("tap")).data["code"] == Code.BADGE_UNKNOWN
        else:
            await world.until("card.inserted")
        operation = world.enrol(action="prepare")
        await world.ended(operation)
        assert operation.result == Prepared("badge-" + BLANK.hex())


@limited
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(
    ("fields", "kind", "generation"),
    [
        ({"action": "rekey"}, Rekeyed, 2),
        ({"action": "rekey", "generation": 7}, Rekeyed, 7),
        ({"action": "wipe"}, Wiped, None),
    ],
)
async def test_other_work_on_a_badge_goes_the_same_way_also_when_it_is_cut(
    cut: bool, fields: dict[str, object], kind: type, generation: int | None
) -> None:
    async with World().running() as world:
        operation = world.enrol(holder=None, **fields)
        card = Card(uid=UID, pulled_at=4 if cut else None)
        world.source.insert("one", card)
        if cut:
            while operation.problem is None:
                await operation.changed(5)
            assert (operation.state, operation.problem.code) == ("waiting_for_card", "card_removed")
            await world.take_away()
            world.source.insert("two", card)
        await world.ended(operation)
        assert isinstance(operation.result, kind)
        assert getattr(operation.result, "generation", None) == generation
        assert world.keys.taps == []


@limited
async def test_with_cards_in_two_readers_the_reader_must_be_named() -> None:
    async with World().running() as world:
        for reader in ("one", "two"):
            world.source.insert(reader, Card(uid=BLANK), shown=False)
            await world.until("card.inserted")
        with pytest.raises(Refused) as refusal:
            world.enrol()
        assert refusal.value.code == Code.CONFLICT
        assert refusal.value.facts["readers"] == ["one", "two"]
        assert (await world.ended(world.enrol(reader="two"))).state == "succeeded"


@limited
@pytest.mark.parametrize("point", [2, 3, 4, 5, 6])
async def test_a_card_pulled_in_the_middle_is_waited_for_and_finished(point: int) -> None:
    async with World().running() as world:
        operation = world.enrol()
        card = Card(uid=BLANK, pulled_at=point)
        world.source.insert("one", card)
        while operation.problem is None:
            await operation.changed(5)
        assert (operation.state, operation.problem.code) == ("waiting_for_card", "card_removed")
        await world.take_away()
        assert steps(world)[-1] == (point - 2, "waiting_for_card")

        other = await world.tap(Card(uid=OTHER_UID))
        assert other.identity["holder"]["id"] == "bob"
        assert operation.state == "waiting_for_card"

        world.source.insert("two", card)
        await world.ended(operation)
        assert (operation.state, operation.problem) == ("succeeded", None)
        assert len(card.commands) == 7  # each step once, and the UID twice


@limited
@pytest.mark.parametrize("point", [0, 1])
async def test_a_card_pulled_before_its_uid_is_known_leaves_it_waiting(point: int) -> None:
    async with World().running() as world:
        operation = world.enrol()
        tap = await world.tap(Card(uid=BLANK, pulled_at=point))
        assert tap.data["code"] == Code.TAP_TOO_SHORT
        assert operation.state == "waiting_for_card"
        world.source.insert("one", Card(uid=UID))
        assert (await world.ended(operation)).state == "succeeded"


@limited
async def test_an_interrupted_one_that_is_not_taken_up_ends_at_its_time_out() -> None:
    async with World().running() as world:
        operation = world.enrol(timeout_s=60)
        world.source.insert("one", Card(uid=BLANK, pulled_at=4))
        while operation.problem is None:
            await operation.changed(5)
        world.advance(61)
        assert (operation.state, operation.problem.code) == ("failed", Code.TIMEOUT)
        assert world.keys.encoded[BLANK] == 2  # the journal is kept: a new one goes on
        world.source.withdraw("one")
        await world.until("card.removed")
        world.source.insert("one", Card(uid=BLANK))
        again = world.enrol()
        assert (await world.ended(again)).state == "succeeded"


@limited
async def test_a_refusal_or_a_lost_kms_fails_it_with_the_reason() -> None:
    async with World().running() as world:
        operation = world.enrol()
        world.keys.down = "the registry is away"
        world.source.insert("one", Card(uid=BLANK))
        assert (await world.ended(operation)).problem.code == Code.KMS_UNAVAILABLE
        world.keys.down = None
        await world.take_away()
        operation = world.enrol()
        world.source.insert("one", Card(uid=BLANK, genuine=False))
        assert (await world.ended(operation)).problem.code == Code.BADGE_NOT_GENUINE


@limited
async def test_cancelling_while_the_card_is_encoded_stops_between_two_commands() -> None:
    async with World().running() as world:
        operation = world.enrol()
        card = Card(uid=BLANK, held_at=4)
        world.source.insert("one", card)
        await in_thread(card.reached.wait)
        assert operation.state == "in_progress"
        world.station.cancel(operation.id)
        card.released.set()
        await world.station._slots.find("one").worker.call(lambda: None)
        await asyncio.sleep(0)
        assert (operation.state, operation.result) == ("cancelled", None)
        assert BLANK not in world.keys.holders


@limited
async def test_a_pull_after_the_cancel_does_not_bring_it_back() -> None:
    async with World().running() as world:
        operation = world.enrol()
        card = Card(uid=BLANK, held_at=4, pulled_at=4)
        world.source.insert("one", card)
        await in_thread(card.reached.wait)
        world.station.cancel(operation.id)
        card.released.set()
        await world.take_away()
        assert operation.state == "cancelled"
        assert (await world.tap()).data["outcome"] == "succeeded"


@limited
async def test_a_service_that_breaks_the_contract_fails_what_waits_and_the_reader_goes_on() -> None:
    class Broken(Exception):
        pass

    async with World().running() as world:
        operation = world.authenticate()
        begin = world.keys.begin

        def broken(_: object) -> None:
            raise Broken

        world.keys.begin = broken
        tap = await world.tap()
        assert tap.data["code"] == Code.INTERNAL_ERROR
        assert (await world.ended(operation)).problem.code == Code.INTERNAL_ERROR
        world.keys.begin = begin
        assert (await world.tap()).data["outcome"] == "succeeded"
        world.keys.down = "away"
        with pytest.raises(KmsUnavailable):
            await world.station.run_kms(world.keys._available)
