"""VERIFY, CHANGE REFERENCE DATA and RESET RETRY COUNTER (facts, section 1, PIN).

Not confirmed by a real card: the references, the tries of the unblocking code, and that a right is
lost with the selection of an application.
"""

from hmac import compare_digest

from simulators.cps.chipdoc.chip import (
    PIN_MAX_DIGITS,
    PIN_MIN_DIGITS,
    PIN_REFERENCE,
    PUK_REFERENCE,
    Code,
)
from simulators.cps.chipdoc.command import Command
from simulators.cps.chipdoc.session import Session
from simulators.cps.chipdoc.status import Refusal, Status

SPECIFIC = 0x80
NEW_CODE_ALONE = 0x01
COUNTER_ALONE = 0x03


def verify(session: Session, command: Command) -> bytes:
    """Compare a code, or say without data how many tries are left."""
    if command.p1:
        raise Refusal(Status.WRONG_PARAMETERS)
    reference = command.p2
    code = _code(session, reference)
    if not code.tries_left:
        raise Refusal(Status.BLOCKED)
    if not command.data:
        if reference in session.verified:
            return b""
        raise Refusal(Status.TRIES_LEFT, code.tries_left)
    if len(command.data) > PIN_MAX_DIGITS:
        raise Refusal(Status.WRONG_LENGTH)
    _compare(session, reference, code, command.data)
    return b""


def _compare(session: Session, reference: int, code: Code, digits: bytes) -> None:
    """Spend a try before the comparison, and give all back after a good one."""
    session.verified.discard(reference)
    spent = code.spent()
    session.chip = session.chip.with_code(reference, spent)
    if not compare_digest(code.digits, digits):
        raise Refusal(Status.TRIES_LEFT, spent.tries_left)
    session.chip = session.chip.with_code(reference, code.restored())
    session.verified.add(reference)


def change(session: Session, command: Command) -> bytes:
    """Set a new PIN, which alone is the data, after VERIFY of the old one or an unblocking."""
    if command.p1 != NEW_CODE_ALONE:
        raise Refusal(Status.WRONG_PARAMETERS)
    if command.p2 != PIN_REFERENCE:
        raise Refusal(Status.REFERENCE_NOT_FOUND)
    if PIN_REFERENCE not in session.verified and not session.may_set_pin:
        raise Refusal(Status.SECURITY_NOT_SATISFIED)
    if not PIN_MIN_DIGITS <= len(command.data) <= PIN_MAX_DIGITS or not command.data.isdigit():
        raise Refusal(Status.WRONG_DATA)
    tries = session.chip.codes[PIN_REFERENCE].tries
    session.chip = session.chip.with_code(PIN_REFERENCE, Code(command.data, tries, tries))
    session.may_set_pin = False
    return b""


def unblock(session: Session, command: Command) -> bytes:
    """Give the PIN its tries back, after VERIFY of the unblocking code; a new PIN may follow."""
    if command.p1 != COUNTER_ALONE or command.data:
        raise Refusal(Status.WRONG_PARAMETERS)
    if command.p2 != PIN_REFERENCE | SPECIFIC:
        raise Refusal(Status.REFERENCE_NOT_FOUND)
    if PUK_REFERENCE not in session.verified:
        raise Refusal(Status.SECURITY_NOT_SATISFIED)
    restored = session.chip.codes[PIN_REFERENCE].restored()
    session.chip = session.chip.with_code(PIN_REFERENCE, restored)
    session.may_set_pin = True
    return b""


def _code(session: Session, reference: int) -> Code:
    code = session.chip.codes.get(reference)
    if code is None:
        raise Refusal(Status.REFERENCE_NOT_FOUND)
    return code
