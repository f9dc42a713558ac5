"""The four authentications, card end. Each is a handshake of two frames.

AuthenticateLegacy has the card encrypt in every direction (AN12757 table 30). AuthenticateISO and
AuthenticateAES chain one CBC stream through the three cryptograms (AN0945 table 22);
AuthenticateEV2 starts each from an IV of zeros (AN12343 table 16).
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from simulators.desfire.crypto import KeyType, rotate_left
from simulators.desfire.keys import Key, ev1_session_cipher, ev2_session_ciphers
from simulators.desfire.legacy import D40Session, from_reader
from simulators.desfire.messaging import Ev1Session, Ev2Session
from simulators.desfire.status import Refusal, Status

Session = D40Session | Ev1Session | Ev2Session


class Handshake(Protocol):
    """An authentication that waits for the reader's second frame."""

    @property
    def challenge(self) -> bytes:
        """The first answer: RndB, enciphered."""

    def finish(self, frame: bytes) -> tuple[bytes, Session]:
        """Return the last answer and the session; raise Refusal if the reader has not the key."""


def require_type(key: Key, *types: KeyType) -> None:
    """Refuse an authentication that this kind of key cannot do."""
    if key.type not in types:
        raise Refusal(Status.AUTHENTICATION)


@dataclass(frozen=True, slots=True, repr=False)
class _Begun:
    """What every handshake knows once the reader has named a key."""

    key_number: int
    key: Key
    rnd_b: bytes

    @property
    def challenge(self) -> bytes:
        """The first answer: RndB, enciphered."""
        return self.key.cipher.encrypt(self.rnd_b, self.key.cipher.zero_iv)


@dataclass(frozen=True, slots=True, repr=False)
class LegacyHandshake(_Begun):
    """AuthenticateLegacy (0A), for DES and 2K3DES keys."""

    def finish(self, frame: bytes) -> tuple[bytes, D40Session]:
        """Check RndB' and answer RndA'."""
        cipher = self.key.cipher
        rnd_a = _reader_nonce(partial(from_reader, cipher), frame, self.rnd_b)
        session_cipher = ev1_session_cipher(self.key, rnd_a, self.rnd_b)
        answer = cipher.encrypt(rotate_left(rnd_a), cipher.zero_iv)
        return answer, D40Session(self.key_number, session_cipher)


@dataclass(frozen=True, slots=True, repr=False)
class Ev1Handshake(_Begun):
    """AuthenticateISO (1A) or AuthenticateAES (AA), by the key's type."""

    def finish(self, frame: bytes) -> tuple[bytes, Ev1Session]:
        """Check RndB' and answer RndA'."""
        cipher, block = self.key.cipher, self.key.cipher.block_bytes
        decipher = partial(cipher.decrypt, iv=self.challenge[-block:])
        rnd_a = _reader_nonce(decipher, frame, self.rnd_b)
        answer = cipher.encrypt(rotate_left(rnd_a), frame[-block:])
        session_cipher = ev1_session_cipher(self.key, rnd_a, self.rnd_b)
        return answer, Ev1Session(self.key_number, session_cipher)


@dataclass(frozen=True, slots=True, repr=False)
class Ev2Handshake(_Begun):
    """AuthenticateEV2First (71), or NonFirst (77), which keeps TI and counter."""

    ti: bytes
    counter: int
    pcd_capabilities: bytes | None

    def finish(self, frame: bytes) -> tuple[bytes, Ev2Session]:
        """Check RndB' and answer RndA', in the First form with TI and capabilities."""
        cipher = self.key.cipher
        rnd_a = _reader_nonce(partial(cipher.decrypt, iv=cipher.zero_iv), frame, self.rnd_b)
        plain = rotate_left(rnd_a)
        if self.pcd_capabilities is not None:
            plain = self.ti + plain + bytes(6) + self.pcd_capabilities
        ciphers = ev2_session_ciphers(self.key, rnd_a, self.rnd_b)
        session = Ev2Session(self.key_number, ciphers, self.ti, self.counter)
        return cipher.encrypt(plain, cipher.zero_iv), session


def _reader_nonce(decipher: Callable[[bytes], bytes], frame: bytes, rnd_b: bytes) -> bytes:
    size = len(rnd_b)
    if len(frame) != 2 * size:
        raise Refusal(Status.LENGTH)
    plain = decipher(frame)
    if not hmac.compare_digest(plain[size:], rotate_left(rnd_b)):
        raise Refusal(Status.AUTHENTICATION)
    return plain[:size]
