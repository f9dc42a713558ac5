"""What a card in a reader means: which procedure it is for, and what a failure says to people."""

from dataclasses import dataclass

from cardd.errors import (
    CardBusy,
    CarddError,
    CardMute,
    CardProtocolError,
    CardRemoved,
    CardStatusError,
    Code,
    ReaderUnavailable,
)
from cardd.kms import messages as m
from cardd.presence.model import AuthenticationRequest, EnrolmentRequest, Inspection, Problem
from cardd.presence.operations import Operation
from cardd.presence.slots import Visit

WAY_LOST = (CardRemoved, CardMute, CardBusy, ReaderUnavailable)
"""After these the same badge, shown again, takes an interrupted encoding up."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a card: an outcome or a problem.

    `waits_again` says that the enrolment waits for the same badge again.
    """

    visit: Visit
    operation: Operation | None
    outcome: m.Outcome | Inspection | None = None
    problem: Problem | None = None
    waits_again: bool = False


def procedure_for(operation: Operation | None, uid: bytes) -> m.Procedure:
    """Return what to do with a badge: a tap, unless an enrolment waits for it."""
    if operation is None:
        return m.Tap(uid)
    request = operation.request
    if isinstance(request, AuthenticationRequest):
        wanted = m.AssertionRequest(request.audience, request.nonce, request.minimum_acr)
        starts = request.presence == "start"
        return m.Tap(uid, (wanted,), presence=starts, expect_holder=request.expect_holder)
    return _work(request, uid)


def _work(request: EnrolmentRequest, uid: bytes) -> m.Procedure:
    """Return what an administrator wants done with a badge."""
    match request.action:
        case "prepare":
            return m.Prepare(uid)
        case "encode":
            return m.Encode(uid, request.holder)
        case "rekey":
            return m.Rekey(uid, request.generation)
        case "wipe":
            return m.Wipe(uid)
        case "inspect":
            return m.Inspect(uid, request.try_default_keys)


def problem_of(error: CarddError, *, tap: bool, identified: bool) -> Problem:
    """Say what a failure means here; `identified` tells whether the UID had been read."""
    code = str(error.code)
    if isinstance(error, CardRemoved) and tap:
        code = Code.TAP_TOO_SHORT
    elif isinstance(error, CardStatusError | CardProtocolError):
        code = Code.BADGE_NOT_GENUINE if identified and tap else Code.CARD_NOT_SUPPORTED
    return Problem(str(code), str(error), dict(error.facts))
