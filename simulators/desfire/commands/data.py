"""ReadData and WriteData, on standard and backup data files."""

from dataclasses import replace

from simulators.desfire.activation import Activation
from simulators.desfire.commands.access import Right, find_typed, granted_mode
from simulators.desfire.commands.table import EV2_AND_LATER, Command, Table
from simulators.desfire.commands.transactions import enlist
from simulators.desfire.files import DataFile
from simulators.desfire.messaging import Mode, Protection
from simulators.desfire.status import Refusal, Status
from simulators.desfire.transaction import PendingContent

HEADER_BYTES = 7


def read(activation: Activation, parameters: bytes) -> bytes:
    """Return bytes of a file; length 0 means to its end. A transaction's own writes do not show."""
    file, offset, length = _span(activation, parameters)
    return file.content[offset : offset + length] if length else file.content[offset:]


def _read_plan(activation: Activation, parameters: bytes) -> Protection:
    file, offset, length = _span(activation, parameters)
    mode = granted_mode(activation, file, Right.READ, Right.READ_WRITE)
    if offset + max(length, 1) > len(file.content):
        raise Refusal(Status.BOUNDARY)
    return reading(mode, HEADER_BYTES, unknown_length=not length)


def reading(mode: Mode, header_bytes: int, *, unknown_length: bool = False) -> Protection:
    """Return the protection of a command that brings data from a file in a mode."""
    return Protection(
        Mode.PLAIN if mode is Mode.PLAIN else Mode.MAC,
        mode,
        header=header_bytes,
        length=0,
        returns_data=True,
        unknown_length=unknown_length,
    )


def write(activation: Activation, parameters: bytes) -> bytes:
    """Replace bytes of a file, all of them at once; a backup file's wait for the commit."""
    file, offset, _ = _span(activation, parameters)
    put(activation, parameters[0], file, offset, parameters[HEADER_BYTES:])
    return b""


def put(activation: Activation, number: int, file: DataFile, offset: int, data: bytes) -> None:
    """Replace bytes of a file: at once in a standard file, in the transaction in a backup file."""
    content = file.content
    waiting = activation.transaction.get(number)
    if isinstance(waiting, PendingContent):
        content = waiting.content
    content = content[:offset] + data + content[offset + len(data) :]
    if file.backup:
        enlist(activation, number, PendingContent(content))
        return
    application = activation.application
    files = {**application.files, number: replace(file, content=content)}
    activation.chip = activation.chip.with_application(replace(application, files=files))


def _write_plan(activation: Activation, parameters: bytes) -> Protection:
    file, offset, length = _span(activation, parameters)
    mode = granted_mode(activation, file, Right.WRITE, Right.READ_WRITE)
    if not length:
        raise Refusal(Status.PARAMETER)
    if offset + length > len(file.content):
        raise Refusal(Status.BOUNDARY)
    return Protection(mode, mode, header=HEADER_BYTES, length=length, carries_data=True)


def _span(activation: Activation, parameters: bytes) -> tuple[DataFile, int, int]:
    if len(parameters) < HEADER_BYTES:
        raise Refusal(Status.LENGTH)
    offset = int.from_bytes(parameters[1:4], "little")
    length = int.from_bytes(parameters[4:7], "little")
    return find_typed(activation, parameters[0], DataFile), offset, length


COMMANDS: Table = {
    0x3D: Command(write, _write_plan),
    0x8D: Command(write, _write_plan, long_frames=True, products=EV2_AND_LATER),
    0xAD: Command(read, _read_plan, long_frames=True, products=EV2_AND_LATER),
    0xBD: Command(read, _read_plan),
}
