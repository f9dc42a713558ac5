"""READ BINARY, UPDATE BINARY, READ RECORDS and APPEND RECORD.

Writing goes in plain, reading in plain or with the session's MAC (proxmark3's desfire.md); what
speaks otherwise is a security status that is not satisfied. What a backup or record file is given
waits for the native CommitTransaction. Records are numbered from the newest, 1 (not confirmed on a
card for linear files).
"""

from typing import TypeVar

from simulators.desfire.activation import Activation
from simulators.desfire.commands import data, records
from simulators.desfire.commands.access import Right, find_typed, granted_mode
from simulators.desfire.files import DataFile, RecordFile
from simulators.desfire.iso.command import (
    MAX_ANSWER_BYTES,
    SHORT_IDENTIFIER_BITS,
    IsoCommand,
    IsoRefusal,
    StatusWord,
)
from simulators.desfire.messaging import MAC_BYTES, Ev2Session, Mode, Protection
from simulators.desfire.status import Refusal, Status

SHORT_IDENTIFIER_GIVEN = 0x80
ONE_RECORD, ALL_FROM_RECORD = 0x04, 0x05
REFERENCE_BITS = 0x07

FileT = TypeVar("FileT", DataFile, RecordFile)


class EndOfFile(Exception):
    """The answer is good, but shorter than was asked for."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(f"{len(answer)} bytes")
        self.answer = answer


def read_binary(activation: Activation, command: IsoCommand) -> bytes:
    """Return bytes of a data file; raise EndOfFile where Le asks for more than there are."""
    command.require_no_data()
    if command.le is None:
        raise IsoRefusal(StatusWord.LENGTH)
    number, offset = _reference(activation, command)
    file = _file(activation, number, DataFile)
    mode = _reading_mode(activation, file)
    if offset >= len(file.content):
        raise IsoRefusal(StatusWord.OFFSET)
    answer = file.content[offset : offset + min(command.le, _longest(mode))]
    answer = _sealed(activation, answer, mode)
    if offset + command.le > len(file.content) and command.le != MAX_ANSWER_BYTES:
        raise EndOfFile(answer)
    return answer


def update_binary(activation: Activation, command: IsoCommand) -> bytes:
    """Replace bytes of a data file."""
    if not command.data:
        raise IsoRefusal(StatusWord.LENGTH)
    number, offset = _reference(activation, command)
    file = _file(activation, number, DataFile)
    _require_plain_write(activation, file)
    if offset + len(command.data) > len(file.content):
        raise IsoRefusal(StatusWord.OFFSET)
    data.put(activation, number, file, offset, command.data)
    return b""


def read_records(activation: Activation, command: IsoCommand) -> bytes:
    """Return record P1, or records P1 to 1, the oldest first; P1 of 0 is the newest, or all."""
    command.require_no_data()
    file = _file(activation, _short_or_current(activation, command.p2 >> 3), RecordFile)
    reference = command.p2 & REFERENCE_BITS
    if reference not in {ONE_RECORD, ALL_FROM_RECORD}:
        raise IsoRefusal(StatusWord.PARAMETERS)
    mode = _reading_mode(activation, file)
    try:
        if reference == ONE_RECORD:
            chosen = records.select(file, max(command.p1 - 1, 0), 1)
        else:
            chosen = records.select(file, 0, command.p1)
    except Refusal as refusal:
        raise IsoRefusal(StatusWord.NO_RECORD) from refusal
    answer = b"".join(chosen)
    if len(answer) > _longest(mode):
        raise IsoRefusal(StatusWord.LENGTH)
    le = command.le or 0
    if le < len(answer) or (le != MAX_ANSWER_BYTES and le > len(answer)):
        raise IsoRefusal(StatusWord.WRONG_LE | len(answer) & 0xFF)
    return _sealed(activation, answer, mode)


def append_record(activation: Activation, command: IsoCommand) -> bytes:
    """Write a whole new record."""
    if command.p1 or command.p2 & REFERENCE_BITS:
        raise IsoRefusal(StatusWord.PARAMETERS)
    number = _short_or_current(activation, command.p2 >> 3)
    file = _file(activation, number, RecordFile)
    _require_plain_write(activation, file)
    if len(command.data) != file.record_bytes:
        raise IsoRefusal(StatusWord.LENGTH)
    try:
        records.put(activation, number, file, 0, command.data)
    except Refusal as refusal:
        full = refusal.status is Status.BOUNDARY
        raise IsoRefusal(StatusWord.NO_ROOM if full else StatusWord.CONDITIONS) from refusal
    return b""


def _reference(activation: Activation, command: IsoCommand) -> tuple[int, int]:
    """Return file number and offset, as P1 and P2 give them (ISO 7816-4, 7.2.2)."""
    if not command.p1 & SHORT_IDENTIFIER_GIVEN:
        return _short_or_current(activation, 0), command.p1 << 8 | command.p2
    if command.p1 & ~(SHORT_IDENTIFIER_GIVEN | SHORT_IDENTIFIER_BITS):
        raise IsoRefusal(StatusWord.PARAMETERS)
    short = command.p1 & SHORT_IDENTIFIER_BITS
    return _short_or_current(activation, short), command.p2


def _short_or_current(activation: Activation, short: int) -> int:
    """Return a file number: a short identifier is one, 0 stands for the selected file."""
    if short:
        activation.file = short
    if activation.file is None:
        raise IsoRefusal(StatusWord.CONDITIONS)
    return activation.file


def _file(activation: Activation, number: int, kind: type[FileT]) -> FileT:
    if activation.at_picc:
        raise IsoRefusal(StatusWord.CONDITIONS)
    try:
        return find_typed(activation, number, kind)
    except Refusal as refusal:
        missing = refusal.status is Status.FILE_NOT_FOUND
        raise IsoRefusal(StatusWord.NOT_FOUND if missing else StatusWord.CONDITIONS) from refusal


def _reading_mode(activation: Activation, file: DataFile | RecordFile) -> Mode:
    mode = granted_mode(activation, file, Right.READ, Right.READ_WRITE)
    if mode is Mode.FULL or (mode is Mode.MAC and isinstance(activation.session, Ev2Session)):
        raise IsoRefusal(StatusWord.SECURITY)
    return mode


def _require_plain_write(activation: Activation, file: DataFile | RecordFile) -> None:
    if granted_mode(activation, file, Right.WRITE, Right.READ_WRITE) is not Mode.PLAIN:
        raise IsoRefusal(StatusWord.SECURITY)


def _longest(mode: Mode) -> int:
    """Return how many bytes of a file an answer holds, beside its MAC."""
    return MAX_ANSWER_BYTES - (0 if mode is Mode.PLAIN else MAC_BYTES)


def _sealed(activation: Activation, answer: bytes, mode: Mode) -> bytes:
    """Append the session's MAC in that mode; the command itself is not under it."""
    if mode is Mode.PLAIN:
        return answer
    return activation.messaging.seal(answer, Protection(Mode.PLAIN, mode, returns_data=True))
