"""A card being served in its reader's worker, from the connection to the one report of it."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import structlog

from cardd.clock import Clock
from cardd.cps.card import CpsCard
from cardd.errors import CarddError, CardRemoved, Code, Refused
from cardd.iso7816.connection import CardConnection
from cardd.kms.messages import Outcome
from cardd.kms.ports import KeyService
from cardd.presence.cps_reading import Alive, CpsRead, CpsReading, is_contact
from cardd.presence.inspecting import Inspector
from cardd.presence.model import EnrolmentRequest, Inspection, Method
from cardd.presence.operations import Operation
from cardd.presence.queue import Queue
from cardd.presence.relay import relay
from cardd.presence.slots import Slot, Visit
from cardd.presence.taps import WAY_LOST, Report, problem_of, procedure_for
from cardd.readers.contactless import read_uid

Done = TypeVar("Done")

_log = structlog.get_logger(__name__)

Tell = Callable[..., None]
"""Calls a function with arguments on the event loop's thread. Returns at once, raises nothing."""


class Hearer(Protocol):
    """Who hears, on the event loop's thread, what came of a card."""

    def reported(self, report: Report) -> None:
        """Take what came of a card."""

    def progressed(self, visit: Visit, operation: Operation, progress: tuple[int, int]) -> None:
        """Take how far an enrolment got: (steps done, steps in all)."""

    def freed(self, slot: Slot) -> None:
        """Hear that a reader that was stuck answers again."""


class Attendant:
    """Serves the cards of every reader, each in its reader's worker."""

    def __init__(
        self,
        *,
        service: KeyService,
        queue: Queue,
        clock: Clock,
        debounce_s: float,
        tell: Tell,
        hearer: Hearer,
        inspector: Inspector,
        cps: CpsReading,
        cps_read: Callable[[CpsRead], None],
    ) -> None:
        self.service = service
        self.queue = queue
        self.clock = clock
        self.debounce_s = debounce_s
        self.tell = tell
        self.hearer = hearer
        self.inspector = inspector
        self.cps = cps
        self.cps_read = cps_read

    def attend(self, slot: Slot, visit: Visit, *, shown: bool) -> None:
        """Queue the service of a card: of one just shown, or for a waiting enrolment alone."""
        slot.worker.submit(lambda: self._serve(slot, visit, shown=shown))

    def work(
        self,
        slot: Slot,
        visit: Visit,
        operation: Operation | None,
        job: Callable[[CardConnection, Alive], Done],
        done: Callable[[Done | CarddError], None],
    ) -> None:
        """Queue something with the card of a visit; `done` hears on the loop what came of it.

        `job` calls the Alive before each thing that may block, and right before it gives the card
        a PIN; that raises where the operation has ended meanwhile.
        """
        slot.worker.submit(lambda: self.tell(done, self._worked(slot, visit, operation, job)))

    def _worked(
        self,
        slot: Slot,
        visit: Visit,
        operation: Operation | None,
        job: Callable[[CardConnection, Alive], Done],
    ) -> Done | CarddError:
        def alive(longer_s: float = 0.0) -> None:
            slot.alive_at = self.clock.now() + longer_s
            if operation is not None and operation.ended:
                raise Refused(Code.CONFLICT, "the authentication ended before the card was used")

        try:
            with self._busy(slot, visit):
                slot.operation = operation
                if visit.void or slot.visit is not visit:
                    return CardRemoved("the card is no longer in the reader: put it back")
                alive()
                with contextlib.closing(slot.source.connect(slot.name)) as connection:
                    return job(connection, alive)
        except CarddError as error:
            return error
        except Exception:  # noqa: BLE001 - whoever waits must hear of it, whatever it was
            _log.exception("card.work_failed", reader=slot.name)
            return Refused(Code.INTERNAL_ERROR, "this is a fault; see the log")

    def _serve(self, slot: Slot, visit: Visit, *, shown: bool) -> None:
        with self._busy(slot, visit):
            if visit.void:
                return
            attendance = _Attendance(self, slot, visit, shown=shown)
            try:
                with contextlib.closing(slot.source.connect(slot.name)) as connection:
                    attendance.serve(connection)
            except CarddError as error:
                attendance.failed(error)
            except Exception:  # noqa: BLE001 - whoever waits must hear of it, whatever it was
                _log.exception("card.service_failed", reader=slot.name)
                attendance.failed(Refused(Code.INTERNAL_ERROR, "this is a fault; see the log"))

    @contextlib.contextmanager
    def _busy(self, slot: Slot, visit: Visit) -> Iterator[None]:
        with slot.lock:
            slot.serving = visit
            slot.alive_at = self.clock.now()
        try:
            yield
        finally:
            with slot.lock:
                was_stuck, slot.stuck = slot.stuck, False
                slot.serving = slot.operation = None
            if was_stuck:
                self.tell(self.hearer.freed, slot)


class _Attendance:
    """One card being served; it reports once, or not at all where nobody is concerned."""

    def __init__(self, attendant: Attendant, slot: Slot, visit: Visit, *, shown: bool) -> None:
        self._attendant = attendant
        self._slot = slot
        self._visit = visit
        self._shown = shown
        self._uid: bytes | None = None
        self._method: Method = "cps" if is_contact(visit.atr) else "badge"
        self._operation: Operation | None = None
        self._over = False

    def serve(self, connection: CardConnection) -> None:
        """Do what the card is there for, in one transaction."""
        with connection.transaction():
            if self._slot.visit is not self._visit:
                raise CardRemoved("the card left the reader before it could be read")
            card = self._attendant.cps.recognised(connection)
            if card is None:
                self._method = "badge"
                self._serve_badge(connection)
            else:
                self._method = "cps"
                self._serve_cps(connection, card)

    def _serve_badge(self, connection: CardConnection) -> None:
        self._uid = read_uid(connection)
        self._claim()
        if self._operation is None and (not self._shown or self._bounced()):
            self._over = True
            return
        self._succeeded(self._done_with(connection, self._uid))

    def _done_with(self, connection: CardConnection, uid: bytes) -> Outcome | Inspection:
        request = None if self._operation is None else self._operation.request
        if isinstance(request, EnrolmentRequest) and request.action == "inspect":
            return self._attendant.inspector.inspect(connection, uid, request, self._wanted)
        return relay(
            self._attendant.service,
            connection,
            procedure_for(self._operation, uid),
            alive=self._wanted,
            progress=self._progressed,
        )

    def _serve_cps(self, connection: CardConnection, card: CpsCard) -> None:
        """Read a CPS, and say whose it is; what it is for goes on when its PIN is given."""
        self._claim()
        if self._operation is None and not self._shown:
            self._over = True
            return
        seen = self._attendant.cps.read(connection, card, self._alive)
        self._over = True
        read = CpsRead(self._slot, self._visit, self._operation, seen)
        self._attendant.tell(self._attendant.cps_read, read)

    def failed(self, error: CarddError) -> None:
        """Report a failure, unless the report was given before it."""
        if self._over:
            _log.debug("card.lost_after_report", reader=self._slot.name, error=str(error))
            return
        if self._uid is None and self._operation is None:
            self._claim()
        operation = self._operation
        enrols = operation is not None and operation.kind == "enrolment"
        if operation is None and not self._shown:
            return
        if isinstance(error, Refused) and error.code != Code.INTERNAL_ERROR:
            self._slot.judged_uid = self._uid
        tap = not enrols and self._method == "badge"
        problem = problem_of(error, tap=tap, identified=self._uid is not None)
        waits_again = (
            operation is not None
            and enrols
            and self._uid is not None
            and isinstance(error, WAY_LOST)
            and self._attendant.queue.release(operation, self._uid)
        )
        self._report(problem=problem, waits_again=waits_again)

    def _succeeded(self, outcome: Outcome | Inspection) -> None:
        self._slot.judged_uid = self._uid
        self._report(outcome=outcome)

    def _claim(self) -> None:
        queue = self._attendant.queue
        self._operation = queue.claim(
            self._slot.name, self._uid, shown=self._shown, method=self._method
        )
        self._slot.operation = self._operation

    def _bounced(self) -> bool:
        """Tell whether a card that was judged lost contact for a moment and is here again."""
        away = self._visit.absent_s
        return (
            away is not None
            and away < self._attendant.debounce_s
            and self._uid == self._slot.judged_uid
        )

    def _alive(self, longer_s: float = 0.0) -> None:
        self._slot.alive_at = self._attendant.clock.now() + longer_s

    def _wanted(self) -> None:
        """Go on, unless the enrolment was cancelled: its journal lets a later one finish it."""
        self._alive()
        operation = self._operation
        if operation is not None and operation.kind == "enrolment" and operation.ended:
            raise Refused(Code.CONFLICT, "the enrolment was cancelled in the middle")

    def _progressed(self, progress: tuple[int, int]) -> None:
        if self._operation is not None:
            heard = self._attendant.hearer.progressed
            self._attendant.tell(heard, self._visit, self._operation, progress)

    def _report(self, **facts: Any) -> None:
        self._over = True
        report = Report(self._visit, self._operation, **facts)
        self._attendant.tell(self._attendant.hearer.reported, report)
