"""The authentication of GET CHALLENGE, EXTERNAL AUTHENTICATE and INTERNAL AUTHENTICATE.

The card sends a challenge, the reader answers E(own || card's) and sends a second challenge in
clear, the card answers E(its second || reader's second); one CBC chain over both cryptograms, and
the session key of AuthenticateISO or AuthenticateAES from the reader's first and the card's second
number. Source: proxmark3; not confirmed on a card.
"""

import hmac
import secrets

from cardd.desfire.keys import DesfireKey, ev1_session_key
from cardd.desfire.messaging.ev1 import Ev1Messaging
from cardd.errors import CardProtocolError


class IsoHandshake:
    """One attempt: `respond`, then send `challenge`, then `finish`.

    What answers need not know the key to pass `finish`: the reader's own second block is a
    cryptogram of a number that the other side can compute, and a card that sends it back, with a
    first block to suit, decrypts to the challenge. It cannot know the session key. Hence nobody is
    authenticated before the first answer of the session whose MAC verifies.
    """

    def __init__(self, key: DesfireKey, *, challenges: tuple[bytes, bytes] | None = None) -> None:
        size = key.type.challenge_bytes
        first, second = challenges or (secrets.token_bytes(size), secrets.token_bytes(size))
        if len(first) != size or len(second) != size:
            raise ValueError(f"challenges for {key.type.name} have {size} bytes")
        self.challenge = second
        self._first = first
        self._key = key
        self._cipher = key.cipher()
        self._iv = bytes(self._cipher.block_bytes)

    def respond(self, challenge: bytes) -> bytes:
        """Take the card's challenge; return the cryptogram of EXTERNAL AUTHENTICATE."""
        if len(challenge) != len(self._first):
            raise CardProtocolError(f"the card's challenge has {len(challenge)} bytes")
        cryptogram = self._cipher.encrypt(self._first + challenge, iv=self._iv)
        self._iv = cryptogram[-self._cipher.block_bytes :]
        return cryptogram

    def finish(self, proof: bytes) -> Ev1Messaging:
        """Take the cryptogram of INTERNAL AUTHENTICATE; return the session's messaging.

        Raises CardProtocolError where it does not hold the reader's second number.
        """
        size = len(self.challenge)
        if len(proof) != 2 * size:
            raise CardProtocolError(f"the card's cryptogram has {len(proof)} bytes")
        plaintext = self._cipher.decrypt(proof, iv=self._iv)
        if not hmac.compare_digest(plaintext[size:], self.challenge):
            raise CardProtocolError("the card did not return the challenge under the key")
        return Ev1Messaging(ev1_session_key(self._key, self._first, plaintext[:size]))
