"""EV2 secure messaging: AES with a transaction identifier and a command counter.

Sources: AN12343 tables 16 and 23-26, AN12196 tables 14 and 25.
"""

from cardd.desfire.cipher import BlockCipher
from cardd.desfire.keys import Ev2SessionKeys
from cardd.desfire.messaging.counted import BLOCK_BYTES, CountedMessaging

_COMMAND_LABEL = b"\xa5\x5a"
_ANSWER_LABEL = b"\x5a\xa5"


class Ev2Messaging(CountedMessaging):
    """A session after AuthenticateEV2First, or NonFirst, which keeps counter and identifier."""

    __slots__ = ("_encryption", "_mac_cipher")

    def __init__(
        self, keys: Ev2SessionKeys, transaction_identifier: bytes, *, counter: int = 0
    ) -> None:
        super().__init__(transaction_identifier, counter)
        self._encryption = BlockCipher.aes(keys.encryption)
        self._mac_cipher = BlockCipher.aes(keys.mac)

    def _full_mac(self, message: bytes) -> bytes:
        return self._mac_cipher.mac(message)

    def _encrypt(self, plaintext: bytes) -> bytes:
        return self._encryption.encrypt(plaintext, iv=self._iv(_COMMAND_LABEL))

    def _decrypt(self, ciphertext: bytes) -> bytes:
        return self._encryption.decrypt(ciphertext, iv=self._iv(_ANSWER_LABEL))

    def _iv(self, label: bytes) -> bytes:
        block = label + self.transaction_identifier + self._counter_bytes() + bytes(8)
        return self._encryption.encrypt(block, iv=bytes(BLOCK_BYTES))
