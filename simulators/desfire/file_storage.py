"""The files of an application as JSON values, and back with every field checked.

Data files stand in one list, value files and record files in two others: a card file from before
there were any has only the first.
"""

from collections.abc import Iterable
from typing import Annotated

import msgspec

from simulators.desfire.files import DataFile, File, RecordFile, ValueFile

MAX_FILES = 32
MAX_FILE_BYTES = 0xFFFF

Byte = Annotated[int, msgspec.Meta(ge=0, le=0xFF)]
Hex = Annotated[str, msgspec.Meta(pattern=r"^([0-9A-F]{2})*$")]
Number = Annotated[int, msgspec.Meta(ge=0, lt=MAX_FILES)]
Mode = Annotated[int, msgspec.Meta(ge=0, le=3)]
Rights = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-F]{4}$")]
IsoId = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
Signed = Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)]
Refundable = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
Size = Annotated[int, msgspec.Meta(ge=1, le=MAX_FILE_BYTES)]


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON object without unknown fields."""


class StoredFile(Strict, frozen=True):
    """A standard or backup data file."""

    number: Number
    communication: Mode
    rights: Rights
    content: Hex
    backup: bool = False
    iso_id: IsoId | None = None


class StoredValueFile(Strict, frozen=True):
    """A value file."""

    number: Number
    communication: Mode
    rights: Rights
    lower: Signed
    upper: Signed
    value: Signed
    options: Mode
    refundable: Refundable


class StoredRecordFile(Strict, frozen=True):
    """A linear or cyclic record file; the oldest record first."""

    number: Number
    communication: Mode
    rights: Rights
    record_bytes: Size
    max_records: Size
    cyclic: bool
    records: list[Hex]
    iso_id: IsoId | None = None


class StoredFiles(Strict, frozen=True):
    """All files of an application."""

    data: list[StoredFile]
    values: list[StoredValueFile]
    records: list[StoredRecordFile]


def dump(files: Iterable[tuple[int, File]]) -> StoredFiles:
    """Return files as JSON values."""
    stored = StoredFiles([], [], [])
    for number, file in files:
        rights = file.rights.hex().upper()
        head = (number, file.communication, rights)
        if isinstance(file, DataFile):
            content = file.content.hex().upper()
            stored.data.append(StoredFile(*head, content, file.backup, file.iso_id))
        elif isinstance(file, ValueFile):
            numbers = (file.lower, file.upper, file.value, file.options, file.refundable)
            stored.values.append(StoredValueFile(*head, *numbers))
        else:
            stored.records.append(_dump_records(head, file))
    return stored


def _dump_records(head: tuple[int, int, str], file: RecordFile) -> StoredRecordFile:
    records = [record.hex().upper() for record in file.records]
    sizes = (file.record_bytes, file.max_records, file.cyclic)
    return StoredRecordFile(*head, *sizes, records, file.iso_id)


def load(stored: StoredFiles) -> dict[int, File]:
    """Return the files by number; raise ValueError that says what cannot be."""
    files: list[tuple[int, File]] = [
        *((entry.number, _load_data(entry)) for entry in stored.data),
        *((entry.number, _load_value(entry)) for entry in stored.values),
        *((entry.number, _load_records(entry)) for entry in stored.records),
    ]
    by_number = dict(files)
    if len(by_number) != len(files):
        raise ValueError("files: two of one application have one number")
    return by_number


def _load_data(stored: StoredFile) -> DataFile:
    rights, content = bytes.fromhex(stored.rights), bytes.fromhex(stored.content)
    return DataFile(stored.communication, rights, content, stored.backup, stored.iso_id)


def _load_value(stored: StoredValueFile) -> ValueFile:
    if not stored.lower <= stored.value <= stored.upper:
        raise ValueError("value: it is not between its limits")
    return ValueFile(
        stored.communication,
        bytes.fromhex(stored.rights),
        stored.lower,
        stored.upper,
        stored.value,
        stored.options,
        stored.refundable,
    )


def _load_records(stored: StoredRecordFile) -> RecordFile:
    records = tuple(bytes.fromhex(record) for record in stored.records)
    file = RecordFile(
        stored.communication,
        bytes.fromhex(stored.rights),
        stored.record_bytes,
        stored.max_records,
        stored.cyclic,
        records,
        stored.iso_id,
    )
    if any(len(record) != file.record_bytes for record in records):
        raise ValueError(f"records: one has not the {file.record_bytes} bytes of the file")
    if len(records) > file.capacity or file.capacity < 1:
        raise ValueError(f"records: {len(records)} in a file for {file.capacity}")
    return file
