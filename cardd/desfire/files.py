"""Files: who may do what with them, and what each type of file is."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

from cardd.desfire.command import CommunicationMode
from cardd.desfire.fields import MAX_OFFSET, encode_length, encode_value
from cardd.desfire.sdm import SecureDynamicMessaging

FREE = 0xE
"""An access right for everybody, without authentication."""

NEVER = 0xF
"""An access right for nobody."""

MAX_ADDITIONAL_RIGHTS = 7
"""How many further sets of access rights a file of an EV2 can have (common knowledge)."""

_ADDITIONAL_RIGHTS = 0x80
_SDM = 0x40

Right: TypeAlias = Literal["read", "write", "read_write"]


class FileType(IntEnum):
    """The types of files, as GetFileSettings codes them."""

    STANDARD_DATA = 0x00
    BACKUP_DATA = 0x01
    VALUE = 0x02
    LINEAR_RECORD = 0x03
    CYCLIC_RECORD = 0x04


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

    A `backup` file keeps what is written apart until CommitTransaction. `additional` are further
    sets of access rights (EV2) and `sdm` mirrors (EV3): set by ChangeFileSettings, not at creation.
    """

    mode: CommunicationMode
    access: AccessRights
    size_bytes: int
    backup: bool = False
    additional: tuple[AccessRights, ...] = ()
    sdm: SecureDynamicMessaging | None = None

    @property
    def type(self) -> FileType:
        """Return which of the two data files it is."""
        return FileType.BACKUP_DATA if self.backup else FileType.STANDARD_DATA

    def encode(self) -> bytes:
        """Return the settings as CreateStdDataFile and CreateBackupDataFile take them."""
        if not 1 <= self.size_bytes <= MAX_OFFSET:
            raise ValueError("a file has 1 to 16,777,215 bytes")
        if self.sdm is not None:
            raise ValueError("a file is created without mirrors; set them with ChangeFileSettings")
        return _encode_head(self) + encode_length(self.size_bytes)


@dataclass(frozen=True, slots=True)
class ValueFileSettings:
    """Settings of a value file; limits and value are signed 32-bit numbers.

    `value` is what CreateValueFile stores first; from GetFileSettings it is what LimitedCredit may
    still give back, and only GetValue tells the value. `limited_credit` allows LimitedCredit,
    `free_get_value` GetValue without authentication.
    """

    mode: CommunicationMode
    access: AccessRights
    lower_limit: int
    upper_limit: int
    value: int
    limited_credit: bool = False
    free_get_value: bool = False
    additional: tuple[AccessRights, ...] = ()

    @property
    def type(self) -> FileType:
        """Return that it is a value file."""
        return FileType.VALUE

    def encode(self) -> bytes:
        """Return the settings as CreateValueFile takes them."""
        if not self.lower_limit <= self.value <= self.upper_limit:
            raise ValueError("a value lies between its limits")
        return (
            _encode_head(self)
            + b"".join(map(encode_value, (self.lower_limit, self.upper_limit, self.value)))
            + bytes((self.limited_credit | self.free_get_value << 1,))
        )


@dataclass(frozen=True, slots=True)
class RecordFileSettings:
    """Settings of a record file: linear, or `cyclic`, which overwrites its oldest record.

    Both numbers are 1 to 16,777,215, of a cyclic file's records at least 2: one of them is kept
    for what is written before CommitTransaction. `current_records` is what GetFileSettings counts.
    """

    mode: CommunicationMode
    access: AccessRights
    record_bytes: int
    max_records: int
    current_records: int = 0
    cyclic: bool = False
    additional: tuple[AccessRights, ...] = ()

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
        numbers = encode_length(self.record_bytes) + encode_length(self.max_records)
        return _encode_head(self) + numbers


FileSettings: TypeAlias = DataFileSettings | ValueFileSettings | RecordFileSettings
"""Settings of a file of any type that can be created here."""


def mode_of(settings: FileSettings, key_number: int | None, *rights: Right) -> CommunicationMode:
    """Return the mode in which a command on a file's content travels.

    `key_number` is the session's, None without one; `rights` are those that allow the command:
    reading takes read and read_write, writing write and read_write, GetValue and Debit all three,
    LimitedCredit write and read_write, Credit read_write. What is only free to everybody travels
    in plain, in a session too (NT4H2421Gx, 8.2.3.3; libfreefare's tests on cards).
    """
    sets = (settings.access, *settings.additional)
    holders = {getattr(access, right) for access in sets for right in rights}
    return settings.mode if key_number in holders else CommunicationMode.PLAIN


def encode_change(
    mode: CommunicationMode,
    access: AccessRights,
    additional: tuple[AccessRights, ...] = (),
    sdm: SecureDynamicMessaging | None = None,
) -> bytes:
    """Return what follows the file number in ChangeFileSettings.

    Sources: NT4H2421Gx, table 69, and AN12196, table 18, for `sdm`; for `additional` proxmark3
    (chfilesettings; not confirmed on a card). How both go together is not published.
    """
    if additional and sdm:
        raise ValueError("additional access rights and mirrors do not go together here")
    if len(additional) > MAX_ADDITIONAL_RIGHTS:
        raise ValueError(f"a file has at most {MAX_ADDITIONAL_RIGHTS} additional access rights")
    option = mode | bool(additional) * _ADDITIONAL_RIGHTS | (sdm is not None) * _SDM
    head = bytes((option,)) + access.encode()
    if sdm is not None:
        return head + sdm.encode()
    if additional:
        return head + bytes((len(additional),)) + b"".join(each.encode() for each in additional)
    return head


def _encode_head(settings: FileSettings) -> bytes:
    if settings.additional:
        raise ValueError(
            "a file is created with one set of access rights; add others with ChangeFileSettings"
        )
    return bytes((settings.mode,)) + settings.access.encode()
