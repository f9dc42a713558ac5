"""A chip as a JSON value, and back with every field checked."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from Crypto.PublicKey import RSA

from simulators.cps.chipdoc.chip import (
    MODULUS_BYTES,
    PIN_MAX_DIGITS,
    PIN_REFERENCE,
    PUK_REFERENCE,
    Access,
    Chip,
    Code,
    ElementaryFile,
    Product,
)

LARGEST_FILE = 0x7FFF
KIND = "cps4"

Byte = Annotated[int, msgspec.Meta(ge=0, le=0xFF)]
Tries = Annotated[int, msgspec.Meta(ge=0, le=15)]
Hex = Annotated[str, msgspec.Meta(pattern=r"^([0-9A-F]{2})*$", max_length=2 * LARGEST_FILE)]
Path = Annotated[str, msgspec.Meta(pattern=r"^([0-9A-F]{4}){1,4}$")]
Digits = Annotated[str, msgspec.Meta(pattern=rf"^[0-9]{{4,{PIN_MAX_DIGITS}}}$")]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class StoredFile(_Strict, frozen=True):
    """A file, by its path from the MF."""

    path: Path
    content: Hex
    read: Access
    update: Access


class StoredCode(_Strict, frozen=True):
    """A secret code, in clear: a simulation."""

    reference: Byte
    digits: Digits
    tries_left: Tries
    tries: Annotated[int, msgspec.Meta(ge=1, le=15)]


class StoredKey(_Strict, frozen=True):
    """A private key, PKCS#8 in DER."""

    reference: Annotated[int, msgspec.Meta(ge=0, lt=0x80)]
    pkcs8: Hex


class StoredChip(_Strict, frozen=True):
    """The whole chip."""

    kind: str
    product: Product
    files: Annotated[list[StoredFile], msgspec.Meta(max_length=128)]
    codes: Annotated[list[StoredCode], msgspec.Meta(max_length=4)]
    keys: Annotated[list[StoredKey], msgspec.Meta(max_length=4)]


def dump(chip: Chip) -> dict[str, Any]:
    """Return the chip as JSON-ready values."""
    stored = StoredChip(
        KIND,
        chip.product,
        [
            StoredFile(_hex(path), _hex(file.content), file.read, file.update)
            for path, file in chip.files.items()
        ],
        [
            StoredCode(reference, code.digits.decode(), code.tries_left, code.tries)
            for reference, code in chip.codes.items()
        ],
        [
            StoredKey(reference, _hex(key.export_key("DER", pkcs=8)))
            for reference, key in chip.keys.items()
        ],
    )
    value: dict[str, Any] = msgspec.to_builtins(stored)
    return value


def load(value: object) -> Chip:
    """Return the chip of a JSON value; raise ValueError that says which field is wrong."""
    stored = msgspec.convert(value, StoredChip)
    if stored.kind != KIND:
        raise ValueError(f'kind: "{stored.kind}" instead of "{KIND}"')
    codes = _unique(stored.codes, lambda entry: entry.reference, "codes")
    if set(codes) != {PIN_REFERENCE, PUK_REFERENCE}:
        raise ValueError("codes: a card has a PIN and an unblocking code")
    return Chip(
        stored.product,
        {
            bytes.fromhex(path): ElementaryFile(bytes.fromhex(file.content), file.read, file.update)
            for path, file in _unique(stored.files, lambda entry: entry.path, "files").items()
        },
        {reference: _load_code(code) for reference, code in codes.items()},
        {
            reference: _load_key(key)
            for reference, key in _unique(stored.keys, lambda key: key.reference, "keys").items()
        },
    )


Entry = TypeVar("Entry")
Name = TypeVar("Name")


def _unique(
    entries: Sequence[Entry], name: Callable[[Entry], Name], field: str
) -> dict[Name, Entry]:
    named = {name(entry): entry for entry in entries}
    if len(named) != len(entries):
        raise ValueError(f"{field}: two have one name")
    return named


def _load_code(stored: StoredCode) -> Code:
    if stored.tries_left > stored.tries:
        raise ValueError("codes: more tries are left than there are")
    return Code(stored.digits.encode(), stored.tries_left, stored.tries)


def _load_key(stored: StoredKey) -> RSA.RsaKey:
    try:
        key = RSA.import_key(bytes.fromhex(stored.pkcs8))
    except (ValueError, IndexError, TypeError):
        raise ValueError("keys: one is no RSA key") from None
    if not key.has_private() or key.size_in_bytes() != MODULUS_BYTES:
        raise ValueError("keys: a card has private keys of 2048 bits")
    return key


def _hex(value: bytes) -> str:
    return value.hex().upper()
