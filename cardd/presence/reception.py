"""What the event loop does with what came of a card."""

from cardd.errors import Code
from cardd.kms.messages import Authenticated, Inspected
from cardd.presence.board import Board
from cardd.presence.events import EventLog
from cardd.presence.kms_link import KmsLink
from cardd.presence.model import (
    AuthenticationResult,
    CardSummary,
    Inspection,
    Problem,
)
from cardd.presence.operations import Operation, State
from cardd.presence.presences import Presences, identity_of
from cardd.presence.register import Operations
from cardd.presence.slots import Slot, Visit
from cardd.presence.taps import Report

_OF_A_BADGE = frozenset(
    {
        Code.BADGE_SUSPENDED,
        Code.BADGE_REVOKED,
        Code.BADGE_EXPIRED,
        Code.BADGE_NOT_HANDED_OVER,
        Code.BADGE_UNFINISHED,
        Code.HOLDER_ENDED,
        Code.WRONG_PERSON,
        Code.SECOND_FACTOR_REQUIRED,
        Code.ALREADY_ACTIVE,
    }
)
"""Refusals that say that the card is a badge of ours."""


class Reception:
    """Publishes, settles operations and opens presences. On the event loop's thread."""

    def __init__(
        self,
        events: EventLog,
        board: Board,
        operations: Operations,
        presences: Presences,
        link: KmsLink,
    ) -> None:
        self._events = events
        self._board = board
        self._operations = operations
        self._presences = presences
        self._link = link
        self.closing = False

    def reported(self, report: Report) -> None:
        """Take what came of a card."""
        self._note_kms_health(report)
        if report.visit.void or self.closing:
            self._too_late(report)
        elif report.operation is not None and report.operation.kind == "enrolment":
            self._enrolment(report, report.operation)
        elif isinstance(report.outcome, Authenticated):
            self._accepted(report, report.outcome)
        elif report.problem is not None:
            self._refused(report, report.problem)

    def progressed(self, visit: Visit, operation: Operation, progress: tuple[int, int]) -> None:
        """Take how far an enrolment got."""
        if not operation.ended and operation.progress != progress:
            operation.note(problem=None, progress=progress)
            self._progress_event(visit, operation, State.IN_PROGRESS)

    def freed(self, slot: Slot) -> None:
        """Hear that a reader that was stuck answers again."""
        self._board.stuck(slot.name, None)

    def stuck(self, slot: Slot, serving: Visit, operation: Operation | None, why: str) -> None:
        """Give up the card that a reader's worker is stuck with, and what waits for it."""
        self._board.stuck(slot.name, why)
        problem = Problem(Code.TIMEOUT, why)
        if operation is not None:
            self._operations.fail(operation, problem)
        self._tap_refused(serving, problem)

    def busy(self, visit: Visit) -> None:
        """Refuse a card because its reader is stuck with another one."""
        if visit.shown:
            detail = "the reader still works on another card; take this one away and show it again"
            self._tap_refused(visit, Problem(Code.CARD_BUSY, detail))

    def _note_kms_health(self, report: Report) -> None:
        outcome, problem = report.outcome, report.problem
        if isinstance(outcome, Inspection):
            problem = outcome.unavailable
        if problem is not None and problem.code == Code.KMS_UNAVAILABLE:
            self._link.failed(problem.detail)
        elif outcome is not None:
            self._link.answered()

    def _too_late(self, report: Report) -> None:
        """Use nothing of a card that was given up: whoever showed it was told that it failed."""
        outcome = report.outcome
        if isinstance(outcome, Authenticated) and outcome.sid is not None:
            self._link.end_presence(outcome.sid, "too_late")
        if report.operation is not None:
            late = Problem(Code.CARD_BUSY, "the reader answered too late; show the card again")
            self._operations.fail(report.operation, report.problem or late)

    def _accepted(self, report: Report, outcome: Authenticated) -> None:
        visit, identity = report.visit, identity_of(outcome)
        if report.operation is not None:
            self._settle(report.operation, visit, outcome)
        self._board.identified(visit, {"holder": identity["holder"]})
        self._events.publish(
            "tap",
            reader=visit.reader,
            card=visit.handle,
            data={"outcome": "succeeded", "code": None},
            identity=identity,
        )
        self._presences.started(visit, outcome)

    def _settle(self, operation: Operation, visit: Visit, outcome: Authenticated) -> None:
        if len(outcome.assertions) != 1:
            detail = f"one assertion was asked for, and {len(outcome.assertions)} came"
            self._operations.fail(operation, Problem(Code.KMS_UNAVAILABLE, detail))
            return
        result = AuthenticationResult(
            method="badge",
            acr=outcome.acr,
            amr=outcome.amr,
            auth_time=outcome.auth_time,
            holder=outcome.holder,
            card=CardSummary.of(outcome),
            reader=visit.reader,
            sid=outcome.sid,
            assertion=outcome.assertions[0],
        )
        self._operations.succeed(operation, result)

    def _refused(self, report: Report, problem: Problem) -> None:
        if report.operation is not None:
            self._operations.fail(report.operation, problem)
        if problem.code in _OF_A_BADGE:
            self._board.identified(report.visit, {})
        self._tap_refused(report.visit, problem)

    def _tap_refused(self, visit: Visit, problem: Problem) -> None:
        self._events.publish(
            "tap",
            reader=visit.reader,
            card=visit.handle,
            data={"outcome": "refused", "code": str(problem.code)},
        )

    def _enrolment(self, report: Report, operation: Operation) -> None:
        if operation.ended:
            self._progress_event(report.visit, operation, operation.state)
            return
        if report.waits_again:
            operation.note(problem=report.problem, progress=operation.progress)
        elif report.problem is not None:
            self._operations.fail(operation, report.problem)
        elif not isinstance(report.outcome, Authenticated | Inspected | None):
            self._operations.succeed(operation, report.outcome)
            if not isinstance(report.outcome, Inspection) or report.outcome.badge is not None:
                self._board.identified(report.visit, {})
        self._progress_event(report.visit, operation, operation.state)

    def _progress_event(self, visit: Visit, operation: Operation, state: State) -> None:
        done, steps = operation.progress or (0, None)
        if state is State.SUCCEEDED and steps is not None:
            done = steps
        self._events.publish(
            "enrolment.progress",
            reader=visit.reader,
            card=visit.handle,
            data={
                "operation": operation.id,
                "state": str(state),
                "done": done,
                "all": steps,
                "code": None if operation.problem is None else str(operation.problem.code),
            },
        )
