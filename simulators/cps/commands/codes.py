"""VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER (ISO/IEC 7816-4, 11.5.6 to 11.5.10).

Not confirmed on a card: the lengths a code may have (4 to 8 digits here, 8 for the PUK), that a
code of another length costs a try, that a change leaves the code unverified.
"""

from dataclasses import replace
from hmac import compare_digest

from simulators.cps import layout
from simulators.cps.activation import Activation
from simulators.cps.apdu import Command
from simulators.cps.chip import Code, Face
from simulators.cps.status import Refusal, Status

SHORTEST, LONGEST = 4, 8
RESET_WITH_NEW_CODE = 0x02
CHANGE_RULE, VERIFY_RULE, RESET_RULE = 0, 1, 2


def verify(activation: Activation, command: Command) -> bytes:
    """Verify a code; without data say whether it is verified, or how many tries are left."""
    code = _code(activation, command)
    activation.require(code.rules[VERIFY_RULE])
    if command.p1:
        raise Refusal(Status.WRONG_P1_P2)
    if command.data:
        _check(activation, command.p2, command.data)
        activation.verified.add(command.p2)
    elif command.p2 not in activation.verified:
        raise Refusal(Status.BLOCKED if code.blocked else Status.WRONG_CODE | code.tries_left)
    return b""


def change(activation: Activation, command: Command) -> bytes:
    """Change a code: the old one and the new one follow each other."""
    code = _code(activation, command)
    activation.require(code.rules[CHANGE_RULE])
    if command.p1:
        raise Refusal(Status.WRONG_P1_P2)
    old, new = command.data[: len(code.value)], command.data[len(code.value) :]
    _check(activation, command.p2, old)
    _store(activation, command.p2, new)
    return b""


def reset_retry_counter(activation: Activation, command: Command) -> bytes:
    """Give a code a new value and all its tries; needs the PUK verified, and costs it a use."""
    code = _code(activation, command)
    if command.p1 != RESET_WITH_NEW_CODE:
        raise Refusal(Status.WRONG_P1_P2)
    activation.require(code.rules[RESET_RULE])
    _store(activation, command.p2, command.data)
    puk = activation.chip.codes[layout.PUK]
    if puk.uses_left is not None:
        spent = replace(puk, uses_left=max(0, puk.uses_left - 1))
        activation.chip = activation.chip.with_code(layout.PUK, spent)
    return b""


def _code(activation: Activation, command: Command) -> Code:
    """Return the code a command names: there is none on the contactless face."""
    code = activation.chip.codes.get(command.p2)
    if code is None or activation.face is Face.CONTACTLESS:
        raise Refusal(Status.REFERENCE_NOT_FOUND)
    return code


def _check(activation: Activation, reference: int, value: bytes) -> None:
    """Compare a code and count: a wrong one costs a try, the right one gives all of them back."""
    code = activation.chip.codes[reference]
    activation.verified.discard(reference)
    if code.blocked:
        raise Refusal(Status.BLOCKED)
    right = compare_digest(value, code.value)
    left = code.tries if right else code.tries_left - 1
    if left != code.tries_left:
        activation.chip = activation.chip.with_code(reference, replace(code, tries_left=left))
    if not right:
        raise Refusal(Status.WRONG_CODE | left)


def _store(activation: Activation, reference: int, value: bytes) -> None:
    code = activation.chip.codes[reference]
    shortest = LONGEST if reference == layout.PUK else SHORTEST
    if not shortest <= len(value) <= LONGEST or not value.isdigit():
        raise Refusal(Status.WRONG_DATA)
    renewed = replace(code, value=value, tries_left=code.tries)
    activation.chip = activation.chip.with_code(reference, renewed)
    activation.verified.discard(reference)
