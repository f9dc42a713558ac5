"""One key encrypted under another: AES-256-GCM (NIST SP 800-38D), bound to what is said of it."""

import os
from typing import Annotated, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta

from cardd.secret import Secret

_NONCE_BYTES = 12


class Wrapped(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A description, to be subclassed, with an encrypted key: ciphertext and 16-byte tag."""

    nonce: Annotated[bytes, Meta(max_length=_NONCE_BYTES)] = b""
    wrapped: Annotated[bytes, Meta(max_length=1024)] = b""


AnyWrapped = TypeVar("AnyWrapped", bound=Wrapped)


def wrap(description: AnyWrapped, key: Secret, plaintext: Secret, context: str) -> AnyWrapped:
    """Return the description with `plaintext` encrypted under `key` (32 bytes).

    Every field of the description, and `context`, are authenticated with it.
    """
    nonce = os.urandom(_NONCE_BYTES)
    ciphertext = AESGCM(key.reveal()).encrypt(
        nonce, plaintext.reveal(), _associated(description, context)
    )
    return msgspec.structs.replace(description, nonce=nonce, wrapped=ciphertext)


def unwrap(stored: Wrapped, key: Secret, context: str) -> Secret | None:
    """Return what `wrap` encrypted; None where the key is another or anything was changed."""
    if len(stored.nonce) != _NONCE_BYTES:
        return None
    try:
        return Secret(
            AESGCM(key.reveal()).decrypt(stored.nonce, stored.wrapped, _associated(stored, context))
        )
    except InvalidTag:
        return None


def _associated(description: Wrapped, context: str) -> bytes:
    bare = msgspec.structs.replace(description, nonce=b"", wrapped=b"")
    return context.encode("ascii") + b"\0" + msgspec.json.encode(bare)
