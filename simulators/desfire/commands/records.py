"""ReadRecords, WriteRecord, UpdateRecord and ClearRecordFile."""

from simulators.desfire.activation import Activation
from simulators.desfire.commands.access import Right, find_typed, granted_mode
from simulators.desfire.commands.data import reading
from simulators.desfire.commands.table import EV2_AND_LATER, MACED, Command, Table
from simulators.desfire.commands.transactions import enlist
from simulators.desfire.files import RecordFile
from simulators.desfire.messaging import Protection
from simulators.desfire.status import Refusal, Status
from simulators.desfire.transaction import PendingClear, PendingRecord

NUMBER_BYTES = 1
HEADER_BYTES = 7
UPDATE_HEADER_BYTES = 10


def read(activation: Activation, parameters: bytes) -> bytes:
    """Return whole records, the oldest first; a transaction's own changes do not show."""
    file, first, count = _span(activation, parameters)
    return b"".join(select(file, first, count))


def select(file: RecordFile, first: int, count: int) -> tuple[bytes, ...]:
    """Return `count` records that end with number `first`, counted from the newest, 0.

    Count 0 means from the oldest on. Raise Refusal where there are not so many.
    """
    end = len(file.records) - first
    if end < max(count, 1):
        raise Refusal(Status.BOUNDARY)
    return file.records[end - count if count else 0 : end]


def _read_plan(activation: Activation, parameters: bytes) -> Protection:
    file, first, count = _span(activation, parameters)
    mode = granted_mode(activation, file, Right.READ, Right.READ_WRITE)
    select(file, first, count)
    return reading(mode, HEADER_BYTES, unknown_length=not count)


def write(activation: Activation, parameters: bytes) -> bytes:
    """Write bytes of the transaction's new record, which begins as zeros."""
    file, offset, _ = _span(activation, parameters)
    put(activation, parameters[0], file, offset, parameters[HEADER_BYTES:])
    return b""


def put(activation: Activation, number: int, file: RecordFile, offset: int, data: bytes) -> None:
    """Write bytes of the new record of this transaction."""
    record = _new_record(activation, number, file)
    enlist(activation, number, PendingRecord(_patched(record, offset, data)))


def _new_record(activation: Activation, number: int, file: RecordFile) -> bytes:
    """Return the new record as it is so far; raise Refusal where the file takes none.

    A linear file that is full takes none, nor does any after ClearRecordFile. That a transaction
    writes a new record or updates one, not both, is not confirmed on a card.
    """
    waiting = activation.transaction.get(number)
    if isinstance(waiting, PendingRecord) and waiting.number is None:
        return waiting.record
    if waiting is not None:
        raise Refusal(Status.PERMISSION)
    if not file.cyclic and len(file.records) >= file.capacity:
        raise Refusal(Status.BOUNDARY)
    return bytes(file.record_bytes)


def _write_plan(activation: Activation, parameters: bytes) -> Protection:
    file, offset, length = _span(activation, parameters)
    mode = granted_mode(activation, file, Right.WRITE, Right.READ_WRITE)
    require_within(file, offset, length)
    _new_record(activation, parameters[0], file)
    return Protection(mode, mode, header=HEADER_BYTES, length=length, carries_data=True)


def require_within(file: RecordFile, offset: int, length: int) -> None:
    """Refuse bytes that are none, or not all in one record."""
    if not length:
        raise Refusal(Status.PARAMETER)
    if offset + length > file.record_bytes:
        raise Refusal(Status.BOUNDARY)


def update(activation: Activation, parameters: bytes) -> bytes:
    """Replace bytes of a record that is there, number 0 being the newest."""
    file, record_number, offset, _ = _update_span(activation, parameters)
    record = _old_record(activation, parameters[0], file, record_number)
    record = _patched(record, offset, parameters[UPDATE_HEADER_BYTES:])
    enlist(activation, parameters[0], PendingRecord(record, record_number))
    return b""


def _old_record(activation: Activation, number: int, file: RecordFile, record_number: int) -> bytes:
    """Return a record as this transaction has it; raise Refusal where it updates another one."""
    waiting = activation.transaction.get(number)
    if isinstance(waiting, PendingRecord) and waiting.number == record_number:
        return waiting.record
    if waiting is not None:
        raise Refusal(Status.PERMISSION)
    return select(file, record_number, 1)[0]


def _update_plan(activation: Activation, parameters: bytes) -> Protection:
    """Protect UpdateRecord; that it takes the right to read and write is not confirmed."""
    file, record_number, offset, length = _update_span(activation, parameters)
    mode = granted_mode(activation, file, Right.READ_WRITE)
    require_within(file, offset, length)
    _old_record(activation, parameters[0], file, record_number)
    return Protection(mode, mode, header=UPDATE_HEADER_BYTES, length=length, carries_data=True)


def _patched(record: bytes, offset: int, data: bytes) -> bytes:
    return record[:offset] + data + record[offset + len(data) :]


def clear(activation: Activation, parameters: bytes) -> bytes:
    """Let the file be empty from the commit on, whatever the transaction wrote into it before."""
    if len(parameters) != NUMBER_BYTES:
        raise Refusal(Status.LENGTH)
    enlist(activation, parameters[0], PendingClear())
    return b""


def _clear_plan(activation: Activation, parameters: bytes) -> Protection:
    if not parameters:
        raise Refusal(Status.LENGTH)
    file = find_typed(activation, parameters[0], RecordFile)
    granted_mode(activation, file, Right.READ_WRITE)
    return MACED


def _span(activation: Activation, parameters: bytes) -> tuple[RecordFile, int, int]:
    if len(parameters) < HEADER_BYTES:
        raise Refusal(Status.LENGTH)
    file = find_typed(activation, parameters[0], RecordFile)
    return file, _three(parameters[1:4]), _three(parameters[4:7])


def _update_span(activation: Activation, parameters: bytes) -> tuple[RecordFile, int, int, int]:
    if len(parameters) < UPDATE_HEADER_BYTES:
        raise Refusal(Status.LENGTH)
    file = find_typed(activation, parameters[0], RecordFile)
    record_number, offset, length = (_three(parameters[at : at + 3]) for at in (1, 4, 7))
    return file, record_number, offset, length


def _three(field: bytes) -> int:
    return int.from_bytes(field, "little")


COMMANDS: Table = {
    0x3B: Command(write, _write_plan),
    0x8B: Command(write, _write_plan, long_frames=True, products=EV2_AND_LATER),
    0xAB: Command(read, _read_plan, long_frames=True, products=EV2_AND_LATER),
    0xBA: Command(update, _update_plan, long_frames=True, products=EV2_AND_LATER),
    0xBB: Command(read, _read_plan),
    0xDB: Command(update, _update_plan, products=EV2_AND_LATER),
    0xEB: Command(clear, _clear_plan),
}
