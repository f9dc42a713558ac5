"""The keystore file: made once, opened at each start, replaced as a whole or not at all."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cardd.errors import Code, Refused, StartCode, StartError
from cardd.files import open_regular, publish, replace, sole_writer
from cardd.kms.masters import envelope as form
from cardd.kms.masters.slots import (
    RecoveryShares,
    RecoverySlot,
    Slot,
    StoredSlot,
    lock,
    name_of,
    unlock,
)
from cardd.kms.masters.soft import SoftMasters
from cardd.kms.ports import Purpose
from cardd.secret import Secret

_KEK_BYTES = 32
_MASTER_BYTES = 16
_SEAL_BYTES = 32


def create(path: Path, slot: Slot) -> None:
    """Make a keystore with new random keys, that `slot` opens.

    One AES-128 master of generation 1 for each purpose, a seal key and an assertion key. The file
    has mode 0600; it is there whole and synced when this returns, and never in part.
    Raises StartError: `keystore_exists`, `keystore_permissions`, `keystore_not_found` (its folder,
    or the credential file), `keystore_unavailable` (disk full), `keystore_passphrase`.
    """
    identity, kek = form.new_id(), Secret(os.urandom(_KEK_BYTES))
    if os.path.lexists(path):  # known before Argon2id costs its time; decided when it is linked
        raise _exists(path)
    envelope = form.Envelope(
        id=identity,
        counter=1,
        slots=(lock(slot, kek, identity),),
        keys=tuple(
            form.new_key(identity, kek, use, new_secret(use)) for use in get_args(form.KeyUse)
        ),
    )
    try:
        publish(path, form.encode(envelope, kek))
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise _failure(path, error, "written") from error


def open_keystore(path: Path, slot: Slot) -> SoftMasters:
    """Open a keystore and verify every byte of it.

    Raises StartError: `keystore_not_found`, `keystore_permissions` (others may read it),
    `keystore_passphrase` (`slot` does not open it), `keystore_damaged`, `keystore_unavailable`.
    """
    envelope, keys = open_envelope(path, slot)
    masters: dict[tuple[Purpose, int], Secret] = {}
    current: dict[Purpose, int] = {}
    single: dict[str, Secret] = {}
    for entry, key in keys.items():
        if entry.purpose in {form.SEAL, form.ASSERTION}:
            single[entry.purpose] = key
            continue
        purpose = Purpose(entry.purpose)
        masters[purpose, entry.generation] = key
        if entry.state == "current":
            current[purpose] = entry.generation
    return SoftMasters(
        masters, current, single[form.SEAL], single[form.ASSERTION], envelope.counter
    )


def open_envelope(path: Path, slot: Slot) -> tuple[form.Envelope, dict[form.WrappedKey, Secret]]:
    """Open a keystore and return what it says, and each key in it; errors as `open_keystore`."""
    origin = str(path)
    envelope = form.decode(_read(path), origin)
    kek, _ = unlock(slot, envelope.slots, envelope.id)
    return envelope, form.open_keys(envelope, kek, origin)


def add_slot(path: Path, slot: Slot, new: Slot) -> None:
    """Let `new` open the keystore too. Its keys stay; its counter grows by one.

    Raises Refused (`conflict`) where the keystore has all the slots it can have, and as
    `open_keystore` and `create`.
    """
    with rewriting(path, slot) as change:
        _require_room(change.slots)
        stored = lock(new, change.kek, change.envelope.id)
        change.slots = (*change.envelope.slots, stored)


def add_recovery(
    path: Path, slot: Slot, shares: RecoveryShares, *, replace: bool
) -> list[RecoverySlot]:
    """Let shares open the keystore; with `replace`, those of before no longer, in the same act.

    Returns the slots that were dropped. Raises as `add_slot`.
    """
    with rewriting(path, slot) as change:
        stays = [one for one in change.slots if not (replace and isinstance(one, RecoverySlot))]
        _require_room(stays)
        change.slots = (*stays, lock(shares, change.kek, change.envelope.id))
        dropped = [one for one in change.envelope.slots if one not in stays]
    return [one for one in dropped if isinstance(one, RecoverySlot)]


def drop_slot(path: Path, slot: Slot) -> None:
    """Let `slot` not open the keystore any more: old copies of the file it still opens.

    Raises Refused (`conflict`) for the only slot, and as `open_keystore`.
    """
    with rewriting(path, slot) as change:
        _drop(change, change.opened)


def drop_slot_named(path: Path, slot: Slot, name: str) -> StoredSlot:
    """Drop the slot of a name (`slots.name_of`) and return it: old copies of the file have it.

    Raises Refused: `not_found`; `conflict` for the slot by which the keystore was opened, which is
    how the key service opens it. StartError as `open_keystore`.
    """
    with rewriting(path, slot) as change:
        found = next((one for one in change.envelope.slots if name_of(one) == name), None)
        if found is None:
            raise Refused(
                Code.NOT_FOUND, f"there is no slot {name}; `cardd-kms slot list` lists them"
            )
        if found is change.opened:
            raise Refused(
                Code.CONFLICT,
                f"the slot {name} has just opened the keystore, as it does for the key service: "
                "add another, name that one in the configuration, then drop this one",
            )
        _drop(change, found)
    return found


def opening(path: Path, slot: Slot) -> StoredSlot:
    """Return the stored slot that `slot` opens, of a keystore that is as it was written.

    Raises as `open_keystore`.
    """
    envelope = form.decode(_read(path), str(path))
    kek, opened = unlock(slot, envelope.slots, envelope.id)
    form.open_keys(envelope, kek, str(path))
    return opened


def read_slots(path: Path) -> tuple[StoredSlot, ...]:
    """Return what a keystore says of its slots. Nothing vouches for it before one is opened.

    Raises StartError: `keystore_not_found`, `keystore_permissions`, `keystore_damaged`,
    `keystore_unavailable`.
    """
    return form.decode(_read(path), str(path)).slots


@dataclass(slots=True)
class Change:
    """A keystore that was opened to be changed; `slots` and `keys` are those it will have."""

    envelope: form.Envelope
    kek: Secret
    opened: StoredSlot
    slots: tuple[StoredSlot, ...]
    keys: dict[form.WrappedKey, Secret]


@contextmanager
def rewriting(path: Path, slot: Slot) -> Iterator[Change]:
    """Open a keystore, let the caller change its slots or keys, and replace the file.

    Raises StartError as `open_keystore`; what the caller raises leaves the file as it was.
    """
    try:
        with sole_writer(path.parent):
            envelope = form.decode(_read(path), str(path))
            kek, opened = unlock(slot, envelope.slots, envelope.id)
            keys = form.open_keys(envelope, kek, str(path))
            change = Change(envelope, kek, opened, envelope.slots, keys)
            yield change
            changed = msgspec.structs.replace(
                envelope,
                counter=envelope.counter + 1,
                slots=change.slots,
                keys=tuple(change.keys),
            )
            replace(path, form.encode(changed, kek))
    except OSError as error:
        raise _failure(path, error, "replaced") from error


def _require_room(slots: Sequence[StoredSlot]) -> None:
    if len(slots) == form.MAXIMUM_SLOTS:
        raise Refused(
            Code.CONFLICT, f"a keystore has {form.MAXIMUM_SLOTS} slots at most; drop one first"
        )


def _drop(change: Change, stored: StoredSlot) -> None:
    change.slots = tuple(one for one in change.envelope.slots if one is not stored)
    if not change.slots:
        raise Refused(Code.CONFLICT, "this is all that opens the keystore; add another slot first")


def new_secret(use: form.KeyUse) -> Secret:
    """Return a random key for a use, in the form that the file has it."""
    if use == form.SEAL:
        return Secret(os.urandom(_SEAL_BYTES))
    if use == form.ASSERTION:
        key = generate_private_key(SECP256R1())
        return Secret(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    return Secret(os.urandom(_MASTER_BYTES))


def _read(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(form.MAXIMUM_BYTES + 1)
    except OSError as error:
        raise _failure(path, error, "read") from error
    if mode & 0o077:
        raise StartError(
            StartCode.KEYSTORE_PERMISSIONS,
            f"the keystore {path} is open to others (mode {mode:04o}): make it 0600, and change "
            "its passphrase if others may have copied it",
        )
    return content


def _exists(path: Path) -> StartError:
    return StartError(
        StartCode.KEYSTORE_EXISTS,
        f"there is already a keystore at {path}; a new one would make every badge useless: move "
        "the old one away by hand if that is meant",
    )


def _failure(path: Path, error: OSError, done: str) -> StartError:
    """Return the error for a file that the system does not let us read or write."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        code, hint = StartCode.KEYSTORE_NOT_FOUND, "check kms.masters, or create it first"
    elif isinstance(error, PermissionError):
        code, hint = StartCode.KEYSTORE_PERMISSIONS, "check its owner and that of its folder"
    else:
        code, hint = StartCode.KEYSTORE_UNAVAILABLE, "check kms.masters and the disk"
    return StartError(code, f"the keystore {path} cannot be {done}: {error.strerror}; {hint}")
