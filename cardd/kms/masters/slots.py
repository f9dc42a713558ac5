"""The ways into a keystore: what a person or a service presents, and what the file stores for it.

As in LUKS, each slot encrypts the same random key-encryption key (KEK) under a key of its own:
Argon2id (RFC 9106) of a passphrase, or HKDF-SHA256 (RFC 5869) of a credential file.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Meta

from cardd.errors import StartCode, StartError
from cardd.files import open_regular
from cardd.kms.masters.wrapping import Wrapped, unwrap, wrap
from cardd.secret import Secret

CREDENTIAL_MINIMUM = 32
CREDENTIAL_MAXIMUM = 4096
_CREDENTIAL_CONTEXT = b"cardd keystore credential v1"
_KEY_BYTES = 32
_SALT_BYTES = 16

_Salt = Annotated[bytes, Meta(min_length=_SALT_BYTES, max_length=_SALT_BYTES)]


class Argon2idCost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What trying one passphrase costs. Bounded, because an open reads it before it can trust it.

    The default is 0.14 s on an ordinary machine (memory in KiB: RFC 9106, 3.1).
    """

    memory_kib: Annotated[int, Meta(ge=1024, le=262_144)] = 65_536
    iterations: Annotated[int, Meta(ge=1, le=16)] = 3
    lanes: Annotated[int, Meta(ge=1, le=16)] = 4


DEFAULT_COST = Argon2idCost()


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase, in bytes as typed, without the end of the line."""

    secret: Secret
    cost: Argon2idCost = DEFAULT_COST


@dataclass(frozen=True, slots=True)
class CredentialFile:
    """A file of 32 to 4096 random bytes; systemd's LoadCredential gives one."""

    path: Path


Slot = Passphrase | CredentialFile


class PassphraseSlot(Wrapped, frozen=True, tag="passphrase", tag_field="kind", kw_only=True):
    """A KEK under a passphrase."""

    salt: _Salt
    cost: Argon2idCost


class CredentialSlot(Wrapped, frozen=True, tag="credential-file", tag_field="kind", kw_only=True):
    """A KEK under a credential file."""

    salt: _Salt


StoredSlot = PassphraseSlot | CredentialSlot


def lock(slot: Slot, kek: Secret, keystore_id: str) -> StoredSlot:
    """Return what the file stores so that `slot` gives the KEK back. Errors as `unlock`."""
    salt = os.urandom(_SALT_BYTES)
    if isinstance(slot, Passphrase):
        if not len(slot.secret):
            raise StartError(StartCode.KEYSTORE_PASSPHRASE, "the passphrase is empty")
        by_passphrase = PassphraseSlot(salt=salt, cost=slot.cost)
        return wrap(by_passphrase, _from_passphrase(slot, by_passphrase), kek, keystore_id)
    by_file = CredentialSlot(salt=salt)
    return wrap(by_file, _from_credential(_read_credential(slot.path), by_file), kek, keystore_id)


def unlock(
    slot: Slot, stored: tuple[StoredSlot, ...], keystore_id: str
) -> tuple[Secret, StoredSlot]:
    """Return the KEK and the stored slot that gave it.

    Raises StartError: `keystore_passphrase` where none does; `keystore_not_found`,
    `keystore_permissions` or `keystore_unavailable` for a credential file that is missing, open to
    others or unreadable.
    """
    for candidate, key in _slot_keys(slot, stored):
        kek = unwrap(candidate, key, keystore_id)
        if kek is not None:
            return kek, candidate
    what = "passphrase" if isinstance(slot, Passphrase) else f"credential file {slot.path}"
    raise StartError(
        StartCode.KEYSTORE_PASSPHRASE, f"the {what} does not open this keystore; use another"
    )


def _slot_keys(slot: Slot, stored: tuple[StoredSlot, ...]) -> Iterator[tuple[StoredSlot, Secret]]:
    """Yield the stored slots of this kind, each with the key that `slot` has for it."""
    if isinstance(slot, Passphrase):
        for candidate in stored:
            if isinstance(candidate, PassphraseSlot):
                yield candidate, _from_passphrase(slot, candidate)
        return
    credential = _read_credential(slot.path)
    for candidate in stored:
        if isinstance(candidate, CredentialSlot):
            yield candidate, _from_credential(credential, candidate)


def _from_passphrase(slot: Passphrase, stored: PassphraseSlot) -> Secret:
    cost = stored.cost
    derivation = Argon2id(
        salt=stored.salt,
        length=_KEY_BYTES,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    )
    try:
        return Secret(derivation.derive(slot.secret.reveal()))
    except MemoryError:
        raise StartError(
            StartCode.KEYSTORE_UNAVAILABLE,
            f"opening the keystore takes {cost.memory_kib} KiB of memory, which are not free",
        ) from None


def _from_credential(credential: Secret, stored: CredentialSlot) -> Secret:
    derivation = HKDF(SHA256(), _KEY_BYTES, salt=stored.salt, info=_CREDENTIAL_CONTEXT)
    return Secret(derivation.derive(credential.reveal()))


def _read_credential(path: Path) -> Secret:
    try:
        with open_regular(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            value = file.read(CREDENTIAL_MAXIMUM + 1)
    except OSError as error:
        raise _no_credential(path, error) from error
    # Group-readable passes: systemd grants its credentials by an ACL, whose mask shows there.
    if mode & 0o037:
        raise StartError(
            StartCode.KEYSTORE_PERMISSIONS,
            f"the credential file {path} is open to others (mode {mode:04o}): make it 0400",
        )
    if not CREDENTIAL_MINIMUM <= len(value) <= CREDENTIAL_MAXIMUM:
        raise StartError(
            StartCode.KEYSTORE_PASSPHRASE,
            f"{path} is no credential: it must be a file of {CREDENTIAL_MINIMUM} to "
            f"{CREDENTIAL_MAXIMUM} random bytes",
        )
    return Secret(value)


def _no_credential(path: Path, error: OSError) -> StartError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return StartError(
            StartCode.KEYSTORE_NOT_FOUND,
            f"there is no credential file at {path}; check kms.credential_file",
        )
    refused = isinstance(error, PermissionError)
    return StartError(
        StartCode.KEYSTORE_PERMISSIONS if refused else StartCode.KEYSTORE_UNAVAILABLE,
        f"the credential file {path} cannot be read: {error.strerror}",
    )
