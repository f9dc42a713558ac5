"""The workstation with the real key service, the built-in reader and virtual DESFire badges."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cardd.clock import SystemClock
from cardd.config import PresenceSettings, Trust
from cardd.cps.trust import TrustStore
from cardd.kms import messages as m
from cardd.kms.ports import KeyService
from cardd.presence.events import Subscription
from cardd.presence.model import AuthenticationRequest, EnrolmentRequest, Event
from cardd.presence.operations import Operation
from cardd.presence.workstation import Workstation
from cardd.readers.virtual import VirtualSource
from simulators.desfire.picc import VirtualDesfire
from simulators.faults import Faults, TearMoment
from simulators.link import insert
from tests.kms.kms_world import configuration, key_service
from tests.presence.world import LIMIT_S, NONCE, in_thread, limited

pytestmark = pytest.mark.unit


class Desk:
    """A workstation with one built-in reader, and the events that it publishes."""

    def __init__(self, keys: KeyService, station: Workstation, address: str) -> None:
        self.keys = keys
        self.station = station
        self.address = address
        self.events: Subscription = station.events.subscribe()
        self.holders = itertools.count(1)

    async def until(self, kind: str) -> Event:
        async with asyncio.timeout(LIMIT_S):
            return await anext(event async for event in self.events if event.type == kind)

    @asynccontextmanager
    async def shown(
        self, badge: VirtualDesfire, faults: Faults | None = None
    ) -> AsyncIterator[None]:
        badge.commands.clear()
        insertion = insert(badge, self.address, faults=faults)
        await in_thread(insertion.__enter__)
        try:
            yield
        finally:
            await in_thread(lambda: insertion.__exit__(None, None, None))
            await self.until("card.removed")

    async def changed(self, operation: Operation) -> None:
        """Wait for the end of an enrolment, or for its interruption."""
        async with asyncio.timeout(LIMIT_S):
            while not operation.ended and operation.problem is None:
                await operation.changed(LIMIT_S)

    def enrol(self) -> Operation:
        """Ask for a badge for a new person."""
        person = self.keys.add_holder(m.NewHolder(f"S-{next(self.holders)}"))
        request = EnrolmentRequest(action="encode", holder=person.id, timeout_s=LIMIT_S)
        return self.station.enrol("me", request)


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[Desk]:
    address = f"unix:{folder}/desk.sock"
    with key_service(configuration(folder), SystemClock()) as keys:
        station = Workstation(
            service=keys,
            sources=(VirtualSource("desk", address),),
            settings=PresenceSettings(),
            debounce_ms=0,
            clock=SystemClock(),
            trust=TrustStore(Trust()),
        )
        await station.start()
        made = Desk(keys, station, address)
        try:
            yield made
        finally:
            await station.stop()


@limited
@pytest.mark.parametrize("product", ["ev1", "ev2"])
async def test_a_badge_is_encoded_authenticates_and_is_revoked(
    tmp_path: Path, product: str
) -> None:
    badge = VirtualDesfire.factory(product)
    async with desk(tmp_path) as world:
        enrolment = world.enrol()
        async with world.shown(badge):
            await world.changed(enrolment)
        assert enrolment.state == "succeeded", enrolment.problem
        asked = AuthenticationRequest(audience="app", nonce=NONCE)
        operation = world.station.authenticate("me", asked)
        async with world.shown(badge):
            tap = await world.until("tap")
            assert len(badge.commands) == 4
        assert tap.identity["holder"]["id"] == enrolment.request.holder
        assert operation.result.assertion.count(".") == 2
        assert await world.station.assertions(
            tap.identity["sid"], (m.AssertionRequest("b", NONCE),)
        )

        receipt = enrolment.result
        await world.station.run_kms(lambda: world.keys.revoke_badge(receipt.badge, "lost"))
        ended = await world.until("presence.ended")
        assert (ended.data["reason"], world.station.presences()) == ("badge_revoked", ())
        async with world.shown(badge):
            assert (await world.until("tap")).data["code"] == "badge_revoked"


@limited
@pytest.mark.parametrize("tear", ["before", "after"])
async def test_an_encoding_torn_at_any_command_is_finished_by_showing_the_badge_again(
    tmp_path: Path, tear: TearMoment
) -> None:
    async with desk(tmp_path) as world:
        torn_at = 1
        while True:
            badge = VirtualDesfire.factory("ev2")
            faults = Faults(tear_after=torn_at, tear=tear)
            operation = world.enrol()
            async with world.shown(badge, faults):
                if torn_at == 1:
                    await world.until("tap")
                else:
                    await world.changed(operation)
            if operation.ended and operation.problem is None:
                break
            assert operation.state == "waiting_for_card", (torn_at, operation.problem)
            async with world.shown(badge):
                async with asyncio.timeout(LIMIT_S):
                    while not operation.ended:
                        await operation.changed(LIMIT_S)
            assert operation.state == "succeeded", (torn_at, operation.problem)
            async with world.shown(badge):
                assert (await world.until("tap")).data["outcome"] == "succeeded", torn_at
            torn_at += 1
        assert torn_at > 20
