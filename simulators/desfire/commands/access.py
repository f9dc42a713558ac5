"""Who may do what with a file, and how the bytes then travel."""

from enum import Enum
from typing import TypeVar

from simulators.desfire.activation import Activation
from simulators.desfire.files import File
from simulators.desfire.messaging import Mode
from simulators.desfire.status import Refusal, Status

FREE, NEVER = 0x0E, 0x0F
COMMUNICATIONS = {0: Mode.PLAIN, 1: Mode.MAC, 2: Mode.PLAIN, 3: Mode.FULL}

FileT = TypeVar("FileT", bound=File)


class Right(Enum):
    """An access right: the byte and the bit where its nibble lies."""

    READ_WRITE = (0, 4)
    CHANGE = (0, 0)
    READ = (1, 4)
    WRITE = (1, 0)


def holder(rights: bytes, right: Right) -> int:
    """Return who has a right: a key number, FREE or NEVER."""
    byte, shift = right.value
    return rights[byte] >> shift & 0x0F


def find(activation: Activation, number: int) -> File:
    """Return a file of the selected application; raise Refusal where there is none."""
    file = activation.application.files.get(number)
    if file is None:
        raise Refusal(Status.FILE_NOT_FOUND)
    return file


def find_typed(activation: Activation, number: int, kind: type[FileT]) -> FileT:
    """Return a file of one kind; another kind is a parameter error (not confirmed on a card)."""
    file = find(activation, number)
    if not isinstance(file, kind):
        raise Refusal(Status.PARAMETER)
    return file


def granted_mode(activation: Activation, file: File, *rights: Right) -> Mode:
    """Return the mode in which an access goes that any of these rights gives; raise Refusal.

    A key that has one of them speaks in the file's own mode. Where only a free right gives the
    access it goes in plain, whatever key is authenticated (SpringCard's and libfreefare's drivers).
    """
    holders = {holder(file.rights, right) for right in rights}
    if activation.authenticated in holders:
        return COMMUNICATIONS[file.communication]
    if FREE in holders:
        return Mode.PLAIN
    if holders == {NEVER}:
        raise Refusal(Status.PERMISSION)
    raise Refusal(Status.AUTHENTICATION)
