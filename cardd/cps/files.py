"""Files of a CPS: what selecting and reading them has in common in every family."""

from typing import Protocol

from cardd.cps.pkcs15 import Application, FilePath
from cardd.errors import CardProtocolError
from cardd.iso7816 import status
from cardd.iso7816.apdu import CommandApdu, ResponseApdu
from cardd.iso7816.exchange import Exchange
from cardd.iso7816.status import status_error
from cardd.iso7816.tlv import find, parse_first
from cardd.iso7816.transport import transceive

LONGEST_FILE = 8_192
"""A directory file or certificate of a CPS is a few KiB; an offset ends at 7FFF."""

_SELECT, _READ_BINARY = 0xA4, 0xB0
_SPARE_READS = 16
_FILE_SIZES = (0x80, 0x81)
_TEMPLATES = frozenset({0x62, 0x6F})


class CardFiles(Protocol):
    """How a family selects. Every selection but that of a file's content asks for no answer."""

    aid: bytes
    cla: int
    chunk_bytes: int

    def select_application(self, application: Application) -> Exchange[None]:
        """Select the DF of the PKCS#15 application."""

    def select_directory(self, path: bytes) -> Exchange[None]:
        """Select a DF by its absolute path."""

    def select_file(self, path: FilePath, application: Application) -> Exchange[int | None]:
        """Select an EF and return its size, None where the card does not say."""


def ask(name: str, command: CommandApdu) -> Exchange[bytes]:
    """Send a command that must succeed and return its data; raise CardStatusError."""
    response = yield from transceive(command)
    if response.status != status.OK:
        raise status_error(name, response.status)
    return response.data


def select(cla: int, p1: int, p2: int, data: bytes, *, answers: bool = False) -> Exchange[bytes]:
    """SELECT and return the template with the file's description, empty unless it was wanted."""
    le = 256 if answers else None
    return (yield from ask("SELECT", CommandApdu(cla, _SELECT, p1, p2, data, le)))


def file_size(template: bytes) -> int | None:
    """Return the size that a file's control parameters say: tag 80, else 81 (7816-4, 7.4.3)."""
    if not template:
        return None
    outer = parse_first(template)
    if outer.tag not in _TEMPLATES:
        raise CardProtocolError(f"SELECT was answered with object {outer.tag:X}, not 62 or 6F")
    parts = outer.children()
    for tag in _FILE_SIZES:
        found = find(parts, tag)
        if found is not None and 1 <= len(found.value) <= 4:
            return int.from_bytes(found.value)
    return None


def read_file(
    files: CardFiles, path: FilePath, application: Application, *, limit: int = LONGEST_FILE
) -> Exchange[bytes]:
    """Select an EF and read it, or the part of it that the path names.

    Raises CardStatusError, and CardProtocolError where it is longer than `limit` bytes or the card
    gives it in too small pieces.
    """
    size = yield from files.select_file(path, application)
    end = size if path.length is None else path.offset + path.length
    if (end or 0) > limit or path.offset > limit:
        raise CardProtocolError(f"a file of {end} bytes is longer than expected: at most {limit}")
    return (yield from _read(files, path.offset, end, limit))


def _read(files: CardFiles, start: int, end: int | None, limit: int) -> Exchange[bytes]:
    content = b""
    stop = limit + 1 if end is None else end
    for _ in range(_SPARE_READS + (stop - start) // files.chunk_bytes):
        offset = start + len(content)
        if offset >= stop:
            break
        response = yield from _read_part(files, offset, min(files.chunk_bytes, stop - offset))
        content += response.data
        if not response.data or response.status == status.END_OF_FILE:
            return content[: stop - start]
    if start + len(content) < stop:
        raise CardProtocolError("the card gives a file in too small pieces")
    if end is None:
        raise CardProtocolError(f"a file is longer than expected: at most {limit} bytes")
    return content[: stop - start]


def _read_part(files: CardFiles, offset: int, length: int) -> Exchange[ResponseApdu]:
    """READ BINARY; the end of the file comes back as an answer without data."""
    command = CommandApdu(files.cla, _READ_BINARY, offset >> 8, offset & 0xFF, le=length)
    response = yield from transceive(command)
    if response.status in {status.OK, status.END_OF_FILE}:
        return response
    if response.status == status.WRONG_OFFSET and offset:
        return ResponseApdu(b"", status.END_OF_FILE)
    raise status_error("READ BINARY", response.status)
