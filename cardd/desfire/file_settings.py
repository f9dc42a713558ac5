"""The answer to GetFileSettings: what a card says of a file.

The layouts are those that manuals of readers print (QM-ABCM7, 5.8.2.11), with what EV2 and EV3 add:
bit 7 of the options says that further sets of access rights follow (proxmark3), bit 6 that the
settings of Secure Dynamic Messaging do (NT4H2421Gx, table 73). An answer with both is refused, as
their order is not published; so are a file mapped to a MIFARE Classic (bit 5) and a transaction MAC
file, which no command here creates.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from cardd.desfire.command import CommunicationMode
from cardd.desfire.fields import VALUE_BYTES, parse_lengths, parse_value
from cardd.desfire.files import (
    MAX_ADDITIONAL_RIGHTS,
    AccessRights,
    DataFileSettings,
    FileSettings,
    FileType,
    RecordFileSettings,
    ValueFileSettings,
)
from cardd.desfire.sdm import MAX_SDM_BYTES, SecureDynamicMessaging
from cardd.errors import CardProtocolError

_HEAD_BYTES = 4
_RIGHTS_BYTES = 2
_ADDITIONAL_RIGHTS = 0x80
_SDM = 0x40

_MODES = {
    0x00: CommunicationMode.PLAIN,
    0x01: CommunicationMode.MAC,
    0x02: CommunicationMode.PLAIN,
    0x03: CommunicationMode.FULL,
}

_Parser: TypeAlias = Callable[[CommunicationMode, AccessRights, bytes], FileSettings]

_BODY_BYTES = {
    FileType.STANDARD_DATA: 3,
    FileType.BACKUP_DATA: 3,
    FileType.VALUE: 13,
    FileType.LINEAR_RECORD: 9,
    FileType.CYCLIC_RECORD: 9,
}

MAX_SETTINGS_BYTES = _HEAD_BYTES + max(
    3 + MAX_SDM_BYTES, max(_BODY_BYTES.values()) + 1 + _RIGHTS_BYTES * MAX_ADDITIONAL_RIGHTS
)
"""The most bytes that GetFileSettings can answer."""


def parse_file_settings(answer: bytes) -> FileSettings:
    """Read the answer to GetFileSettings.

    CardProtocolError where the type is unknown, or what is said of the file cannot be.
    """
    if len(answer) < _HEAD_BYTES:
        raise CardProtocolError("the answer to GET_FILE_SETTINGS is cut")
    if answer[0] not in tuple(FileType):
        raise CardProtocolError(f"the card reports a file of type {answer[0]:02X}")
    file_type, option = FileType(answer[0]), answer[1]
    end = _HEAD_BYTES + _BODY_BYTES[file_type]
    body, rest = answer[_HEAD_BYTES:end], answer[end:]
    if len(body) != _BODY_BYTES[file_type]:
        raise CardProtocolError(f"the settings of a {file_type.name} file are cut")
    access = AccessRights.parse(answer[2:_HEAD_BYTES])
    settings = _PARSERS[file_type](_mode(option), access, body)
    if option & _SDM and isinstance(settings, DataFileSettings) and not settings.backup:
        return replace(settings, sdm=SecureDynamicMessaging.parse(rest))
    if option & _ADDITIONAL_RIGHTS:
        return replace(settings, additional=_parse_additional(rest))
    if rest or option & _SDM:
        raise CardProtocolError(f"the settings of a {file_type.name} file have another length")
    return settings


def _mode(option: int) -> CommunicationMode:
    bits = option & ~(_ADDITIONAL_RIGHTS | _SDM)
    if bits not in _MODES or (option & _SDM and option & _ADDITIONAL_RIGHTS):
        raise CardProtocolError(f"the card reports communication settings {option:02X}")
    return _MODES[bits]


def _parse_data(
    mode: CommunicationMode, access: AccessRights, body: bytes, *, backup: bool
) -> DataFileSettings:
    (size_bytes,) = parse_lengths(body)
    if not size_bytes:
        raise CardProtocolError("the card reports an empty data file")
    return DataFileSettings(mode, access, size_bytes, backup=backup)


def _parse_value(mode: CommunicationMode, access: AccessRights, body: bytes) -> FileSettings:
    ends = range(0, 3 * VALUE_BYTES, VALUE_BYTES)
    lower, upper, value = (parse_value(body[at : at + VALUE_BYTES]) for at in ends)
    options = body[-1]
    if lower > upper or options & ~0x03:
        raise CardProtocolError("the card reports limits or options that no value file can have")
    return ValueFileSettings(
        mode,
        access,
        lower,
        upper,
        value,
        limited_credit=bool(options & 0x01),
        free_get_value=bool(options & 0x02),
    )


def _parse_records(
    mode: CommunicationMode, access: AccessRights, body: bytes, *, cyclic: bool
) -> RecordFileSettings:
    record_bytes, max_records, current_records = parse_lengths(body)
    if not record_bytes or max_records < 1 + cyclic or current_records > max_records - cyclic:
        raise CardProtocolError("the card reports records that no record file can have")
    return RecordFileSettings(mode, access, record_bytes, max_records, current_records, cyclic)


_PARSERS: dict[FileType, _Parser] = {
    FileType.STANDARD_DATA: partial(_parse_data, backup=False),
    FileType.BACKUP_DATA: partial(_parse_data, backup=True),
    FileType.VALUE: _parse_value,
    FileType.LINEAR_RECORD: partial(_parse_records, cyclic=False),
    FileType.CYCLIC_RECORD: partial(_parse_records, cyclic=True),
}


def _parse_additional(rest: bytes) -> tuple[AccessRights, ...]:
    count, sets = rest[:1], rest[1:]
    if not count or not 1 <= count[0] <= MAX_ADDITIONAL_RIGHTS:
        raise CardProtocolError("the card reports no count of access rights that can be")
    if len(sets) != count[0] * _RIGHTS_BYTES:
        raise CardProtocolError("the card reports another number of access rights than it says")
    ends = range(0, len(sets), _RIGHTS_BYTES)
    return tuple(AccessRights.parse(sets[at : at + _RIGHTS_BYTES]) for at in ends)
