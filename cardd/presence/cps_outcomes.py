"""What is said of a CPS, and what a login with one gives. On the event loop's thread."""

from typing import Any

from cardd.cps.objects import PinState
from cardd.cps.proof import parse as parse_proof
from cardd.cps.proof import thumbprint
from cardd.errors import CarddError, CardProtocolError, CardStatusError, Code
from cardd.kms.messages import Authenticated
from cardd.presence.board import Board
from cardd.presence.cps_login import Login
from cardd.presence.cps_reading import CpsRead, CpsReading
from cardd.presence.events import EventLog
from cardd.presence.kms_link import KmsLink
from cardd.presence.model import AuthenticationResult, CardSummary, PinWanted, Problem
from cardd.presence.operations import Operation
from cardd.presence.presences import Presences, identity_of
from cardd.presence.register import Operations
from cardd.presence.slots import Visit

METHOD = {"method": "cps"}


def pin_wanted(read: CpsRead, pin: PinState) -> PinWanted:
    """Return the question for a card's PIN."""
    return PinWanted(
        card=read.visit.handle,
        type="cps",
        tries_left=pin.tries_left,
        entry=read.seen.entry,
        min_length=pin.min_length,
        max_length=pin.max_length,
        last_try=pin.tries_left == 1,
    )


def cps_problem(error: CarddError) -> Problem:
    """Say what a failure means of a CPS."""
    code = str(error.code)
    if isinstance(error, CardStatusError | CardProtocolError):
        code = Code.CARD_NOT_SUPPORTED
    return Problem(code, str(error), dict(error.facts))


class CpsOutcomes:
    """Publishes, settles logins and opens presences."""

    def __init__(
        self,
        *,
        events: EventLog,
        board: Board,
        operations: Operations,
        presences: Presences,
        link: KmsLink,
        reading: CpsReading,
        ends_with_card: bool,
    ) -> None:
        self._events = events
        self._board = board
        self._operations = operations
        self._presences = presences
        self._link = link
        self._reading = reading
        self._ends_with_card = ends_with_card

    def identified(self, read: CpsRead) -> None:
        """Say that a card is a CPS, and for the seat whose it is."""
        seen = read.seen
        facts: dict[str, Any] = {"type": "cps", "family": str(seen.card.family)}
        if seen.problem is not None:
            facts["code"] = str(seen.problem.code)
        who = {} if seen.identity is None else {"identity": seen.identity.claims()}
        self._board.identified(read.visit, who, facts)

    def succeeded(self, operation: Operation, read: CpsRead, login: Login) -> None:
        """Settle a login that the key service accepted, or could not be asked about."""
        visit, outcome = read.visit, login.outcome
        if outcome is None:
            self._link.failed(login.unavailable or "the key service does not answer")
            self._operations.succeed(operation, _evidence(read, login))
            self._tap(visit, {"outcome": "evidence", "code": Code.KMS_UNAVAILABLE}, {})
            return
        self._link.answered()
        if len(outcome.assertions) != 1:
            detail = f"one assertion was asked for, and {len(outcome.assertions)} came"
            self.failed(operation, visit, Problem(Code.KMS_UNAVAILABLE, detail))
            return
        self._operations.succeed(operation, _result(read, login, outcome))
        self._tap(visit, {"outcome": "succeeded", "code": None}, identity_of(outcome))
        stays = read.seen.pin is not None and self._ends_with_card
        self._presences.started(visit, outcome, ends_with_card=stays)

    def failed(self, operation: Operation, visit: Visit, problem: Problem) -> None:
        """End a login that nothing can come of any more."""
        if problem.code == Code.KMS_UNAVAILABLE:
            self._link.failed(problem.detail)
        if not operation.ended:
            self._operations.fail(operation, problem)
            self.refused(visit, problem)

    def refused(self, visit: Visit, problem: Problem) -> None:
        """Say that a card or its PIN was refused."""
        self._tap(visit, {"outcome": "refused", "code": str(problem.code)}, {})

    def too_late(self, login: Login) -> None:
        """Use nothing of a login that was given up meanwhile."""
        if login.outcome is not None and login.outcome.sid is not None:
            self._link.end_presence(login.outcome.sid, "too_late")

    def kms_down(self) -> str | None:
        """Say why the key service cannot be used, as far as is known."""
        return self._link.why

    def forget(self, number: str) -> None:
        """Forget what was read of a card whose proof was refused."""
        self._reading.forget(number)

    def _tap(self, visit: Visit, data: dict[str, Any], identity: dict[str, Any]) -> None:
        self._events.publish(
            "tap",
            reader=visit.reader,
            card=visit.handle,
            data={**data, **METHOD},
            identity=identity,
        )


def _result(read: CpsRead, login: Login, outcome: Authenticated) -> AuthenticationResult:
    return AuthenticationResult(
        method="cps",
        acr=outcome.acr,
        amr=outcome.amr,
        auth_time=outcome.auth_time,
        holder=outcome.holder,
        card=CardSummary.of(outcome),
        reader=read.visit.reader,
        sid=outcome.sid,
        assertion=outcome.assertions[0],
        evidence=login.proof,
        claims=None if read.seen.identity is None else read.seen.identity.claims(),
    )


def _evidence(read: CpsRead, login: Login) -> AuthenticationResult:
    """Return what there is without the key service: what the card signed, and what it says."""
    seen = read.seen
    issued_at = parse_proof(login.proof).claims.iat
    return AuthenticationResult(
        method="cps",
        acr=None,
        amr=("sc", "hwk", "pin", "mfa") if seen.pin is not None else ("sc", "hwk"),
        auth_time=issued_at,
        holder=None,
        card=CardSummary("cps", certificate=thumbprint(seen.chain[0])),
        reader=read.visit.reader,
        sid=None,
        assertion=None,
        evidence=login.proof,
        claims=None if seen.identity is None else seen.identity.claims(),
        assertion_unavailable=login.unavailable,
    )
