"""What a keystore file says: JSON, version 1, every byte of it accounted for.

`checksum` is SHA-256 over all the rest: it tells damage from a wrong passphrase before a key is
derived. `authentication` is HMAC-SHA256 under a key that only an opened slot gives: it tells
whether somebody changed the file and its checksum. A file that is not byte for byte what this
module writes is refused, so that there is one form of a keystore and no room in it.
"""

import hashlib
import hmac
import os
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from msgspec import Meta

from cardd.errors import StartCode, StartError
from cardd.kms.masters.slots import StoredSlot
from cardd.kms.masters.wrapping import Wrapped, unwrap, wrap
from cardd.kms.ports import Purpose
from cardd.secret import Secret

MAXIMUM_BYTES = 65_536
MAXIMUM_SLOTS = 8
MAXIMUM_KEYS = 64
MAXIMUM_GENERATION = 255  # it is the version of a badge's key, one byte
SEAL = "seal"
ASSERTION = "assertion"
_AUTHENTICATION_CONTEXT = b"cardd keystore authentication v1"
_DIGEST_BYTES = 32

_Id = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
_Digest = Annotated[bytes, Meta(max_length=_DIGEST_BYTES)]
KeyUse = Literal["picc", "app-master", "authenticate", "transport", "registry", "seal", "assertion"]
State = Literal["next", "current", "previous"]


class WrappedKey(Wrapped, frozen=True, kw_only=True):
    """A key under the KEK; the description is authenticated with it, so that none can be swapped.

    `purpose` is that of a master, or `seal` (AES-256) or `assertion` (ES256, PKCS #8 DER).
    """

    id: _Id
    purpose: KeyUse
    generation: Annotated[int, Meta(ge=1, le=MAXIMUM_GENERATION)]
    state: State


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file. `counter` grows by one with each change."""

    format: Literal["cardd-keystore"] = "cardd-keystore"
    version: Literal[1] = 1
    id: _Id
    counter: Annotated[int, Meta(ge=1, le=2**53)]
    slots: Annotated[tuple[StoredSlot, ...], Meta(min_length=1, max_length=MAXIMUM_SLOTS)]
    keys: Annotated[tuple[WrappedKey, ...], Meta(max_length=MAXIMUM_KEYS)]
    authentication: _Digest = b""
    checksum: _Digest = b""


_LENGTHS = {purpose.value: 16 for purpose in Purpose} | {SEAL: 32}


def new_id() -> str:
    """Return a random 128-bit identifier of a keystore or of a key in it, in hexadecimal."""
    return os.urandom(16).hex()


def new_key(
    envelope_id: str,
    kek: Secret,
    purpose: KeyUse,
    key: Secret,
    *,
    generation: int = 1,
    state: State = "current",
) -> WrappedKey:
    """Wrap a key, by default as the current one of its purpose."""
    description = WrappedKey(id=new_id(), purpose=purpose, generation=generation, state=state)
    return wrap(description, kek, key, envelope_id)


def restated_key(
    envelope_id: str, kek: Secret, entry: WrappedKey, key: Secret, state: State
) -> WrappedKey:
    """Wrap a key again, in another state."""
    return wrap(msgspec.structs.replace(entry, state=state), kek, key, envelope_id)


def encode(envelope: Envelope, kek: Secret) -> bytes:
    """Return the bytes of the file, authenticated under the KEK."""
    bare = msgspec.structs.replace(envelope, authentication=b"", checksum=b"")
    authenticated = msgspec.structs.replace(bare, authentication=_authentication(bare, kek))
    return _text(msgspec.structs.replace(authenticated, checksum=_checksum(authenticated)))


def decode(content: bytes, origin: str) -> Envelope:
    """Parse the bytes of a file; raise StartError (`keystore_damaged`). Nothing is trusted yet."""
    if len(content) > MAXIMUM_BYTES:
        raise damaged(origin, f"it is larger than {MAXIMUM_BYTES} bytes")
    try:
        envelope = msgspec.json.decode(content, type=Envelope)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise damaged(origin, "it is not a keystore of version 1") from None
    bare = msgspec.structs.replace(envelope, checksum=b"")
    intact = hmac.compare_digest(_checksum(bare), envelope.checksum)
    if not intact or _text(envelope) != content:
        raise damaged(origin, "its checksum is wrong")
    return envelope


def open_keys(envelope: Envelope, kek: Secret, origin: str) -> dict[WrappedKey, Secret]:
    """Verify the whole envelope under its KEK and return its keys.

    Raises StartError (`keystore_damaged`) for any change, a key of a wrong length, a key that is
    there twice, and a purpose without exactly one current key.
    """
    bare = msgspec.structs.replace(envelope, authentication=b"", checksum=b"")
    if not hmac.compare_digest(_authentication(bare, kek), envelope.authentication):
        raise damaged(origin, "somebody changed it: its authentication is wrong")
    keys: dict[WrappedKey, Secret] = {}
    for entry in envelope.keys:
        key = unwrap(entry, kek, envelope.id)
        if key is None or len(key) != _LENGTHS.get(entry.purpose, len(key)):
            raise damaged(origin, f"its {entry.purpose} key {entry.generation} does not open")
        keys[entry] = key
    _check_complete(envelope, origin)
    return keys


def damaged(origin: str, reason: str) -> StartError:
    """Return the error for a keystore that is not as it was written."""
    return StartError(
        StartCode.KEYSTORE_DAMAGED,
        f"the keystore {origin} is damaged: {reason}; restore it from its backup",
    )


def _check_complete(envelope: Envelope, origin: str) -> None:
    names = [(entry.purpose, entry.generation) for entry in envelope.keys]
    if len(set(names)) != len(names):
        raise damaged(origin, "a key is there twice")
    current = sorted(entry.purpose for entry in envelope.keys if entry.state == "current")
    if current != sorted([*_LENGTHS, ASSERTION]):
        raise damaged(origin, "it does not have one current key for each purpose")


def _authentication(bare: Envelope, kek: Secret) -> bytes:
    key = HKDFExpand(SHA256(), _DIGEST_BYTES, _AUTHENTICATION_CONTEXT).derive(kek.reveal())
    return hmac.digest(key, _text(bare), "sha256")


def _checksum(unchecked: Envelope) -> bytes:
    return hashlib.sha256(_text(unchecked)).digest()


def _text(envelope: Envelope) -> bytes:
    return msgspec.json.format(msgspec.json.encode(envelope), indent=2) + b"\n"
