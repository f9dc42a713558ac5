"""The commands that create files, one for each type.

All begin with number, ISO file identifier where the application has them, communication mode and
access rights. The order of the checks is not confirmed on a card.
"""

from collections.abc import Callable
from dataclasses import dataclass

from simulators.desfire.activation import KEY_SETTING_FREE_CREATION, Activation
from simulators.desfire.chip import MAX_FILES, Application
from simulators.desfire.commands.access import COMMUNICATIONS, FREE
from simulators.desfire.commands.table import Command, Table
from simulators.desfire.files import (
    FREE_GET_VALUE,
    LIMITED_CREDIT,
    PAGE_BYTES,
    DataFile,
    File,
    RecordFile,
    ValueFile,
    data_file_cost,
    record_file_cost,
)
from simulators.desfire.status import Refusal, Status

COMMON_BYTES = 4
ISO_ID_BYTES = 2
RESERVED_ISO_IDS = frozenset({0x0000, 0x3F00, 0x3FFF, 0xFFFF})
DATA_BYTES, VALUE_BYTES, RECORD_BYTES = 3, 13, 6


@dataclass(frozen=True, slots=True)
class _Order:
    """What every command that creates a file begins with, and the rest of it."""

    number: int
    iso_id: int | None
    communication: int
    rights: bytes
    details: bytes


def create_standard(activation: Activation, parameters: bytes) -> bytes:
    """Create a standard data file of zeros: the size."""
    return _create_data(activation, parameters, backup=False)


def create_backup(activation: Activation, parameters: bytes) -> bytes:
    """Create a backup data file of zeros: the size, which it takes twice."""
    return _create_data(activation, parameters, backup=True)


def _create_data(activation: Activation, parameters: bytes, *, backup: bool) -> bytes:
    order = _parse(activation, parameters, DATA_BYTES, iso=True)
    size = _three(order.details)
    if not size:
        raise Refusal(Status.PARAMETER)

    def make() -> DataFile:
        return DataFile(order.communication, order.rights, bytes(size), backup, order.iso_id)

    return _add(activation, order, data_file_cost(size, backup=backup), make)


def create_value(activation: Activation, parameters: bytes) -> bytes:
    """Create a value file: lower limit, upper limit, value, options.

    The status of a value that is not between its limits is not confirmed on a card.
    """
    order = _parse(activation, parameters, VALUE_BYTES, iso=False)
    lower, upper, value = (
        int.from_bytes(order.details[at : at + 4], "little", signed=True) for at in (0, 4, 8)
    )
    options = order.details[12]
    if not lower <= value <= upper or options & ~(LIMITED_CREDIT | FREE_GET_VALUE):
        raise Refusal(Status.PARAMETER)
    file = ValueFile(order.communication, order.rights, lower, upper, value, options)
    return _add(activation, order, PAGE_BYTES, lambda: file)


def create_linear(activation: Activation, parameters: bytes) -> bytes:
    """Create a linear record file: size of a record, number of records."""
    return _create_records(activation, parameters, cyclic=False)


def create_cyclic(activation: Activation, parameters: bytes) -> bytes:
    """Create a cyclic record file: size of a record, number of records, the spare one counted."""
    return _create_records(activation, parameters, cyclic=True)


def _create_records(activation: Activation, parameters: bytes, *, cyclic: bool) -> bytes:
    order = _parse(activation, parameters, RECORD_BYTES, iso=True)
    size, records = _three(order.details[:3]), _three(order.details[3:])
    if not size or records < (2 if cyclic else 1):
        raise Refusal(Status.PARAMETER)
    file = RecordFile(order.communication, order.rights, size, records, cyclic, iso_id=order.iso_id)
    return _add(activation, order, record_file_cost(size, records), lambda: file)


def _parse(activation: Activation, parameters: bytes, details_bytes: int, *, iso: bool) -> _Order:
    """Return what the command orders; raise Refusal where it may not, or names what cannot be."""
    application = activation.application
    activation.require_master_unless(KEY_SETTING_FREE_CREATION)
    iso_bytes = ISO_ID_BYTES if iso and application.iso_file_ids else 0
    if len(parameters) != COMMON_BYTES + iso_bytes + details_bytes:
        raise Refusal(Status.LENGTH)
    number, rest = parameters[0], parameters[1 + iso_bytes :]
    iso_id = int.from_bytes(parameters[1 : 1 + iso_bytes], "little") if iso_bytes else None
    order = _Order(number, iso_id, rest[0], rest[1:3], rest[3:])
    if number >= MAX_FILES or iso_id in RESERVED_ISO_IDS:
        raise Refusal(Status.PARAMETER)
    require_access(application, order.communication, order.rights)
    return order


def require_access(application: Application, communication: int, rights: bytes) -> None:
    """Refuse a communication mode that is none, and rights of keys that are not there."""
    nibbles = [byte >> shift & 0x0F for byte in rights for shift in (4, 0)]
    missing_key = any(len(application.keys) <= nibble < FREE for nibble in nibbles)
    if communication not in COMMUNICATIONS or missing_key:
        raise Refusal(Status.PARAMETER)


def _add(activation: Activation, order: _Order, cost_bytes: int, make: Callable[[], File]) -> bytes:
    """Put the file on the chip; it is only made once there is memory for it."""
    application = activation.application
    taken_ids = {file.iso_id for file in application.files.values()} - {None}
    if order.number in application.files or order.iso_id in taken_ids:
        raise Refusal(Status.DUPLICATE)
    if cost_bytes > activation.chip.free_bytes:
        raise Refusal(Status.OUT_OF_MEMORY)
    activation.chip = activation.chip.new_file(application, order.number, make(), cost_bytes)
    return b""


def _three(field: bytes) -> int:
    return int.from_bytes(field, "little")


COMMANDS: Table = {
    0xC0: Command(create_cyclic),
    0xC1: Command(create_linear),
    0xCB: Command(create_backup),
    0xCC: Command(create_value),
    0xCD: Command(create_standard),
}
