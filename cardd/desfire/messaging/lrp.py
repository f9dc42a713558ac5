"""LRP secure messaging: EV2's, with the leakage resilient primitive in the place of AES.

Sources: AN12304, AN12321, and the data sheet of NTAG 424 DNA, 9.2. The enciphered blocks of a
session are numbered in both directions together: a number serves once.
"""

from cardd.desfire.lrp import Lrp
from cardd.desfire.messaging.counted import BLOCK_BYTES, CountedMessaging
from cardd.secret import Secret

MAC_KEY, ENCRYPTION_KEY = 0, 1
"""Which updated key of a session's master key serves what."""


class LrpMessaging(CountedMessaging):
    """A session after AuthenticateLRPFirst, or NonFirst, which keeps counter and identifier.

    `blocks` is how many blocks were enciphered before.
    """

    __slots__ = ("_blocks", "_encryption", "_mac_primitive")

    def __init__(
        self, master: Secret, transaction_identifier: bytes, *, counter: int = 0, blocks: int = 0
    ) -> None:
        super().__init__(transaction_identifier, counter)
        self._mac_primitive = Lrp(master, MAC_KEY)
        self._encryption = Lrp(master, ENCRYPTION_KEY)
        self._blocks = blocks

    def _full_mac(self, message: bytes) -> bytes:
        return self._mac_primitive.mac(message)

    def _encrypt(self, plaintext: bytes) -> bytes:
        return self._encryption.encrypt(plaintext, self._take(plaintext))

    def _decrypt(self, ciphertext: bytes) -> bytes:
        return self._encryption.decrypt(ciphertext, self._take(ciphertext))

    def _take(self, text: bytes) -> int:
        first = self._blocks
        self._blocks += len(text) // BLOCK_BYTES
        return first
