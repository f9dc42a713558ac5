"""Files: who may do what with them, and what each type of file is.

The layouts are those that CreateStdDataFile and its siblings take and GetFileSettings answers, as
manuals of readers print them (QM-ABCM7, 5.8.2.11 to 5.8.2.17).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from cardd.desfire.command import CommunicationMode
from cardd.errors import CardProtocolError

FREE = 0xE
"""An access right for everybody, without authentication."""

NEVER = 0xF
"""An access right for nobody."""

MAX_FILES = 32
MAX_OFFSET = 0xFFFFFF
MIN_VALUE, MAX_VALUE = -(2**31), 2**31 - 1
VALUE_BYTES = 4
ISO_FILE_ID_BYTES = 2

_HEAD_BYTES = 4


class FileType(IntEnum):
    """The types of files, as GetFileSettings codes them."""

    STANDARD_DATA = 0x00
    BACKUP_DATA = 0x01
    VALUE = 0x02
    LINEAR_RECORD = 0x03
    CYCLIC_RECORD = 0x04


_REST_BYTES = {
    FileType.STANDARD_DATA: 3,
    FileType.BACKUP_DATA: 3,
    FileType.VALUE: 13,
    FileType.LINEAR_RECORD: 9,
    FileType.CYCLIC_RECORD: 9,
}
MAX_SETTINGS_BYTES = _HEAD_BYTES + max(_REST_BYTES.values())


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
class DataFileSettings:
    """Settings of a data file. `size_bytes` is 1 to 16,777,215.

    A `backup` file keeps what is written apart until CommitTransaction.
    """

    mode: CommunicationMode
    access: AccessRights
    size_bytes: int
    backup: bool = False

    @property
    def type(self) -> FileType:
        """Return which of the two data files it is."""
        return FileType.BACKUP_DATA if self.backup else FileType.STANDARD_DATA

    def encode(self) -> bytes:
        """Return the settings as CreateStdDataFile and CreateBackupDataFile take them."""
        if not 1 <= self.size_bytes <= MAX_OFFSET:
            raise ValueError("a file has 1 to 16,777,215 bytes")
        return bytes((self.mode,)) + self.access.encode() + encode_length(self.size_bytes)


@dataclass(frozen=True, slots=True)
class ValueFileSettings:
    """Settings of a value file; limits and value are signed 32-bit numbers.

    `value` is what CreateValueFile stores first; read back with GetFileSettings it is how much
    LimitedCredit may still give back, and GetValue tells the value. `limited_credit` allows
    LimitedCredit, `free_get_value` GetValue without authentication.
    """

    mode: CommunicationMode
    access: AccessRights
    lower_limit: int
    upper_limit: int
    value: int
    limited_credit: bool = False
    free_get_value: bool = False

    @property
    def type(self) -> FileType:
        """Return that it is a value file."""
        return FileType.VALUE

    def encode(self) -> bytes:
        """Return the settings as CreateValueFile takes them."""
        if not self.lower_limit <= self.value <= self.upper_limit:
            raise ValueError("a value lies between its limits")
        return (
            bytes((self.mode,))
            + self.access.encode()
            + b"".join(map(encode_value, (self.lower_limit, self.upper_limit, self.value)))
            + bytes((self.limited_credit | self.free_get_value << 1,))
        )


@dataclass(frozen=True, slots=True)
class RecordFileSettings:
    """Settings of a record file: linear, or `cyclic`, which overwrites its oldest record.

    Both numbers are 1 to 16,777,215, of a cyclic file's records at least 2, as one of them is kept
    for what is written before CommitTransaction. `current_records` is what GetFileSettings counts.
    """

    mode: CommunicationMode
    access: AccessRights
    record_bytes: int
    max_records: int
    current_records: int = 0
    cyclic: bool = False

    @property
    def type(self) -> FileType:
        """Return which of the two record files it is."""
        return FileType.CYCLIC_RECORD if self.cyclic else FileType.LINEAR_RECORD

    def encode(self) -> bytes:
        """Return the settings as CreateLinearRecordFile and CreateCyclicRecordFile take them."""
        if not 1 <= self.record_bytes <= MAX_OFFSET:
            raise ValueError("a record has 1 to 16,777,215 bytes")
        if not 1 + self.cyclic <= self.max_records <= MAX_OFFSET:
            raise ValueError("a linear file has at least 1 record, a cyclic one at least 2")
        return (
            bytes((self.mode,))
            + self.access.encode()
            + encode_length(self.record_bytes)
            + encode_length(self.max_records)
        )


FileSettings: TypeAlias = DataFileSettings | ValueFileSettings | RecordFileSettings
"""Settings of a file of any type that can be created here."""


def parse_file_settings(answer: bytes) -> FileSettings:
    """Read the answer to GetFileSettings: type, communication settings, access rights and the rest.

    CardProtocolError where the type is unknown, or what is said of the file cannot be.
    """
    if len(answer) < _HEAD_BYTES:
        raise CardProtocolError("the answer to GET_FILE_SETTINGS is cut")
    if answer[0] not in tuple(FileType):
        raise CardProtocolError(f"the card reports a file of type {answer[0]:02X}")
    if answer[1] not in tuple(CommunicationMode):
        raise CardProtocolError(f"the card reports communication settings {answer[1]:02X}")
    file_type, mode = FileType(answer[0]), CommunicationMode(answer[1])
    access, rest = AccessRights.parse(answer[2:_HEAD_BYTES]), answer[_HEAD_BYTES:]
    if len(rest) != _REST_BYTES[file_type]:
        raise CardProtocolError(
            f"the settings of a {file_type.name} file end in {len(rest)} bytes; "
            f"expected {_REST_BYTES[file_type]}"
        )
    if file_type is FileType.VALUE:
        return _parse_value(mode, access, rest)
    first, *others = (int.from_bytes(rest[at : at + 3], "little") for at in range(0, len(rest), 3))
    if not others:
        return _data_file(file_type, mode, access, first)
    return _record_file(file_type, mode, access, (first, *others))


def _data_file(
    file_type: FileType, mode: CommunicationMode, access: AccessRights, size_bytes: int
) -> DataFileSettings:
    if not size_bytes:
        raise CardProtocolError("the card reports an empty data file")
    return DataFileSettings(mode, access, size_bytes, backup=file_type is FileType.BACKUP_DATA)


def _parse_value(mode: CommunicationMode, access: AccessRights, rest: bytes) -> ValueFileSettings:
    lower, upper, value = (parse_value(rest[at : at + 4]) for at in (0, 4, 8))
    if lower > upper or rest[12] & ~0x03:
        raise CardProtocolError("the card reports limits or options no value file can have")
    return ValueFileSettings(
        mode,
        access,
        lower,
        upper,
        value,
        limited_credit=bool(rest[12] & 0x01),
        free_get_value=bool(rest[12] & 0x02),
    )


def _record_file(
    file_type: FileType, mode: CommunicationMode, access: AccessRights, numbers: tuple[int, ...]
) -> RecordFileSettings:
    record_bytes, max_records, current_records = numbers
    cyclic = file_type is FileType.CYCLIC_RECORD
    if not record_bytes or max_records < 1 + cyclic or current_records > max_records:
        raise CardProtocolError("the card reports records that no record file can have")
    return RecordFileSettings(mode, access, record_bytes, max_records, current_records, cyclic)


def encode_value(value: int) -> bytes:
    """Return a value or an amount as it travels: signed, four bytes, little-endian."""
    if not MIN_VALUE <= value <= MAX_VALUE:
        raise ValueError("a value has 32 bits")
    return value.to_bytes(VALUE_BYTES, "little", signed=True)


def parse_value(field: bytes) -> int:
    """Read four bytes; every value of them means something."""
    return int.from_bytes(field, "little", signed=True)


def encode_file_number(number: int) -> bytes:
    """Return a file number, 0 to 31, as its byte."""
    if not 0 <= number < MAX_FILES:
        raise ValueError(f"a file number is 0 to {MAX_FILES - 1}, not {number}")
    return bytes((number,))


def encode_iso_file_id(identifier: int) -> bytes:
    """Return an ISO 7816-4 file identifier as native commands carry it: little-endian."""
    if not 0 < identifier < 0xFFFF:
        raise ValueError("an ISO file identifier is 1 to FFFEh")
    return identifier.to_bytes(ISO_FILE_ID_BYTES, "little")


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
