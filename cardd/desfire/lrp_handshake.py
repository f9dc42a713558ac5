"""Authentication with LRP: the challenges travel in clear, and each side proves itself by a MAC.

Sources: AN12321 table 2; data sheet of NTAG 424 DNA, 9.2.5 to 9.2.7.
"""

import hmac
import secrets

from cardd.desfire.cipher import xor
from cardd.desfire.command import Ins
from cardd.desfire.keys import DesfireKey, KeyType, encode_key_number
from cardd.desfire.lrp import Lrp
from cardd.desfire.messaging.lrp import ENCRYPTION_KEY, MAC_KEY, LrpMessaging
from cardd.errors import CardProtocolError
from cardd.secret import Secret

_CAPABILITIES = bytes.fromhex("020000000000")
"""PCDcap2, whose first byte asks for LRP."""

_LRP_MODE = 0x01
_CHALLENGE_BYTES = 16
_HANDSHAKE_BLOCKS = 1


class _LrpHandshake:
    """What both authentications share; `_begin` binds the two challenges to session keys."""

    def __init__(self, key_number: int, key: DesfireKey, *, rnd_a: bytes | None = None) -> None:
        if key.type is not KeyType.AES:
            raise ValueError(f"LRP does not take a {key.type.name} key")
        if rnd_a is not None and len(rnd_a) != _CHALLENGE_BYTES:
            raise ValueError(f"RndA has {_CHALLENGE_BYTES} bytes")
        self.key_number = key_number
        self._number = encode_key_number(key_number)
        self._key = key
        self._rnd_a = rnd_a or secrets.token_bytes(_CHALLENGE_BYTES)
        self._rnd_b = b""
        self._master = key.value

    def respond(self, challenge: bytes) -> bytes:
        """Take the mode and RndB; return RndA and the MAC of both challenges.

        Raises CardProtocolError for a card that answers without LRP: that is another authentication
        than the one asked for.
        """
        if len(challenge) != 1 + _CHALLENGE_BYTES or challenge[0] != _LRP_MODE:
            raise CardProtocolError("the card does not answer the authentication with LRP")
        self._rnd_b = challenge[1:]
        self._master = _session_master(self._key, self._rnd_a, self._rnd_b)
        return self._rnd_a + self._mac(self._rnd_a + self._rnd_b)

    def _mac(self, message: bytes) -> bytes:
        return Lrp(self._master, MAC_KEY).mac(message)

    def _check(self, proof: bytes, data: bytes) -> None:
        expected = self._mac(self._rnd_b + self._rnd_a + data)
        if not hmac.compare_digest(proof, expected):
            raise CardProtocolError("the card did not prove that it knows the key: wrong MAC")


class LrpFirstHandshake(_LrpHandshake):
    """AuthenticateLRPFirst: a new transaction. After `finish`, `picc_capabilities` is PDcap2."""

    ins = Ins.AUTHENTICATE_EV2_FIRST
    picc_capabilities = b""

    def first(self) -> bytes:
        """Return the key number and the capabilities that ask for LRP."""
        return self._number + bytes((len(_CAPABILITIES),)) + _CAPABILITIES

    def finish(self, proof: bytes) -> LrpMessaging:
        """Check the MAC and the capabilities, and open LRP messaging at counter 0."""
        if len(proof) != 2 * _CHALLENGE_BYTES:
            raise CardProtocolError(f"the card's authentication proof has {len(proof)} bytes")
        data, mac = proof[:_CHALLENGE_BYTES], proof[_CHALLENGE_BYTES:]
        self._check(mac, data)
        plaintext = Lrp(self._master, ENCRYPTION_KEY).decrypt(data, 0)
        self.picc_capabilities = plaintext[4:10]
        if plaintext[10:] != _CAPABILITIES:
            raise CardProtocolError("the card repeats other PCD capabilities than it was sent")
        return LrpMessaging(self._master, plaintext[:4], blocks=_HANDSHAKE_BLOCKS)


class LrpNonFirstHandshake(_LrpHandshake):
    """AuthenticateLRPNonFirst: another key in the same transaction."""

    ins = Ins.AUTHENTICATE_EV2_NON_FIRST

    def __init__(
        self,
        key_number: int,
        key: DesfireKey,
        session: LrpMessaging,
        *,
        rnd_a: bytes | None = None,
    ) -> None:
        super().__init__(key_number, key, rnd_a=rnd_a)
        self._session = session

    def first(self) -> bytes:
        """Return the key number."""
        return self._number

    def finish(self, proof: bytes) -> LrpMessaging:
        """Check the MAC; the transaction identifier and the counter go on."""
        self._check(proof, b"")
        return LrpMessaging(
            self._master,
            self._session.transaction_identifier,
            counter=self._session.counter,
        )


def _session_master(key: DesfireKey, rnd_a: bytes, rnd_b: bytes) -> Secret:
    """Derive the key whose updated keys protect the session."""
    context = rnd_a[:2] + xor(rnd_a[2:8], rnd_b[:6]) + rnd_b[6:] + rnd_a[8:]
    vector = bytes.fromhex("00010080") + context + bytes.fromhex("9669")
    return Secret(Lrp(key.value).mac(vector))
