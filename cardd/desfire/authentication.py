"""Mutual authentication: three passes, two commands, and a session at the end.

A handshake is values in, values out: `first` is the body of its command, `respond` answers the
card's challenge, `finish` checks the card's proof. One handshake serves one attempt.
"""

import hmac
import secrets
from enum import Enum
from typing import Protocol

from cardd.desfire.cipher import BlockCipher
from cardd.desfire.command import Ins
from cardd.desfire.keys import (
    DesfireKey,
    KeyType,
    encode_key_number,
    ev1_session_key,
    ev2_session_keys,
)
from cardd.desfire.messaging import SecureMessaging
from cardd.desfire.messaging.d40 import D40Messaging
from cardd.desfire.messaging.ev1 import Ev1Messaging
from cardd.desfire.messaging.ev2 import Ev2Messaging
from cardd.errors import CardProtocolError

_CAPABILITY_BYTES = 6
_IV = bytes(16)
_KEY_TYPES = {
    Ins.AUTHENTICATE_LEGACY: {KeyType.TDEA2},
    Ins.AUTHENTICATE_ISO: {KeyType.TDEA2, KeyType.TDEA3},
    Ins.AUTHENTICATE_AES: {KeyType.AES},
    Ins.AUTHENTICATE_EV2_FIRST: {KeyType.AES},
    Ins.AUTHENTICATE_EV2_NON_FIRST: {KeyType.AES},
}


class AuthenticationScheme(Enum):
    """The authentication commands that open a session by themselves."""

    LEGACY = Ins.AUTHENTICATE_LEGACY
    ISO = Ins.AUTHENTICATE_ISO
    AES = Ins.AUTHENTICATE_AES
    EV2_FIRST = Ins.AUTHENTICATE_EV2_FIRST


class Handshake(Protocol):
    """One authentication."""

    ins: Ins
    key_number: int

    def first(self) -> bytes:
        """Return the body of the first command."""

    def respond(self, challenge: bytes) -> bytes:
        """Take the card's E(RndB); return E(RndA || RndB rotated).

        Raises CardProtocolError where the challenge has the wrong length.
        """

    def finish(self, proof: bytes) -> SecureMessaging:
        """Take the card's proof; return the session.

        Raises CardProtocolError where the proof is malformed or does not hold RndA rotated: what
        answered does not know the key.
        """


class _CipherHandshake:
    """What all have in common that exchange RndA and RndB under the cipher of the key."""

    ins: Ins

    def __init__(self, key_number: int, key: DesfireKey, *, rnd_a: bytes | None = None) -> None:
        self.key_number = key_number
        self._number = encode_key_number(key_number)
        self._key = key
        self._cipher = _cipher(self.ins, key)
        self._rnd_a = _challenge(key.type, rnd_a)
        self._rnd_b = b""

    def first(self) -> bytes:
        """Return the key number."""
        return self._number


class LegacyHandshake(_CipherHandshake):
    """Authenticate of the first DESFire, with a DES or a two-key TDEA key.

    The card only encrypts, so the reader decrypts what it sends; each pass starts from a zero
    vector. Source: AN12757 table 30.
    """

    ins = Ins.AUTHENTICATE_LEGACY

    def respond(self, challenge: bytes) -> bytes:
        """Decrypt RndB; send the answer by decryption."""
        _check_length(challenge, len(self._rnd_a), "challenge")
        self._rnd_b = self._cipher.decrypt(challenge, iv=_IV[:8])
        return self._cipher.send_by_decryption(self._rnd_a + _rotated(self._rnd_b))

    def finish(self, proof: bytes) -> D40Messaging:
        """Check RndA rotated and open D40 messaging."""
        _check_length(proof, len(self._rnd_a), "proof")
        _check_proof(self._cipher.decrypt(proof, iv=_IV[:8]), self._rnd_a)
        return D40Messaging(ev1_session_key(self._key, self._rnd_a, self._rnd_b))


class Ev1Handshake(_CipherHandshake):
    """AuthenticateISO (TDEA keys) and AuthenticateAES: CBC chained over all passes.

    Sources: AN12757 table 20, AN0945 table 22.
    """

    def __init__(
        self, ins: Ins, key_number: int, key: DesfireKey, *, rnd_a: bytes | None = None
    ) -> None:
        self.ins = ins
        super().__init__(key_number, key, rnd_a=rnd_a)
        self._iv = b""

    def respond(self, challenge: bytes) -> bytes:
        """Decrypt RndB from a zero vector; encrypt on from what the card sent."""
        size = self._cipher.block_bytes
        _check_length(challenge, len(self._rnd_a), "challenge")
        self._rnd_b = self._cipher.decrypt(challenge, iv=_IV[:size])
        answer = self._cipher.encrypt(self._rnd_a + _rotated(self._rnd_b), iv=challenge[-size:])
        self._iv = answer[-size:]
        return answer

    def finish(self, proof: bytes) -> Ev1Messaging:
        """Check RndA rotated and open EV1 messaging, its vector at zero."""
        _check_length(proof, len(self._rnd_a), "proof")
        _check_proof(self._cipher.decrypt(proof, iv=self._iv), self._rnd_a)
        return Ev1Messaging(ev1_session_key(self._key, self._rnd_a, self._rnd_b))


class _Ev2Handshake(_CipherHandshake):
    """What AuthenticateEV2First and NonFirst share: AES, each pass from a zero vector."""

    def respond(self, challenge: bytes) -> bytes:
        """Decrypt RndB and encrypt the answer, both from a zero vector."""
        _check_length(challenge, len(self._rnd_a), "challenge")
        self._rnd_b = self._cipher.decrypt(challenge, iv=_IV)
        return self._cipher.encrypt(self._rnd_a + _rotated(self._rnd_b), iv=_IV)


class Ev2FirstHandshake(_Ev2Handshake):
    """AuthenticateEV2First: a new transaction (AN12343 table 16; AN12196 table 14).

    `capabilities` is PCDcap2, 0 to 6 bytes. After `finish`, `picc_capabilities` is PDcap2.
    """

    ins = Ins.AUTHENTICATE_EV2_FIRST

    def __init__(
        self,
        key_number: int,
        key: DesfireKey,
        *,
        rnd_a: bytes | None = None,
        capabilities: bytes = b"",
    ) -> None:
        super().__init__(key_number, key, rnd_a=rnd_a)
        if len(capabilities) > _CAPABILITY_BYTES:
            raise ValueError("PCDcap2 has at most 6 bytes")
        self._capabilities = capabilities
        self.picc_capabilities = b""

    def first(self) -> bytes:
        """Return the key number and PCDcap2 with its length."""
        return self._number + bytes((len(self._capabilities),)) + self._capabilities

    def finish(self, proof: bytes) -> Ev2Messaging:
        """Check TI || RndA rotated || PDcap2 || PCDcap2 and open EV2 messaging at counter 0."""
        _check_length(proof, 32, "proof")
        plaintext = self._cipher.decrypt(proof, iv=_IV)
        _check_proof(plaintext[4:20], self._rnd_a)
        self.picc_capabilities = plaintext[20:26]
        if plaintext[26:] != self._capabilities.ljust(_CAPABILITY_BYTES, b"\x00"):
            raise CardProtocolError("the card repeats other PCD capabilities than it was sent")
        keys = ev2_session_keys(self._key, self._rnd_a, self._rnd_b)
        return Ev2Messaging(keys, plaintext[:4])


class Ev2NonFirstHandshake(_Ev2Handshake):
    """AuthenticateEV2NonFirst: other keys in the same transaction (AN12196)."""

    ins = Ins.AUTHENTICATE_EV2_NON_FIRST

    def __init__(
        self,
        key_number: int,
        key: DesfireKey,
        session: Ev2Messaging,
        *,
        rnd_a: bytes | None = None,
    ) -> None:
        super().__init__(key_number, key, rnd_a=rnd_a)
        self._session = session

    def finish(self, proof: bytes) -> Ev2Messaging:
        """Check RndA rotated; the transaction identifier and the counter go on."""
        _check_length(proof, 16, "proof")
        _check_proof(self._cipher.decrypt(proof, iv=_IV), self._rnd_a)
        return Ev2Messaging(
            ev2_session_keys(self._key, self._rnd_a, self._rnd_b),
            self._session.transaction_identifier,
            counter=self._session.counter,
        )


def handshake(
    scheme: AuthenticationScheme, key_number: int, key: DesfireKey, *, rnd_a: bytes | None = None
) -> Handshake:
    """Return a new handshake. ValueError where the scheme does not go with the key's type."""
    if scheme is AuthenticationScheme.EV2_FIRST:
        return Ev2FirstHandshake(key_number, key, rnd_a=rnd_a)
    if scheme is AuthenticationScheme.LEGACY:
        return LegacyHandshake(key_number, key, rnd_a=rnd_a)
    return Ev1Handshake(scheme.value, key_number, key, rnd_a=rnd_a)


def _cipher(ins: Ins, key: DesfireKey) -> BlockCipher:
    if key.type not in _KEY_TYPES[ins]:
        raise ValueError(f"{ins.name} does not take a {key.type.name} key")
    return key.cipher()


def _challenge(key_type: KeyType, rnd_a: bytes | None) -> bytes:
    if rnd_a is None:
        return secrets.token_bytes(key_type.challenge_bytes)
    if len(rnd_a) != key_type.challenge_bytes:
        raise ValueError(f"RndA has {key_type.challenge_bytes} bytes for {key_type.name}")
    return rnd_a


def _rotated(number: bytes) -> bytes:
    return number[1:] + number[:1]


def _check_length(value: bytes, expected: int, what: str) -> None:
    if len(value) != expected:
        raise CardProtocolError(
            f"the card's authentication {what} has {len(value)} bytes; expected {expected}"
        )


def _check_proof(proof: bytes, rnd_a: bytes) -> None:
    if not hmac.compare_digest(proof, _rotated(rnd_a)):
        raise CardProtocolError("the card did not prove that it knows the key: wrong RndA")
