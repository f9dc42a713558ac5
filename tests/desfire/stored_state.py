"""What a virtual chip holds and what the model says it holds, in one form that can be compared."""

from typing import Any

from cardd.desfire.command import CommunicationMode
from cardd.desfire.files import (
    AccessRights,
    DataFileSettings,
    FileSettings,
    RecordFileSettings,
    ValueFileSettings,
)
from cardd.desfire.keys import DesfireKey, KeyType
from simulators.desfire.chip import Application, Chip
from simulators.desfire.files import LIMITED_CREDIT, DataFile, File, ValueFile
from simulators.desfire.keys import Key
from tests.desfire.card_model import Stored, StoredApplication, StoredFile

State = dict[str, Any]


def on_chip(chip: Chip) -> State:
    return {
        "key": _chip_key(chip.master),
        "settings": chip.settings,
        "applications": {
            int.from_bytes(aid, "little"): _chip_application(application)
            for aid, application in chip.applications.items()
        },
    }


def in_model(stored: Stored) -> State:
    return {
        "key": _model_key(stored.key),
        "settings": stored.settings.encode(),
        "applications": {
            aid: _model_application(application) for aid, application in stored.applications.items()
        },
    }


def _chip_application(application: Application) -> State:
    return {
        "settings": application.settings,
        "keys": [_chip_key(key) for key in application.keys],
        "files": {number: _chip_file(file) for number, file in application.files.items()},
    }


def _model_application(application: StoredApplication) -> State:
    return {
        "settings": application.settings.encode(),
        "keys": [_model_key(key) for key in application.keys],
        "files": {number: _model_file(file) for number, file in application.files.items()},
    }


def _chip_key(key: Key) -> tuple[int, bytes, int]:
    return int(key.type), _without_parity(key.type, key.value), key.version


def _model_key(key: DesfireKey) -> tuple[int, bytes, int]:
    return int(key.type), _without_parity(key.type, key.value.reveal()), key.version


def _without_parity(key_type: int, value: bytes) -> bytes:
    return value if key_type == KeyType.AES else bytes(byte & 0xFE for byte in value)


def _chip_file(file: File) -> tuple[FileSettings, Any, int]:
    first, second = file.rights
    access = AccessRights(second >> 4, second & 15, first >> 4, first & 15)
    mode = CommunicationMode(file.communication)
    if isinstance(file, DataFile):
        size = len(file.content)
        return DataFileSettings(mode, access, size, backup=file.backup), file.content, 0
    if isinstance(file, ValueFile):
        limited = bool(file.options & LIMITED_CREDIT)
        settings = ValueFileSettings(
            mode,
            access,
            file.lower,
            file.upper,
            0,
            limited_credit=limited,
            free_get_value=bool(file.options & ~LIMITED_CREDIT),
        )
        # Products differ in what they count where nothing may be refunded.
        return settings, file.value, file.refundable if limited else 0
    records = RecordFileSettings(
        mode, access, file.record_bytes, file.max_records, cyclic=file.cyclic
    )
    return records, file.records, 0


def _model_file(file: StoredFile) -> tuple[FileSettings, Any, int]:
    settings = file.settings
    if isinstance(settings, ValueFileSettings):
        settings = ValueFileSettings(
            settings.mode,
            settings.access,
            settings.lower_limit,
            settings.upper_limit,
            0,
            settings.limited_credit,
            settings.free_get_value,
        )
    return settings, file.content, file.refundable
