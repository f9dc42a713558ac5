"""A CPS3 chip as a JSON value, and back with every field checked."""

from typing import Annotated, Any, Literal

import msgspec
from Crypto.PublicKey import RSA

from simulators.cps import layout
from simulators.cps.chip import Chip, Code, ElementaryFile, Face, PrivateKey

KIND: Literal["cps3"] = "cps3"
RULES = 6
CODE_RULES = 5
KEY_BITS = 2048
MAX_FILE_BYTES = 8192

Byte = Annotated[int, msgspec.Meta(ge=0, le=0xFF)]
Hex = Annotated[str, msgspec.Meta(pattern=r"^([0-9A-F]{2})*$", max_length=2 * MAX_FILE_BYTES)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class StoredRules(_Strict, frozen=True):
    """The security condition bytes of each face."""

    contact: Hex
    contactless: Hex


class StoredFile(_Strict, frozen=True):
    """A transparent file, under its whole path."""

    path: Hex
    content: Hex
    rules: StoredRules


class StoredCode(_Strict, frozen=True):
    """A PIN or PUK."""

    reference: Byte
    value: Hex
    tries: Annotated[int, msgspec.Meta(ge=1, le=15)]
    tries_left: Annotated[int, msgspec.Meta(ge=0, le=15)]
    rules: Hex
    uses_left: Byte | None = None


class StoredKey(_Strict, frozen=True):
    """A private key, PKCS #8."""

    folder: Hex
    reference: Annotated[int, msgspec.Meta(ge=1, le=0x1F)]
    value: Hex
    rules: StoredRules


class StoredChip(_Strict, frozen=True):
    """The whole chip."""

    kind: Literal["cps3"]
    number: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{10}/[0-9]{8,10}$")]
    files: Annotated[list[StoredFile], msgspec.Meta(max_length=64)]
    codes: Annotated[list[StoredCode], msgspec.Meta(max_length=8)]
    keys: Annotated[list[StoredKey], msgspec.Meta(max_length=8)]


def dump(chip: Chip) -> dict[str, Any]:
    """Return the chip as JSON-ready values."""
    stored = StoredChip(
        KIND,
        chip.number,
        [_dump_file(path, file) for path, file in chip.files.items()],
        [_dump_code(reference, code) for reference, code in chip.codes.items()],
        [_dump_key(*name, key) for name, key in chip.keys.items()],
    )
    value: dict[str, Any] = msgspec.to_builtins(stored)
    return value


def load(value: object) -> Chip:
    """Return the chip of a JSON value; raise ValueError that says which field is wrong."""
    stored = msgspec.convert(value, StoredChip)
    files = {bytes.fromhex(one.path): _load_file(one) for one in stored.files}
    codes = {one.reference: _load_code(one) for one in stored.codes}
    keys = {(bytes.fromhex(one.folder), one.reference): _load_key(one) for one in stored.keys}
    stored_count = len(stored.files) + len(stored.codes) + len(stored.keys)
    if len(files) + len(codes) + len(keys) != stored_count:
        raise ValueError("files, codes, keys: two have one name")
    if set(codes) != {layout.PIN, layout.PUK}:
        raise ValueError("codes: a card has a PIN and an unblocking code")
    return Chip(stored.number, files, codes, keys)


def _dump_file(path: bytes, file: ElementaryFile) -> StoredFile:
    return StoredFile(_hex(path), _hex(file.content), _dump_rules(file.rules))


def _load_file(stored: StoredFile) -> ElementaryFile:
    path = bytes.fromhex(stored.path)
    if path[:-2] not in layout.FOLDERS:
        raise ValueError(f"path: {stored.path} is in no folder")
    return ElementaryFile(bytes.fromhex(stored.content), _load_rules(stored.rules))


def _dump_code(reference: int, code: Code) -> StoredCode:
    return StoredCode(
        reference,
        _hex(code.value),
        code.tries,
        code.tries_left,
        _hex(code.rules),
        code.uses_left,
    )


def _load_code(stored: StoredCode) -> Code:
    if stored.tries_left > stored.tries:
        raise ValueError("codes: more tries are left than there are")
    return Code(
        bytes.fromhex(stored.value),
        stored.tries,
        stored.tries_left,
        _sized(stored.rules, CODE_RULES, "rules"),
        stored.uses_left,
    )


def _dump_key(folder: bytes, reference: int, key: PrivateKey) -> StoredKey:
    value = key.key.export_key("DER", pkcs=8)
    return StoredKey(_hex(folder), reference, _hex(value), _dump_rules(key.rules))


def _load_key(stored: StoredKey) -> PrivateKey:
    try:
        key = RSA.import_key(bytes.fromhex(stored.value))
    except (ValueError, IndexError, TypeError):
        raise ValueError("key: it is no RSA key") from None
    if not key.has_private() or key.size_in_bits() != KEY_BITS:
        raise ValueError(f"key: a card has private keys of {KEY_BITS} bits")
    return PrivateKey(key, _load_rules(stored.rules))


def _dump_rules(rules: Any) -> StoredRules:
    return StoredRules(_hex(rules[Face.CONTACT]), _hex(rules[Face.CONTACTLESS]))


def _load_rules(stored: StoredRules) -> dict[Face, bytes]:
    return {
        Face.CONTACT: _sized(stored.contact, RULES, "rules"),
        Face.CONTACTLESS: _sized(stored.contactless, RULES, "rules"),
    }


def _hex(value: bytes) -> str:
    return value.hex().upper()


def _sized(text: str, size: int, name: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != size:
        raise ValueError(f"{name}: {len(value)} bytes instead of {size}")
    return value
