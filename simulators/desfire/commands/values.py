"""GetValue, Credit, Debit and LimitedCredit."""

from dataclasses import replace

from simulators.desfire.activation import Activation
from simulators.desfire.commands.access import Right, find_typed, granted_mode, holder
from simulators.desfire.commands.data import reading
from simulators.desfire.commands.table import Command, Plan, Table
from simulators.desfire.commands.transactions import enlist
from simulators.desfire.files import FREE_GET_VALUE, LIMITED_CREDIT, ValueFile, signed
from simulators.desfire.messaging import Mode, Protection
from simulators.desfire.product import Product
from simulators.desfire.status import Refusal, Status
from simulators.desfire.transaction import PendingValue

NUMBER_BYTES, AMOUNT_BYTES = 1, 4

MAY_READ = (Right.READ, Right.WRITE, Right.READ_WRITE)
MAY_DEBIT = MAY_READ
MAY_REFUND = (Right.WRITE, Right.READ_WRITE)
MAY_CREDIT = (Right.READ_WRITE,)


def get(activation: Activation, parameters: bytes) -> bytes:
    """Return the value, 4 bytes; a transaction's own changes do not show."""
    return signed(find_typed(activation, parameters[0], ValueFile).value)


def _get_plan(activation: Activation, parameters: bytes) -> Protection:
    file = _file(activation, parameters)
    holders = {holder(file.rights, right) for right in MAY_READ}
    if file.options & FREE_GET_VALUE and activation.authenticated not in holders:
        return reading(Mode.PLAIN, NUMBER_BYTES)
    return reading(granted_mode(activation, file, *MAY_READ), NUMBER_BYTES)


def credit(activation: Activation, parameters: bytes) -> bytes:
    """Raise the value, up to the upper limit."""
    file, waiting, amount = _change(activation, parameters)
    value = _within(file, waiting.value + amount)
    enlist(activation, parameters[0], replace(waiting, value=value))
    return b""


def debit(activation: Activation, parameters: bytes) -> bytes:
    """Lower the value, down to the lower limit.

    EV1 counts what may be refunded of it also where LimitedCredit is disabled; EV2 does not
    (libfreefare's tests and its issue 120). EV3 as EV2, not confirmed.
    """
    file, waiting, amount = _change(activation, parameters)
    value, debited = _within(file, waiting.value - amount), waiting.debited
    if activation.chip.product is Product.EV1 or file.options & LIMITED_CREDIT:
        debited = (debited or 0) + amount
    enlist(activation, parameters[0], replace(waiting, value=value, debited=debited))
    return b""


def limited_credit(activation: Activation, parameters: bytes) -> bytes:
    """Raise the value by what was debited last, at most, and once.

    That a second one in the same transaction is refused is not confirmed on a card.
    """
    file, waiting, amount = _change(activation, parameters)
    if waiting.refunded or amount > file.refundable:
        raise Refusal(Status.BOUNDARY)
    value = _within(file, waiting.value + amount)
    enlist(activation, parameters[0], replace(waiting, value=value, refunded=True))
    return b""


def _change(activation: Activation, parameters: bytes) -> tuple[ValueFile, PendingValue, int]:
    """Return the file, what waits for it, and the amount, which cannot be negative."""
    file = find_typed(activation, parameters[0], ValueFile)
    amount = int.from_bytes(parameters[NUMBER_BYTES:], "little", signed=True)
    if amount < 0:
        raise Refusal(Status.PARAMETER)
    waiting = activation.transaction.get(parameters[0])
    if not isinstance(waiting, PendingValue):
        waiting = PendingValue(file.value)
    return file, waiting, amount


def _within(file: ValueFile, value: int) -> int:
    if not file.lower <= value <= file.upper:
        raise Refusal(Status.BOUNDARY)
    return value


def _change_plan(*rights: Right, option: int = 0) -> Plan:
    def plan(activation: Activation, parameters: bytes) -> Protection:
        file = _file(activation, parameters)
        mode = granted_mode(activation, file, *rights)
        if option & ~file.options:
            raise Refusal(Status.PERMISSION)
        return Protection(mode, mode, header=NUMBER_BYTES, length=AMOUNT_BYTES, carries_data=True)

    return plan


def _file(activation: Activation, parameters: bytes) -> ValueFile:
    if not parameters:
        raise Refusal(Status.LENGTH)
    return find_typed(activation, parameters[0], ValueFile)


COMMANDS: Table = {
    0x0C: Command(credit, _change_plan(*MAY_CREDIT)),
    0x1C: Command(limited_credit, _change_plan(*MAY_REFUND, option=LIMITED_CREDIT)),
    0x6C: Command(get, _get_plan),
    0xDC: Command(debit, _change_plan(*MAY_DEBIT)),
}
