"""A workstation with a real key service and one built-in reader, which a test shows cards to."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cardd.badges.inspection.case import Policy
from cardd.badges.model import Scheme
from cardd.clock import SystemClock
from cardd.config import PresenceSettings, Trust
from cardd.cps.trust import TrustStore
from cardd.desfire.originality import NxpKey
from cardd.kms import messages as m
from cardd.kms.ports import KeyService
from cardd.presence.events import Subscription
from cardd.presence.inspecting import Inspector
from cardd.presence.model import EnrolmentRequest, Event
from cardd.presence.operations import Operation
from cardd.presence.workstation import Workstation
from cardd.readers.virtual import VirtualSource
from simulators.desfire.picc import VirtualDesfire
from simulators.faults import Faults
from simulators.link import insert
from tests.kms.kms_world import configuration, key_service
from tests.presence.world import LIMIT_S, in_thread


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
async def desk(folder: Path, *test_keys: NxpKey) -> AsyncIterator[Desk]:
    address = f"unix:{folder}/desk.sock"
    with key_service(configuration(folder), SystemClock()) as keys:
        station = Workstation(
            service=keys,
            inspector=Inspector(keys, Policy("F5CA4D", Scheme.EV1_AES), test_keys),
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
