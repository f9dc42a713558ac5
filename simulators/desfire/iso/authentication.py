"""GET CHALLENGE, EXTERNAL AUTHENTICATE and INTERNAL AUTHENTICATE, which open an EV1 session.

The reader enciphers its own nonce and the card's; then the card another nonce of its own and one
of the reader's (proxmark3's desfirecore.c). One CBC stream runs through both cryptograms, as in
the native authentications since EV1; the session key mixes the reader's first and the card's
second nonce.
"""

import hmac
from dataclasses import dataclass

from simulators.desfire.activation import Activation
from simulators.desfire.crypto import KeyType
from simulators.desfire.iso.command import IsoCommand, IsoRefusal, StatusWord
from simulators.desfire.keys import Key, ev1_session_cipher
from simulators.desfire.messaging import Ev1Session
from simulators.desfire.status import Refusal

IMPLIED = 0x00
ALGORITHMS = {KeyType.DES: 0x02, KeyType.TRIPLE_DES: 0x04, KeyType.AES: 0x09}
OF_APPLICATION = 0x80
KEY_NUMBER_BITS = 0x1F
NONCE_LENGTHS = (8, 16)


@dataclass(frozen=True, slots=True, repr=False)
class _External:
    """The reader has shown that it has the key."""

    p2: int
    rnd_a: bytes
    last_block: bytes


class IsoAuthentication:
    """Keeps what one command of an authentication leaves to the next."""

    def __init__(self) -> None:
        self._challenge: bytes | None = None
        self._external: _External | None = None

    def forget(self) -> None:
        """Break an authentication off."""
        self._challenge = self._external = None

    def get_challenge(self, activation: Activation, command: IsoCommand) -> bytes:
        """Return as many random bytes as the nonces of the key to come have."""
        self.forget()
        activation.session = None
        command.require_no_data()
        if command.p1 or command.p2:
            raise IsoRefusal(StatusWord.PARAMETERS)
        if command.le not in NONCE_LENGTHS:
            raise IsoRefusal(StatusWord.LENGTH)
        self._challenge = activation.rng(command.le)
        return self._challenge

    def external(self, activation: Activation, command: IsoCommand) -> bytes:
        """Check that the reader has the key: its nonce, then the challenge, enciphered."""
        challenge = self._challenge
        self.forget()
        if challenge is None:
            raise IsoRefusal(StatusWord.CONDITIONS)
        key = _key(activation, command)
        size = key.type.nonce_bytes
        if len(challenge) != size or len(command.data) != 2 * size:
            raise IsoRefusal(StatusWord.LENGTH)
        plain = key.cipher.decrypt(command.data, key.cipher.zero_iv)
        if not hmac.compare_digest(plain[size:], challenge):
            raise IsoRefusal(StatusWord.SECURITY)
        last_block = command.data[-key.type.block_bytes :]
        self._external = _External(command.p2, plain[:size], last_block)
        return b""

    def internal(self, activation: Activation, command: IsoCommand) -> bytes:
        """Show that the card has the key too, and open the session."""
        external = self._external
        self.forget()
        if external is None or external.p2 != command.p2:
            raise IsoRefusal(StatusWord.CONDITIONS)
        key = _key(activation, command)
        if len(command.data) != key.type.nonce_bytes:
            raise IsoRefusal(StatusWord.LENGTH)
        rnd_b = activation.rng(key.type.nonce_bytes)
        answer = key.cipher.encrypt(rnd_b + command.data, external.last_block)
        cipher = ev1_session_cipher(key, external.rnd_a, rnd_b)
        activation.session = Ev1Session(command.p2 & KEY_NUMBER_BITS, cipher)
        return answer


def _key(activation: Activation, command: IsoCommand) -> Key:
    """Return the key that P2 names, of the algorithm that P1 names or implies."""
    level = 0 if activation.at_picc else OF_APPLICATION
    number = command.p2 & KEY_NUMBER_BITS
    if command.p2 != level | number:
        raise IsoRefusal(StatusWord.PARAMETERS)
    try:
        key = activation.key(number)
    except Refusal as refusal:
        raise IsoRefusal(StatusWord.PARAMETERS) from refusal
    if command.p1 not in {IMPLIED, ALGORITHMS[key.type]}:
        raise IsoRefusal(StatusWord.PARAMETERS)
    return key
