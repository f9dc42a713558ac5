"""The files of an application: data files, value files, record files.

Every value is frozen. `rights` is as on the wire: RW<<4|CAR, R<<4|W. `communication` is the byte of
the file's settings.
"""

from dataclasses import dataclass
from enum import IntEnum

# A model: data sheets give the 32-byte granularity only, and that a backup file takes twice its
# size. What a file's own description takes is not known and not counted.
PAGE_BYTES = 32

LIMITED_CREDIT = 0x01
FREE_GET_VALUE = 0x02


class FileType(IntEnum):
    """The kind of a file, as GetFileSettings tells it."""

    STANDARD = 0x00
    BACKUP = 0x01
    VALUE = 0x02
    LINEAR = 0x03
    CYCLIC = 0x04


@dataclass(frozen=True, slots=True)
class DataFile:
    """A standard data file, or a backup data file, which changes at CommitTransaction only."""

    communication: int
    rights: bytes
    content: bytes
    backup: bool = False
    iso_id: int | None = None

    @property
    def type(self) -> FileType:
        """The kind of the file."""
        return FileType.BACKUP if self.backup else FileType.STANDARD

    @property
    def details(self) -> bytes:
        """What GetFileSettings answers after the access rights: the size."""
        return _three(len(self.content))


@dataclass(frozen=True, slots=True)
class ValueFile:
    """A signed 32-bit value between two limits.

    `refundable` is what one LimitedCredit may give back: the debits of the last transaction that
    had any. `options` bit 0 allows LimitedCredit, bit 1 makes GetValue free.
    """

    communication: int
    rights: bytes
    lower: int
    upper: int
    value: int
    options: int = 0
    refundable: int = 0

    @property
    def type(self) -> FileType:
        """The kind of the file."""
        return FileType.VALUE

    @property
    def iso_id(self) -> int | None:
        """None: a value file has no ISO file identifier."""
        return None

    @property
    def details(self) -> bytes:
        """What GetFileSettings answers after the access rights."""
        numbers = (self.lower, self.upper, self.refundable)
        return b"".join(signed(number) for number in numbers) + bytes((self.options,))


@dataclass(frozen=True, slots=True)
class RecordFile:
    """Records of one size, the oldest first.

    A cyclic file keeps one of its `max_records` spare, for the record that a transaction writes;
    when it is full a new record takes the place of the oldest.
    """

    communication: int
    rights: bytes
    record_bytes: int
    max_records: int
    cyclic: bool = False
    records: tuple[bytes, ...] = ()
    iso_id: int | None = None

    @property
    def type(self) -> FileType:
        """The kind of the file."""
        return FileType.CYCLIC if self.cyclic else FileType.LINEAR

    @property
    def details(self) -> bytes:
        """What GetFileSettings answers after the access rights."""
        return b"".join(map(_three, (self.record_bytes, self.max_records, len(self.records))))

    @property
    def capacity(self) -> int:
        """How many records can be read at most."""
        return self.max_records - self.cyclic


File = DataFile | ValueFile | RecordFile


def data_file_cost(size_bytes: int, *, backup: bool) -> int:
    """Return the memory that a data file takes, in bytes."""
    return pages(size_bytes) * (2 if backup else 1)


def record_file_cost(record_bytes: int, max_records: int) -> int:
    """Return the memory that a record file takes, in bytes; the spare record is one of its own."""
    return pages(record_bytes * max_records)


def pages(size_bytes: int) -> int:
    """Return the size of the whole pages that hold that many bytes."""
    return -(-size_bytes // PAGE_BYTES) * PAGE_BYTES


def signed(number: int) -> bytes:
    """Return a signed number as 4 bytes, little-endian."""
    return number.to_bytes(4, "little", signed=True)


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")
