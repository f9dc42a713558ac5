"""A chip as a JSON value, and back with every field checked."""

from typing import Annotated, Any

import msgspec

from simulators.desfire.answer_to_select import historical_bytes
from simulators.desfire.chip import (
    FACTORY_ATS,
    FACTORY_SAK,
    MAX_FILES,
    MAX_KEYS,
    PICC_AID,
    Application,
    Chip,
)
from simulators.desfire.crypto import KeyType
from simulators.desfire.file_storage import (
    Byte,
    Hex,
    IsoId,
    StoredFile,
    StoredFiles,
    StoredRecordFile,
    StoredValueFile,
    Strict,
)
from simulators.desfire.file_storage import dump as dump_files
from simulators.desfire.file_storage import load as load_files
from simulators.desfire.keys import Key
from simulators.desfire.originality import FIELD_BYTES
from simulators.desfire.product import Product

# More than the memory of any product holds.
MAX_STORED_APPLICATIONS = 1024


class StoredKey(Strict, frozen=True):
    """A key; `version` counts for AES alone."""

    type: str
    value: Hex
    version: Byte


class StoredApplication(Strict, frozen=True):
    """An application; `aid` in wire order. Older files do not say the type of its keys."""

    aid: Hex
    settings: Byte
    keys: Annotated[list[StoredKey], msgspec.Meta(max_length=MAX_KEYS)]
    files: Annotated[list[StoredFile], msgspec.Meta(max_length=MAX_FILES)]
    value_files: Annotated[list[StoredValueFile], msgspec.Meta(max_length=MAX_FILES)] = (
        msgspec.field(default_factory=list)
    )
    record_files: Annotated[list[StoredRecordFile], msgspec.Meta(max_length=MAX_FILES)] = (
        msgspec.field(default_factory=list)
    )
    iso_file_ids: bool = False
    key_type: str | None = None
    iso_id: IsoId | None = None
    df_name: Annotated[Hex, msgspec.Meta(max_length=32)] = ""


class StoredChip(Strict, frozen=True):
    """The whole chip. What older files do not have is as on a factory card of theirs."""

    product: Product
    uid: Hex
    batch: Hex
    master: StoredKey
    settings: Byte
    default_key: Hex
    default_version: Byte
    configuration: Byte
    applications: Annotated[
        list[StoredApplication], msgspec.Meta(max_length=MAX_STORED_APPLICATIONS)
    ]
    used_bytes: Annotated[int, msgspec.Meta(ge=0)]
    storage_kib: int = 4
    ats: Annotated[Hex, msgspec.Meta(min_length=2, max_length=40)] = FACTORY_ATS.hex().upper()
    sak: Annotated[Hex, msgspec.Meta(min_length=4, max_length=4)] = FACTORY_SAK.hex().upper()
    originality_key: Hex = ""


def dump(chip: Chip) -> dict[str, Any]:
    """Return the chip as JSON-ready values."""
    applications = [_dump_application(entry) for entry in chip.applications.values()]
    stored = StoredChip(
        chip.product,
        chip.uid.hex().upper(),
        chip.batch.hex().upper(),
        _dump_key(chip.master),
        chip.settings,
        chip.default_key.hex().upper(),
        chip.default_version,
        chip.configuration,
        applications,
        chip.used_bytes,
        chip.storage_kib,
        chip.ats.hex().upper(),
        chip.sak.hex().upper(),
        chip.originality_key.hex().upper(),
    )
    value: dict[str, Any] = msgspec.to_builtins(stored)
    return value


def load(value: object) -> Chip:
    """Return the chip of a JSON value; raise ValueError that says which field is wrong."""
    stored = msgspec.convert(value, StoredChip)
    applications = [_load_application(entry) for entry in stored.applications]
    by_aid = {entry.aid: entry for entry in applications}
    if len(by_aid) != len(applications) or PICC_AID in by_aid:
        raise ValueError("applications: two have one AID, or one has 000000")
    if stored.storage_kib not in stored.product.storages_kib:
        raise ValueError(f"storage_kib: no {stored.product} has {stored.storage_kib}")
    chip = Chip(
        product=stored.product,
        uid=_sized(stored.uid, stored.product.uid_lengths, "uid"),
        batch=_sized(stored.batch, (5,), "batch"),
        master=_load_key(stored.master),
        settings=stored.settings,
        default_key=_sized(stored.default_key, (24,), "default_key"),
        default_version=stored.default_version,
        configuration=stored.configuration,
        applications=by_aid,
        used_bytes=stored.used_bytes,
        storage_kib=stored.storage_kib,
        ats=bytes.fromhex(stored.ats),
        sak=bytes.fromhex(stored.sak),
        originality_key=_sized(stored.originality_key, (0, FIELD_BYTES), "originality_key"),
    )
    if historical_bytes(chip.ats) is None:
        raise ValueError("ats: it is none")
    if chip.free_bytes < 0:
        raise ValueError("used_bytes: more than the storage")
    return chip


def _dump_key(key: Key) -> StoredKey:
    return StoredKey(key.type.name, key.value.hex().upper(), key.version)


def _load_key(stored: StoredKey) -> Key:
    key_type = _key_type(stored.type)
    value = _sized(stored.value, (key_type.key_bytes,), "key value")
    return Key(key_type, value, stored.version if key_type is KeyType.AES else 0)


def _key_type(name: str) -> KeyType:
    if name not in KeyType.__members__:
        raise ValueError(f"key type: {name!r} is none of {', '.join(KeyType.__members__)}")
    return KeyType[name]


def _dump_application(application: Application) -> StoredApplication:
    keys = [_dump_key(key) for key in application.keys]
    files = dump_files(application.files.items())
    return StoredApplication(
        application.aid.hex().upper(),
        application.settings,
        keys,
        files.data,
        files.values,
        files.records,
        application.iso_file_ids,
        application.key_type.name,
        application.iso_id,
        application.df_name.hex().upper(),
    )


def _load_application(stored: StoredApplication) -> Application:
    keys = tuple(_load_key(key) for key in stored.keys)
    types = {key.type for key in keys} | (
        {_key_type(stored.key_type)} if stored.key_type else set()
    )
    if len(types) != 1:
        raise ValueError("keys: those of one application are of one type")
    files = load_files(StoredFiles(stored.files, stored.value_files, stored.record_files))
    aid = _sized(stored.aid, (3,), "aid")
    return Application(
        aid,
        stored.settings,
        types.pop(),
        keys,
        files,
        stored.iso_file_ids,
        stored.iso_id,
        bytes.fromhex(stored.df_name),
    )


def _sized(text: str, sizes: tuple[int, ...], name: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) not in sizes:
        wanted = " or ".join(map(str, sizes))
        raise ValueError(f"{name}: {len(value)} bytes instead of {wanted}")
    return value
