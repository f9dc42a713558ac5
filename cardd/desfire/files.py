"""Files: who may read and write them, and what a standard data file is."""

from dataclasses import dataclass

from cardd.desfire.command import CommunicationMode
from cardd.errors import CardProtocolError

FREE = 0xE
"""An access right for everybody, without authentication."""

NEVER = 0xF
"""An access right for nobody."""

MAX_FILES = 32
MAX_OFFSET = 0xFFFFFF

_STANDARD_DATA_FILE = 0x00
_SETTINGS_BYTES = 7


@dataclass(frozen=True, slots=True)
class AccessRights:
    """Four rights of a file, each a key number 0 to 13, FREE or NEVER."""

    read: int
    write: int
    read_write: int
    change: int

    def encode(self) -> bytes:
        """Return the two bytes on the wire: read-write and change, then read and write."""
        for right in (self.read, self.write, self.read_write, self.change):
            if not 0 <= right <= 0xF:
                raise ValueError("an access right is four bits")
        return bytes((self.read_write << 4 | self.change, self.read << 4 | self.write))

    @classmethod
    def parse(cls, field: bytes) -> "AccessRights":
        """Read the two bytes; every value of them means something."""
        first, second = field
        return cls(read=second >> 4, write=second & 0xF, read_write=first >> 4, change=first & 0xF)


@dataclass(frozen=True, slots=True)
class FileSettings:
    """Settings of a standard data file. `size_bytes` is 1 to 16,777,215."""

    mode: CommunicationMode
    access: AccessRights
    size_bytes: int

    def encode(self) -> bytes:
        """Return what follows the file number in CreateStdDataFile."""
        if not 1 <= self.size_bytes <= MAX_OFFSET:
            raise ValueError("a file has 1 to 16,777,215 bytes")
        return bytes((self.mode,)) + self.access.encode() + encode_length(self.size_bytes)

    @classmethod
    def parse(cls, answer: bytes) -> "FileSettings":
        """Read the answer to GetFileSettings; CardProtocolError but for a standard data file."""
        if len(answer) != _SETTINGS_BYTES or answer[0] != _STANDARD_DATA_FILE:
            raise CardProtocolError("the answer to GET_FILE_SETTINGS is no standard data file's")
        if answer[1] not in tuple(CommunicationMode):
            raise CardProtocolError(f"the card reports communication settings {answer[1]:02X}")
        return cls(
            mode=CommunicationMode(answer[1]),
            access=AccessRights.parse(answer[2:4]),
            size_bytes=int.from_bytes(answer[4:7], "little"),
        )


def encode_file_number(number: int) -> bytes:
    """Return a file number, 0 to 31, as its byte."""
    if not 0 <= number < MAX_FILES:
        raise ValueError(f"a file number is 0 to {MAX_FILES - 1}, not {number}")
    return bytes((number,))


def encode_length(number: int) -> bytes:
    """Return an offset or length as it travels: three bytes, little-endian."""
    if not 0 <= number <= MAX_OFFSET:
        raise ValueError("an offset or length has three bytes")
    return number.to_bytes(3, "little")


def parse_file_numbers(answer: bytes) -> tuple[int, ...]:
    """Read the answer to GetFileIDs; CardProtocolError where a number is unknown or repeated."""
    if any(number >= MAX_FILES for number in answer) or len(set(answer)) != len(answer):
        raise CardProtocolError("the card lists a file twice, or one that cannot be")
    return tuple(answer)
