"""Inspections at a workstation: of any card, with and without the key service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cardd.badges.inspection.findings import FindingCode
from cardd.desfire.card import DesfireCard
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.desfire.originality import virtual_key
from cardd.errors import Code, KmsUnavailable
from cardd.kms import messages as m
from cardd.presence.model import EnrolmentRequest, Inspection
from cardd.presence.operations import Operation
from cardd.readers.contactless import read_ats
from simulators.desfire.originality import public_key
from simulators.desfire.picc import VirtualDesfire
from simulators.faults import Faults
from tests.desfire.recorded_card import play
from tests.presence.real_desk import Desk, desk
from tests.presence.world import LIMIT_S, limited

pytestmark = pytest.mark.unit


def ask(world: Desk, *, try_default_keys: bool = False) -> Operation:
    request = EnrolmentRequest(
        action="inspect", try_default_keys=try_default_keys, timeout_s=LIMIT_S
    )
    return world.station.enrol("me", request)


async def inspected(
    world: Desk, badge: VirtualDesfire, *, try_default_keys: bool = False
) -> Inspection:
    operation = ask(world, try_default_keys=try_default_keys)
    async with world.shown(badge):
        await world.changed(operation)
    assert operation.state == "succeeded", operation.problem
    assert isinstance(operation.result, Inspection)
    return operation.result


def codes(inspection: Inspection) -> set[FindingCode]:
    return {finding.code for finding in inspection.findings}


@asynccontextmanager
async def with_badge(folder: Path) -> AsyncIterator[tuple[Desk, VirtualDesfire]]:
    """Give a desk, and an active badge of it."""
    badge = VirtualDesfire.factory("ev2")
    async with desk(folder) as world:
        enrolment = world.enrol()
        async with world.shown(badge):
            await world.changed(enrolment)
        assert enrolment.state == "succeeded", enrolment.problem
        yield world, badge


@limited
async def test_a_factory_card_shows_what_it_is_and_that_it_is_open(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    async with desk(tmp_path) as world:
        seen = await inspected(world, badge, try_default_keys=True)
        assert world.station.readers()[0].card is None
    assert seen.card.uid == badge.uid.hex().upper()
    assert (seen.card.uid_kind, seen.card.product) == ("double", "ev2")
    assert seen.card.storage_bytes == (4096, 4096)
    assert seen.card.ats is not None
    assert seen.badge is None
    assert seen.unavailable is not None
    assert seen.unavailable.code == Code.BADGE_UNKNOWN
    assert seen.card.originality.state == "not-verified"
    assert codes(seen) == {
        FindingCode.DEFAULT_KEY,
        FindingCode.FREE_CREATE_DELETE,
        FindingCode.FREE_LISTING,
        FindingCode.NOT_ORIGINAL,
    }


@limited
async def test_an_active_badge_is_read_under_its_own_keys(tmp_path: Path) -> None:
    async with with_badge(tmp_path) as (world, badge):
        before = badge.to_json()
        seen = await inspected(world, badge)
    assert badge.to_json() == before
    assert seen.unavailable is None
    assert seen.badge is not None
    assert seen.badge.registry.state == "active"
    assert seen.badge.card.authenticate_key == "own"
    assert seen.card.listed is None
    assert codes(seen) == {FindingCode.NOT_ORIGINAL}


@limited
async def test_without_the_key_service_a_card_still_shows_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(_procedure: m.Procedure) -> m.Step:
        raise KmsUnavailable("the registry is locked")

    async with with_badge(tmp_path) as (world, badge):
        monkeypatch.setattr(world.keys, "begin", down)
        seen = await inspected(world, badge)
        assert not world.station.status().can.badge
    assert seen.badge is None
    assert seen.unavailable is not None
    assert seen.unavailable.code == Code.KMS_UNAVAILABLE
    assert seen.card.product == "ev2"
    assert [one.aid for one in seen.card.applications] == ["F5CA4D"]
    assert FindingCode.NOT_REGISTERED not in codes(seen), "nobody could be asked"


@limited
async def test_a_card_with_our_application_that_nobody_registered(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    async with with_badge(tmp_path / "there") as (_, badge):
        pass
    async with desk(tmp_path) as world:
        assert FindingCode.NOT_REGISTERED in codes(await inspected(world, badge))


@limited
async def test_a_card_with_a_random_uid_is_shown_as_such(tmp_path: Path) -> None:
    badge, card = VirtualDesfire.factory("ev1"), DesfireCard()
    play(card.authenticate_iso(0, DesfireKey.zero(KeyType.TDEA2)), badge.transmit)
    play(card.set_picc_configuration(random_uid_for_ever=True), badge.transmit)
    async with desk(tmp_path) as world:
        seen = await inspected(world, badge)
    assert (seen.card.uid_kind, len(seen.card.uid), seen.card.told_uid) == ("random", 8, None)
    assert seen.card.originality.state in {"not-checked", "not-supported"}
    assert FindingCode.RANDOM_UID in codes(seen)


@limited
@pytest.mark.parametrize("size", [4, 10])
async def test_a_card_with_a_uid_of_another_length_is_shown_as_such(
    tmp_path: Path, size: int
) -> None:
    badge = VirtualDesfire.factory("ev3", uid=bytes(range(0x41, 0x41 + size)))
    async with desk(tmp_path) as world:
        seen = await inspected(world, badge)
    assert seen.card.told_uid == seen.card.uid == badge.uid.hex().upper()
    assert FindingCode.UID_LENGTH in codes(seen)


@limited
async def test_a_virtual_card_is_original_only_under_a_test_key_that_is_configured(
    tmp_path: Path,
) -> None:
    badge = VirtualDesfire.factory("ev2")
    key = virtual_key(public_key(badge.chip.originality_key).hex())
    async with desk(tmp_path, key) as world:
        seen = await inspected(world, badge)
    assert (seen.card.originality.state, seen.card.originality.test) == ("genuine", True)
    assert FindingCode.TEST_SIGNATURE in codes(seen)


@limited
async def test_a_card_that_is_taken_away_too_early_is_waited_for(tmp_path: Path) -> None:
    async with with_badge(tmp_path) as (world, badge):
        operation = ask(world)
        async with world.shown(badge, Faults(tear_after=9)):
            await world.changed(operation)
        assert operation.problem is not None
        assert (operation.state, operation.problem.code) == ("waiting_for_card", "card_removed")
        async with world.shown(badge):
            while not operation.ended:
                await operation.changed(LIMIT_S)
        assert operation.state == "succeeded"


@limited
async def test_a_card_whose_answers_mean_nothing_gives_a_documented_error(tmp_path: Path) -> None:
    class Nonsense(VirtualDesfire):
        def transmit(self, command: bytes) -> bytes:
            answer = super().transmit(command)
            return b"\x01\x02\x03\x91\x77" if command[0] == 0x90 else answer

    badge = Nonsense(VirtualDesfire.factory("ev2").chip)
    async with desk(tmp_path) as world:
        operation = ask(world)
        async with world.shown(badge):
            await world.changed(operation)
        assert operation.ended
        assert operation.state in {"succeeded", "failed"}
        if operation.problem is not None:
            assert operation.problem.code == Code.CARD_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("067577810280029000", "06757781028002"), ("6A81", None), ("9000", None)],
)
def test_the_ats_is_the_readers_to_tell(answer: str, expected: str | None) -> None:
    class Reader:
        def transmit(self, command: bytes) -> bytes:
            assert command == bytes.fromhex("FFCA010000")
            return bytes.fromhex(answer)

    ats = read_ats(Reader())  # type: ignore[arg-type]
    assert ats == (None if expected is None else bytes.fromhex(expected))
