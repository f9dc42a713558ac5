"""CommitTransaction and AbortTransaction, over the files that wait for them.

What drops an open transaction: AbortTransaction, a selection, every error status, power loss. An
authentication does not: libfreefare's tests write a record under one key and commit it under
another, with all three mechanisms of EV1. That AuthenticateEV2First drops it is not confirmed on a
card.
"""

from dataclasses import replace

from simulators.desfire.activation import Activation
from simulators.desfire.commands.table import Command, Table
from simulators.desfire.product import Product
from simulators.desfire.status import Refusal, Status
from simulators.desfire.transaction import Pending, committed

OPTION_BYTES = 1


def enlist(activation: Activation, number: int, pending: Pending) -> None:
    """Let a file wait for the commit, in place of what waited for it before."""
    activation.transaction = {**activation.transaction, number: pending}


def commit(activation: Activation, parameters: bytes) -> bytes:
    """Carry out every change that waits, all in one step."""
    application = activation.application
    _require_option(activation, parameters)
    transaction = _take(activation)
    files = committed(application.files, transaction)
    activation.chip = activation.chip.with_application(replace(application, files=files))
    return b""


def _require_option(activation: Activation, parameters: bytes) -> None:
    """Take EV2's option byte; one that asks for a transaction MAC needs a file we do not have."""
    if not parameters:
        return
    if activation.chip.product is Product.EV1 or len(parameters) > OPTION_BYTES:
        raise Refusal(Status.LENGTH)
    if parameters[0]:
        raise Refusal(Status.PARAMETER)


def abort(activation: Activation, parameters: bytes) -> bytes:
    """Drop every change that waits; the session goes on."""
    if parameters:
        raise Refusal(Status.LENGTH)
    _ = activation.application
    _take(activation)
    return b""


def _take(activation: Activation) -> dict[int, Pending]:
    """Return what waits and let nothing wait; nothing at all is a status of its own."""
    transaction, activation.transaction = dict(activation.transaction), {}
    if not transaction:
        raise Refusal(Status.NO_CHANGES)
    return transaction


COMMANDS: Table = {
    0xA7: Command(abort),
    0xC7: Command(commit),
}
