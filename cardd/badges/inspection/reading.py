"""From what the DESFire driver read to the facts."""

from collections.abc import Iterable

from cardd.badges.inspection.facts import (
    Access,
    ApplicationFacts,
    CardFacts,
    FileFacts,
    FileKind,
    KeyKind,
    KeySettingsFacts,
    ModeName,
    OriginalityFacts,
    ProductionFacts,
    ProductName,
    RefusedCommand,
    RightsFacts,
    UidKind,
)
from cardd.badges.products import best_scheme
from cardd.desfire.applications import DfName, KeySettings
from cardd.desfire.command import CommunicationMode
from cardd.desfire.files import (
    FREE,
    NEVER,
    AccessRights,
    DataFileSettings,
    FileSettings,
    FileType,
    RecordFileSettings,
    ValueFileSettings,
)
from cardd.desfire.inspection import ApplicationContent, FileContent, PiccContent, storage_bytes
from cardd.desfire.keys import KeyType
from cardd.desfire.version import Product, Version

_RANDOM = 0x08  # first byte of a UID that is another at each activation (ISO/IEC 14443-3, 6.5.4)
_CENTURY = 2000
_WEEKS = range(1, 54)

_PRODUCTS: dict[Product, ProductName] = {
    Product.D40: "d40",
    Product.EV1: "ev1",
    Product.EV2: "ev2",
    Product.EV3: "ev3",
}
_KEYS: dict[KeyType, KeyKind] = {
    KeyType.TDEA2: "2tdea",
    KeyType.TDEA3: "3tdea",
    KeyType.AES: "aes",
}
_MODES: dict[CommunicationMode, ModeName] = {
    CommunicationMode.PLAIN: "plain",
    CommunicationMode.MAC: "mac",
    CommunicationMode.FULL: "full",
}
_FILES: dict[FileType, FileKind] = {
    FileType.STANDARD_DATA: "standard",
    FileType.BACKUP_DATA: "backup",
    FileType.VALUE: "value",
    FileType.LINEAR_RECORD: "linear",
    FileType.CYCLIC_RECORD: "cyclic",
}


def card_facts(
    content: PiccContent, *, uid: bytes, ats: bytes | None, originality: OriginalityFacts
) -> CardFacts:
    """Return the facts of a card; `uid` and `ats` are what its reader answered."""
    version = content.version
    scheme = best_scheme(version.product) if version else None
    names = {name.aid: name for name in content.names}
    return CardFacts(
        uid=_hex(uid),
        uid_kind=uid_kind(uid),
        ats=None if ats is None else _hex(ats),
        product=_PRODUCTS[version.product] if version and version.product else None,
        scheme=None if scheme is None else scheme.value,
        hardware=_hardware(version) if version else None,
        storage_bytes=storage_bytes(version.hardware.storage) if version else None,
        batch=_hex(version.batch) if version else None,
        production=_production(version) if version else None,
        told_uid=_hex(version.uid) if version and any(version.uid) else None,
        originality=originality,
        picc=application_facts(content.picc),
        free_bytes=content.free_bytes,
        listed=None if content.aids is None else aid_texts(content.aids),
        applications=tuple(
            application_facts(each, names.get(each.aid)) for each in content.applications
        ),
        refused=tuple(
            RefusedCommand(each.command, each.status, aid_text(each.aid))
            for each in content.refusals
        ),
    )


def application_facts(content: ApplicationContent, name: DfName | None = None) -> ApplicationFacts:
    """Return the facts of an application, or of the PICC's level; `name` is for ISO 7816-4."""
    settings = content.settings
    return ApplicationFacts(
        aid=aid_text(content.aid),
        df_name=_hex(name.name) if name and name.name else None,
        iso_file_id=f"{name.iso_file_id:04X}" if name else None,
        settings=_key_settings(settings.key_settings) if settings else None,
        key_count=settings.key_count if settings else None,
        key_type=_KEYS[settings.key_type] if settings else None,
        key_versions=content.key_versions,
        files=None if content.files is None else tuple(_file(each) for each in content.files),
        default_keys=content.default_keys,
    )


def uid_kind(uid: bytes) -> UidKind:
    """Return what kind of UID a reader gave: 4, 7 or 10 bytes."""
    if len(uid) == 4:
        return "random" if uid[0] == _RANDOM else "single"
    return "double" if len(uid) == 7 else "triple"


def aid_text(aid: int) -> str:
    """Return an AID as people print it."""
    return f"{aid:06X}"


def aid_texts(aids: Iterable[int]) -> tuple[str, ...]:
    """Return AIDs as people print them."""
    return tuple(map(aid_text, aids))


def _key_settings(settings: KeySettings) -> KeySettingsFacts:
    return KeySettingsFacts(
        settings.change_key,
        settings.configuration_changeable,
        settings.free_create_delete,
        settings.free_directory,
        settings.master_key_changeable,
    )


def _file(file: FileContent) -> FileFacts:
    settings = file.settings
    if settings is None:
        return FileFacts(number=file.number)
    rights = settings.access
    return FileFacts(
        number=file.number,
        type=_FILES[settings.type],
        mode=_MODES[settings.mode],
        size_bytes=_size(settings),
        records=settings.max_records if isinstance(settings, RecordFileSettings) else None,
        read=_access(rights.read),
        write=_access(rights.write),
        read_write=_access(rights.read_write),
        change=_access(rights.change),
        free_get_value=isinstance(settings, ValueFileSettings) and settings.free_get_value,
        additional=tuple(map(_rights, settings.additional)),
    )


def _rights(rights: AccessRights) -> RightsFacts:
    return RightsFacts(
        read=_access(rights.read),
        write=_access(rights.write),
        read_write=_access(rights.read_write),
        change=_access(rights.change),
    )


def _size(settings: FileSettings) -> int | None:
    if isinstance(settings, DataFileSettings):
        return settings.size_bytes
    return settings.record_bytes if isinstance(settings, RecordFileSettings) else None


def _access(right: int) -> Access:
    if right == FREE:
        return "free"
    return "never" if right == NEVER else right


def _hardware(version: Version) -> str:
    return f"{version.hardware.major:02X}.{version.hardware.minor:02X}"


def _production(version: Version) -> ProductionFacts | None:
    """Return the week, which is binary-coded decimal on the card; None for no such week."""
    year, week = (f"{part:02X}" for part in (version.production_year, version.production_week))
    if not (year + week).isdecimal() or int(week) not in _WEEKS:
        return None
    return ProductionFacts(_CENTURY + int(year), int(week))


def _hex(value: bytes) -> str:
    return value.hex().upper()
