"""Commands about standard data files."""

from dataclasses import replace

from simulators.desfire.activation import (
    KEY_SETTING_FREE_CREATION,
    KEY_SETTING_FREE_LISTING,
    Activation,
)
from simulators.desfire.chip import MAX_FILES, StandardFile
from simulators.desfire.commands.picc import require_empty
from simulators.desfire.commands.table import Command, Table
from simulators.desfire.messaging import Mode, Protection
from simulators.desfire.status import Refusal, Status

FREE, NEVER = 0x0E, 0x0F
HEADER_BYTES = 7
TYPE_STANDARD = 0x00
COMMUNICATIONS = {0: Mode.PLAIN, 1: Mode.MAC, 2: Mode.PLAIN, 3: Mode.FULL}


def list_files(activation: Activation, parameters: bytes) -> bytes:
    """Return the file numbers of the selected application, one byte each."""
    require_empty(parameters)
    files = activation.application.files
    activation.require_master_unless(KEY_SETTING_FREE_LISTING)
    return bytes(files)


def file_settings(activation: Activation, parameters: bytes) -> bytes:
    """Return type, communication mode, access rights and size of a file."""
    if len(parameters) != 1:
        raise Refusal(Status.LENGTH)
    file = _file(activation, parameters[0])
    activation.require_master_unless(KEY_SETTING_FREE_LISTING)
    size = len(file.content).to_bytes(3, "little")
    return bytes((TYPE_STANDARD, file.communication)) + file.rights + size


def create_standard(activation: Activation, parameters: bytes) -> bytes:
    """Create a standard data file of zeros: number, mode, access rights, size."""
    application = activation.application
    activation.require_master_unless(KEY_SETTING_FREE_CREATION)
    if len(parameters) != HEADER_BYTES:
        raise Refusal(Status.LENGTH)
    number, communication, rights = parameters[0], parameters[1], parameters[2:4]
    size = int.from_bytes(parameters[4:], "little")
    nibbles = [byte >> shift & 0x0F for byte in rights for shift in (4, 0)]
    missing_key = any(len(application.keys) <= nibble < FREE for nibble in nibbles)
    if number >= MAX_FILES or communication not in COMMUNICATIONS or not size or missing_key:
        raise Refusal(Status.PARAMETER)
    if number in application.files:
        raise Refusal(Status.DUPLICATE)
    if size > activation.chip.free_bytes:
        raise Refusal(Status.OUT_OF_MEMORY)
    file = StandardFile(communication, rights, bytes(size))
    activation.chip = activation.chip.new_file(application, number, file)
    return b""


def delete(activation: Activation, parameters: bytes) -> bytes:
    """Delete a file; its memory comes back with Format only."""
    if len(parameters) != 1:
        raise Refusal(Status.LENGTH)
    _file(activation, parameters[0])
    activation.require_master_unless(KEY_SETTING_FREE_CREATION)
    application = activation.application
    files = {number: file for number, file in application.files.items() if number != parameters[0]}
    activation.chip = activation.chip.with_application(replace(application, files=files))
    return b""


def read(activation: Activation, parameters: bytes) -> bytes:
    """Return bytes of a file; length 0 means to its end."""
    file, offset, length = _span(activation, parameters)
    return file.content[offset : offset + length] if length else file.content[offset:]


def _read_plan(activation: Activation, parameters: bytes) -> Protection:
    file, offset, length = _span(activation, parameters)
    mode = _granted_mode(activation, file, file.rights[1] >> 4)
    if offset + max(length, 1) > len(file.content):
        raise Refusal(Status.BOUNDARY)
    request = Mode.PLAIN if mode is Mode.PLAIN else Mode.MAC
    return Protection(
        request,
        mode,
        header=HEADER_BYTES,
        length=0,
        returns_data=True,
        unknown_length=not length,
    )


def write(activation: Activation, parameters: bytes) -> bytes:
    """Replace bytes of a file, all of them at once."""
    file, offset, length = _span(activation, parameters)
    data = parameters[HEADER_BYTES:]
    content = file.content[:offset] + data + file.content[offset + length :]
    application = activation.application
    files = {**application.files, parameters[0]: replace(file, content=content)}
    activation.chip = activation.chip.with_application(replace(application, files=files))
    return b""


def _write_plan(activation: Activation, parameters: bytes) -> Protection:
    file, offset, length = _span(activation, parameters)
    mode = _granted_mode(activation, file, file.rights[1] & 0x0F)
    if not length:
        raise Refusal(Status.PARAMETER)
    if offset + length > len(file.content):
        raise Refusal(Status.BOUNDARY)
    return Protection(mode, mode, header=HEADER_BYTES, length=length, carries_data=True)


def _file(activation: Activation, number: int) -> StandardFile:
    file = activation.application.files.get(number)
    if file is None:
        raise Refusal(Status.FILE_NOT_FOUND)
    return file


def _span(activation: Activation, parameters: bytes) -> tuple[StandardFile, int, int]:
    if len(parameters) < HEADER_BYTES:
        raise Refusal(Status.LENGTH)
    offset = int.from_bytes(parameters[1:4], "little")
    length = int.from_bytes(parameters[4:7], "little")
    return _file(activation, parameters[0]), offset, length


def _granted_mode(activation: Activation, file: StandardFile, right: int) -> Mode:
    """Return the mode in which this access goes; raise Refusal where no right gives it.

    The authenticated key speaks in the file's own mode. A free right alone speaks in plain.
    """
    rights = (right, file.rights[0] >> 4)
    if activation.authenticated in rights:
        return COMMUNICATIONS[file.communication]
    if FREE in rights:
        return Mode.PLAIN
    if set(rights) == {NEVER}:
        raise Refusal(Status.PERMISSION)
    raise Refusal(Status.AUTHENTICATION)


COMMANDS: Table = {
    0x3D: Command(write, _write_plan),
    0x6F: Command(list_files),
    0x8D: Command(write, _write_plan, long_frames=True),
    0xAD: Command(read, _read_plan, long_frames=True),
    0xBD: Command(read, _read_plan),
    0xCD: Command(create_standard),
    0xDF: Command(delete),
    0xF5: Command(file_settings),
}
