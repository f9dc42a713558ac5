"""The workstation: readers, cards, operations and presences behind one face."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from cardd.clock import Clock
from cardd.config import PresenceSettings
from cardd.errors import Code, Refused
from cardd.kms.messages import AssertionRequest, Notice, PresenceEnded
from cardd.kms.ports import KeyService
from cardd.presence.attendance import Attendant
from cardd.presence.board import Board
from cardd.presence.closing import stop_sources, stop_workers
from cardd.presence.cps_cards import CpsCards, has_cps
from cardd.presence.cps_desk import CpsDesk
from cardd.presence.cps_outcomes import CpsOutcomes
from cardd.presence.cps_reading import CpsRead, CpsReading, Trust
from cardd.presence.events import EventLog
from cardd.presence.inspecting import Inspector
from cardd.presence.kms_link import KmsLink
from cardd.presence.model import (
    AuthenticationRequest,
    Can,
    EnrolmentRequest,
    PresenceView,
    ReaderView,
    WorkstationStatus,
)
from cardd.presence.operations import Operation
from cardd.presence.pin_limits import PinLimits
from cardd.presence.presences import Presences
from cardd.presence.queue import Queue
from cardd.presence.reception import Reception
from cardd.presence.register import Operations
from cardd.presence.slots import Slot, Slots, Visit
from cardd.presence.timers import Timers
from cardd.presence.watchdog import Watchdog
from cardd.readers.ports import CardInserted, CardWithdrawn, ReaderEvent, ReaderSource

Result = TypeVar("Result")

KMS_START_S = 2.0


class Workstation:
    """What the daemon knows and does. Every call on the event loop's thread.

    `debounce_ms` is how long after its removal a card is ignored on the same reader. Time is the
    clock's; `tick` acts on what is due and calls itself in service.
    """

    events: EventLog

    def __init__(
        self,
        *,
        service: KeyService,
        sources: Sequence[ReaderSource],
        settings: PresenceSettings,
        debounce_ms: int,
        clock: Clock,
        trust: Trust,
        inspector: Inspector,
    ) -> None:
        self._service = service
        self._trust = trust
        self._sources = tuple(sources)
        self._timers = Timers(clock)
        self._queue = Queue()
        self.events = EventLog(clock, self._snapshot)
        self._board = Board(self.events, tuple(source.name for source in sources))
        self._operations = Operations(clock, self._timers, self._queue)
        self._link = KmsLink(
            service,
            clock,
            self._timers,
            noticed=self._noticed,
            health_changed=self._kms_health_changed,
        )
        self._presences = Presences(
            settings, clock, self._timers, self.events, self._link.end_presence
        )
        self._reception = Reception(
            self.events, self._board, self._operations, self._presences, self._link
        )
        self._watchdog = Watchdog(clock, self._timers, self._reception)
        reading = CpsReading(trust, clock)
        self._attendant = Attendant(
            service=service,
            queue=self._queue,
            clock=clock,
            debounce_s=debounce_ms / 1000,
            tell=self._tell,
            hearer=self._reception,
            inspector=inspector,
            cps=reading,
            cps_read=self._cps_read,
        )
        self.cps = self._cps_cards(reading, settings, clock)
        self._slots = Slots(clock, partial(self._attendant.attend, shown=True), self._heard)
        self._loop: asyncio.AbstractEventLoop | None = None

    def _cps_cards(self, reading: CpsReading, settings: PresenceSettings, clock: Clock) -> CpsCards:
        outcomes = CpsOutcomes(
            events=self.events,
            board=self._board,
            operations=self._operations,
            presences=self._presences,
            link=self._link,
            reading=reading,
            ends_with_card=settings.contact_removal == "end",
        )
        limits = PinLimits(clock)
        desk = CpsDesk(
            service=self._service,
            clock=clock,
            timers=self._timers,
            attendant=self._attendant,
            watchdog=self._watchdog,
            limits=limits,
            outcomes=outcomes,
        )
        return CpsCards(
            outcomes=outcomes,
            desk=desk,
            attendant=self._attendant,
            watchdog=self._watchdog,
            limits=limits,
        )

    async def start(self) -> None:
        """Watch the readers and the KMS. Raises nothing: what is wrong is a health state."""
        self._loop = asyncio.get_running_loop()
        self._timers.start(self._loop)
        await self._link.start(KMS_START_S)
        for source in self._sources:
            source.start(partial(self._slots.hear, source))

    async def stop(self) -> None:
        """End everything within 5 s, even with a stuck card; streams and operations end."""
        self._reception.closing = True
        slots = self._slots.close()
        self._operations.cancel_all()
        self._presences.end_all("service_stopped")
        self.events.close_all()
        await stop_sources(self._sources)
        self._link.close()
        await stop_workers([slot.worker for slot in slots], self._link.workers())
        self._timers.stop()

    def tick(self) -> None:
        """Act on every deadline that the clock has passed."""
        self._timers.tick()

    def readers(self) -> tuple[ReaderView, ...]:
        """Return the readers, by name."""
        return self._board.views(self._presences.at)

    def presences(self) -> tuple[PresenceView, ...]:
        """Return who is at this workstation, by reader."""
        return self._presences.views()

    def presence(self, sid: str) -> PresenceView | None:
        """Find an open presence."""
        return self._presences.view(sid)

    def status(self) -> WorkstationStatus:
        """Return the health, as last known; nothing is asked of anybody."""
        sources = self._board.sources()
        why = self._link.why
        if why is None and all(source.health == "lost" for source in sources):
            why = next((source.why for source in sources), "no source of readers is configured")
        why_cps = self._trust.why_not()
        can = Can(badge=why is None, cps=why_cps is None, why=why, why_cps=why_cps)
        return WorkstationStatus(sources, can)

    def authenticate(self, owner: str, request: AuthenticationRequest) -> Operation:
        """Wait for the next card shown on the request's reader, or on any.

        Raises Refused: `card_busy` where another operation waits for the same reader or the reader
        is stuck, `not_found` for an unknown reader, `rate_limited` where the owner has too many
        operations, `trust_unavailable` where only a CPS is asked for and none can be believed.

        A CPS that lies in a reader already will do: its PIN shows that its holder is there.
        """
        why_cps = self._trust.why_not()
        if why_cps is not None and request.methods == ("cps",):
            raise Refused(Code.TRUST_UNAVAILABLE, why_cps)
        self._usable(request.reader)
        operation = self._operations.open(owner, request)
        if "cps" in request.methods:
            for slot in self._holding(request.reader):
                if slot.visit is not None and has_cps(slot):
                    self._attendant.attend(slot, slot.visit, shown=False)
                    self._watchdog.expect(slot)
        return operation

    def enrol(self, owner: str, request: EnrolmentRequest) -> Operation:
        """Work on or inspect the card that is in the reader, else the next one shown.

        Raises Refused as `authenticate`, and `conflict` where no reader is named and several hold
        a card.
        """
        self._usable(request.reader)
        held = self._holding(request.reader)
        if len(held) > 1:
            raise Refused(
                Code.CONFLICT,
                "several readers hold a card; name the one whose card is meant",
                readers=sorted(slot.name for slot in held),
            )
        operation = self._operations.open(owner, request)
        # Looked up again: a card that came in between found no operation that waited.
        held = self._holding(request.reader)
        if len(held) == 1:
            self._attend_enrolment(held[0])
        return operation

    def operation(self, operation_id: str) -> Operation | None:
        """Find an operation. It is forgotten 30 s after its end or after the last such call."""
        return self._operations.find(operation_id)

    def cancel(self, operation_id: str) -> None:
        """Cancel an operation. An ended or unknown one is no error."""
        operation = self._operations.find(operation_id)
        if operation is not None:
            self._operations.cancel(operation)

    async def assertions(self, sid: str, requests: tuple[AssertionRequest, ...]) -> tuple[str, ...]:
        """Have assertions signed on an open presence, in the order of the requests.

        Raises Refused (`not_found` where this workstation has no such presence) or KmsUnavailable.
        """
        if self._presences.view(sid) is None:
            raise Refused(Code.NOT_FOUND, "no such presence is open at this workstation")
        return await self.run_kms(lambda: self._service.assertions(sid, requests))

    async def end_presence(self, sid: str, reason: str = "ended_by_client") -> None:
        """End a presence here at once, and at the KMS as soon as it can be reached.

        Raises Refused (`not_found`) where there is none.
        """
        self._presences.end(sid, reason)

    def touch(self, sid: str, idle_since: float) -> PresenceView:
        """Take an agent's word that the person was active until `idle_since` (Unix seconds).

        Never shortens what a later card event or report gave; a future time counts as now.
        Raises Refused (`not_found`).
        """
        return self._presences.touch(sid, idle_since)

    async def run_kms(self, call: Callable[[], Result]) -> Result:
        """Run a blocking KeyService call in the KMS worker; return or raise what it does."""
        return await self._link.call(call)

    def _usable(self, reader: str | None) -> None:
        """Refuse a reader that is not there, or whose worker is stuck."""
        if reader is None:
            return
        slot = self._slots.find(reader)
        if slot is None or not self._board.knows(reader):
            raise Refused(
                Code.NOT_FOUND, f"there is no reader {reader}; GET /v1/readers lists them"
            )
        if slot.stuck:
            raise Refused(
                Code.CARD_BUSY, f"the reader {reader} does not answer; take its card away"
            )

    def _holding(self, reader: str | None) -> list[Slot]:
        """Return the readers (of this name, or all) that hold a card that can be worked on."""
        return [
            slot
            for slot in self._slots.all()
            if reader in {None, slot.name} and slot.visit and not slot.visit.void
        ]

    def _attend_enrolment(self, slot: Slot) -> None:
        visit = slot.visit
        if visit is not None:
            self._attendant.attend(slot, visit, shown=False)
            self._watchdog.expect(slot)

    def _heard(self, source: ReaderSource, event: ReaderEvent, visit: Visit | None) -> None:
        """Take a report of a source on to the loop; in the source's thread."""
        self._tell(self._noted, source.name, event, visit)

    def _noted(self, source: str, event: ReaderEvent, visit: Visit | None) -> None:
        self._board.noted(source, event, visit)
        if visit is None:
            return
        if isinstance(event, CardWithdrawn):
            self._presences.card_moved(visit)
            self.cps.withdrawn(visit)
        elif isinstance(event, CardInserted):
            self._card_came(visit)

    def _cps_read(self, read: CpsRead) -> None:
        self.cps.read(read)

    def _card_came(self, visit: Visit) -> None:
        slot = self._slots.find(visit.reader)
        if visit.void:
            self._reception.busy(visit)
        elif slot is not None:
            self._watchdog.expect(slot)

    def _noticed(self, notice: Notice) -> None:
        if isinstance(notice, PresenceEnded):
            self._presences.ended_by_kms(notice.sid, notice.reason)
        else:
            self._link.confirm(presence.sid for presence in self._presences.views())

    def _kms_health_changed(self, why: str | None) -> None:
        kind = "service.restored" if why is None else "service.degraded"
        self.events.publish(kind, data={"source": "kms", "why": why})

    def _snapshot(self) -> tuple[dict[str, Any], dict[str, Any]]:
        readers = [
            {
                name: value
                for name, value in msgspec.to_builtins(view).items()
                if name not in {"holder", "sid"}
            }
            for view in self.readers()
        ]
        status = msgspec.to_builtins(self.status())
        presences = msgspec.to_builtins(self.presences())
        return {"readers": readers, "status": status}, {"presences": presences}

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        """Call a function on the loop, from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed: nobody is left to hear it
                self._loop.call_soon_threadsafe(function, *arguments)
