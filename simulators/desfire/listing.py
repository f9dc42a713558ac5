"""What is on a chip, as lines for people. Keys show as check values, never in clear."""

from collections.abc import Iterator

from simulators.desfire import originality
from simulators.desfire.chip import FACTORY_ATS, FACTORY_SAK, Application, Chip
from simulators.desfire.crypto import cmac
from simulators.desfire.files import DataFile, File, ValueFile
from simulators.desfire.keys import Key

CHECK_BYTES = 3
TYPE_NAMES = {"DES": "DES/2K3DES", "TRIPLE_DES": "3K3DES", "AES": "AES"}
MODE_NAMES = {0: "plain", 1: "MAC", 2: "plain", 3: "full"}
RIGHT_NAMES = {0x0E: "free", 0x0F: "never"}


def describe(chip: Chip) -> Iterator[str]:
    """Yield the lines of a whole chip."""
    yield f"DESFire {chip.product.upper()}  {chip.storage_kib} KiB  UID {_hex(chip.uid)}"
    yield f"PICC key  {_key(chip.master)}  settings {chip.settings:02X}"
    if any(chip.default_key) or chip.default_version:
        yield f"default key  set, version {chip.default_version:02X}"
    if chip.configuration:
        yield f"configuration  {chip.configuration:02X}"
    if (chip.ats, chip.sak) != (FACTORY_ATS, FACTORY_SAK):
        yield f"ATS  {_hex(chip.ats)}  SAK {_hex(chip.sak)}"
    if chip.originality_key:
        public_key = originality.public_key(chip.originality_key)
        yield f"originality  test key, secp224r1, {_hex(public_key)}"
    yield f"memory  {chip.free_bytes} of {chip.capacity_bytes} bytes free"
    for application in chip.applications.values():
        yield from _application(application)


def _application(application: Application) -> Iterator[str]:
    yield (
        f"application {_hex(application.aid[::-1])}  settings {application.settings:02X}"
        f"{_names(application)}"
    )
    for number, key in enumerate(application.keys):
        yield f"  key {number}  {_key(key)}"
    for number, file in application.files.items():
        yield f"  file {number}  {_file(file)}"


def _names(application: Application) -> str:
    iso = "" if application.iso_id is None else f"  ISO {application.iso_id:04X}"
    name = f"  DF name {_hex(application.df_name)}" if application.df_name else ""
    return iso + name + ("  files have ISO identifiers" if application.iso_file_ids else "")


def _key(key: Key) -> str:
    """Return type, version and check value: the CMAC of a block of zeros, cut to 3 bytes."""
    check = cmac(key.cipher, bytes(key.type.block_bytes))[:CHECK_BYTES]
    zeros = "  (zeros)" if not any(key.value) else ""
    return f"{TYPE_NAMES[key.type.name]} version {key.version:02X} KCV {_hex(check)}{zeros}"


def _file(file: File) -> str:
    both, change = _nibbles(file.rights[0])
    read, write = _nibbles(file.rights[1])
    iso = "" if file.iso_id is None else f", ISO {file.iso_id:04X}"
    return (
        f"{_content(file)}, {MODE_NAMES[file.communication]}, "
        f"read {read}, write {write}, read and write {both}, change {change}{iso}"
    )


def _content(file: File) -> str:
    if isinstance(file, DataFile):
        return f"{len(file.content)} bytes{' with backup' if file.backup else ''}"
    if isinstance(file, ValueFile):
        return f"value {file.value} of {file.lower} to {file.upper}"
    kind = "cyclic" if file.cyclic else "linear"
    return f"{len(file.records)} of {file.capacity} {kind} records of {file.record_bytes} bytes"


def _nibbles(byte: int) -> tuple[str, str]:
    high, low = byte >> 4, byte & 0x0F
    return RIGHT_NAMES.get(high, f"key {high}"), RIGHT_NAMES.get(low, f"key {low}")


def _hex(value: bytes) -> str:
    return value.hex().upper()
