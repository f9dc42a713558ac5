"""The ways into a keystore: what a person or a service presents, and what the file stores for it.

As in LUKS, each slot encrypts the same random key-encryption key (KEK) under a key of its own:
Argon2id (RFC 9106) of a passphrase; HKDF-SHA256 (RFC 5869) of a credential file, or of the secret
that custodians' shares give back; SP 800-108 in counter mode with a key that a token holds.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Meta

from cardd.errors import CeremonyCode, CeremonyError, StartCode, StartError
from cardd.kms.masters.credentials import read_credential
from cardd.kms.masters.passphrases import DEFAULT_COST, Argon2idCost, derive
from cardd.kms.masters.sealing import kdf_counter_mode
from cardd.kms.masters.shares import Share, combine
from cardd.kms.masters.wrapping import Wrapped, unwrap, wrap
from cardd.secret import Secret

_CREDENTIAL_CONTEXT = b"cardd keystore credential v1"
_RECOVERY_CONTEXT = b"cardd keystore recovery v1"
_TOKEN_LABEL = b"cardd keystore token v1\0"
_KEY_BYTES = 32
_SALT_BYTES = 16
_FINGERPRINT_BYTES = 16

_Salt = Annotated[bytes, Meta(min_length=_SALT_BYTES, max_length=_SALT_BYTES)]
_Fingerprint = Annotated[bytes, Meta(min_length=_FINGERPRINT_BYTES, max_length=_FINGERPRINT_BYTES)]


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase, in bytes as typed, without the end of the line."""

    secret: Secret
    cost: Argon2idCost = DEFAULT_COST

    def __str__(self) -> str:
        return "passphrase"


@dataclass(frozen=True, slots=True)
class CredentialFile:
    """A file of 32 to 4096 random bytes; systemd's LoadCredential gives one."""

    path: Path

    def __str__(self) -> str:
        return f"credential file {self.path}"


@dataclass(frozen=True, slots=True)
class RecoveryShares:
    """The shares of custodians: enough of them to open a slot, all of them to make one."""

    shares: tuple[Share, ...]

    def __str__(self) -> str:
        return f"set of {len(self.shares)} shares"


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key in a token. `mac` is the AES-CMAC under it, and raises KmsUnavailable."""

    name: str
    mac: Callable[[bytes], bytes]

    def __str__(self) -> str:
        return f"key {self.name} of the token"


Slot = Passphrase | CredentialFile | RecoveryShares | TokenKey


class PassphraseSlot(Wrapped, frozen=True, tag="passphrase", tag_field="kind", kw_only=True):
    """A KEK under a passphrase."""

    salt: _Salt
    cost: Argon2idCost


class CredentialSlot(Wrapped, frozen=True, tag="credential-file", tag_field="kind", kw_only=True):
    """A KEK under a credential file."""

    salt: _Salt


class RecoverySlot(Wrapped, frozen=True, tag="recovery", tag_field="kind", kw_only=True):
    """A KEK under shares, whose fingerprints tell each custodian's from a wrong one."""

    salt: _Salt
    set_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{8}$")]
    threshold: Annotated[int, Meta(ge=2, le=15)]
    fingerprints: Annotated[tuple[_Fingerprint, ...], Meta(min_length=2, max_length=15)]


class TokenSlot(Wrapped, frozen=True, tag="pkcs11", tag_field="kind", kw_only=True):
    """A KEK under a key in a token."""

    salt: _Salt
    key: Annotated[str, Meta(max_length=64)]


StoredSlot = PassphraseSlot | CredentialSlot | RecoverySlot | TokenSlot


def name_of(stored: StoredSlot) -> str:
    """Return what people call a slot: 8 hexadecimal digits that stay while it is there."""
    return hashlib.sha256(stored.salt).hexdigest()[:8]


def describe(stored: StoredSlot) -> str:
    """Return what a slot is, for people."""
    match stored:
        case PassphraseSlot():
            return "a passphrase"
        case CredentialSlot():
            return "a credential file"
        case RecoverySlot():
            return (
                f"{stored.threshold} of the {len(stored.fingerprints)} shares of the set "
                f"{stored.set_id}"
            )
        case TokenSlot():
            return f"the key {stored.key} of a PKCS #11 token"


def lock(slot: Slot, kek: Secret, keystore_id: str) -> StoredSlot:
    """Return what the file stores so that `slot` gives the KEK back. Errors as `unlock`."""
    description = _description(slot, os.urandom(_SALT_BYTES))
    return wrap(description, _key(slot, description), kek, keystore_id)


def unlock(
    slot: Slot, stored: tuple[StoredSlot, ...], keystore_id: str
) -> tuple[Secret, StoredSlot]:
    """Return the KEK and the stored slot that gave it.

    Raises StartError: `keystore_passphrase` where none does; `keystore_not_found`,
    `keystore_permissions` or `keystore_unavailable` for a credential file that is missing, open to
    others or unreadable. CeremonyError as `shares.combine` and `require_known`. KmsUnavailable for
    a token that does not answer.
    """
    for candidate in _candidates(slot, stored):
        kek = unwrap(candidate, _key(slot, candidate), keystore_id)
        if kek is not None:
            return kek, candidate
    raise StartError(
        StartCode.KEYSTORE_PASSPHRASE, f"the {slot} does not open this keystore; use another"
    )


def require_known(share: Share, stored: tuple[StoredSlot, ...]) -> RecoverySlot:
    """Return the slot that a share is of.

    Raises CeremonyError: `share_unknown`, `share_wrong`.
    """
    for candidate in stored:
        if isinstance(candidate, RecoverySlot) and candidate.set_id == share.set_id:
            if share.fingerprint not in candidate.fingerprints[share.index - 1 : share.index]:
                raise CeremonyError(
                    CeremonyCode.SHARE_WRONG,
                    f"{share} is not the one that was made: somebody altered or forged it",
                )
            return candidate
    raise CeremonyError(
        CeremonyCode.SHARE_UNKNOWN,
        f"{share} opens no slot of this keystore: it is another keystore's, or the slot was "
        "dropped; look for the paper of the newest ceremony",
    )


def _description(slot: Slot, salt: bytes) -> StoredSlot:
    match slot:
        case Passphrase():
            if not len(slot.secret):
                raise StartError(StartCode.KEYSTORE_PASSPHRASE, "the passphrase is empty")
            return PassphraseSlot(salt=salt, cost=slot.cost)
        case CredentialFile():
            return CredentialSlot(salt=salt)
        case RecoveryShares():
            shares = slot.shares
            if [share.index for share in shares] != list(range(1, len(shares) + 1)):
                raise ValueError("a recovery slot is made with all shares of its set, in order")
            return RecoverySlot(
                salt=salt,
                set_id=shares[0].set_id,
                threshold=shares[0].threshold,
                fingerprints=tuple(share.fingerprint for share in shares),
            )
        case TokenKey():
            return TokenSlot(salt=salt, key=slot.name)


def _candidates(slot: Slot, stored: tuple[StoredSlot, ...]) -> Iterator[StoredSlot]:
    """Yield the stored slots that `slot` may open."""
    match slot:
        case Passphrase():
            yield from (each for each in stored if isinstance(each, PassphraseSlot))
        case CredentialFile():
            yield from (each for each in stored if isinstance(each, CredentialSlot))
        case RecoveryShares():
            known = [require_known(share, stored) for share in slot.shares]
            yield from known[:1]
        case TokenKey():
            yield from (e for e in stored if isinstance(e, TokenSlot) and e.key == slot.name)


def _key(slot: Slot, stored: StoredSlot) -> Secret:
    """Return the key that encrypts the KEK in a slot of the kind of `slot`."""
    match slot:
        case Passphrase():
            assert isinstance(stored, PassphraseSlot)
            return derive(slot.secret, stored.salt, stored.cost, _KEY_BYTES)
        case CredentialFile():
            return _hkdf(read_credential(slot.path), stored.salt, _CREDENTIAL_CONTEXT)
        case RecoveryShares():
            return _hkdf(combine(slot.shares), stored.salt, _RECOVERY_CONTEXT)
        case TokenKey():
            length = (8 * _KEY_BYTES).to_bytes(4, "big")
            fixed_input = _TOKEN_LABEL + stored.salt + length
            return Secret(kdf_counter_mode(slot.mac, fixed_input, _KEY_BYTES))


def _hkdf(secret: Secret, salt: bytes, context: bytes) -> Secret:
    return Secret(HKDF(SHA256(), _KEY_BYTES, salt=salt, info=context).derive(secret.reveal()))
