"""EV2 secure messaging: AES with a transaction identifier and a command counter.

Sources: AN12343 tables 16 and 23-26, AN12196 tables 14 and 25.
"""

import hmac

from cardd.desfire.cipher import BlockCipher, pad_80
from cardd.desfire.command import Command, CommunicationMode
from cardd.desfire.crc import crc32
from cardd.desfire.keys import Ev2SessionKeys
from cardd.desfire.messaging import MAC_BYTES
from cardd.desfire.status import Status
from cardd.errors import CardProtocolError

_COMMAND_LABEL = b"\xa5\x5a"
_ANSWER_LABEL = b"\x5a\xa5"
_COUNTER_LIMIT = 0xFFFF
_BLOCK_BYTES = 16


class Ev2Messaging:
    """A session after AuthenticateEV2First, or NonFirst, which keeps counter and identifier."""

    __slots__ = ("_encryption", "_mac_cipher", "counter", "transaction_identifier")

    def __init__(
        self, keys: Ev2SessionKeys, transaction_identifier: bytes, *, counter: int = 0
    ) -> None:
        self._encryption = BlockCipher.aes(keys.encryption)
        self._mac_cipher = BlockCipher.aes(keys.mac)
        self.transaction_identifier = transaction_identifier
        self.counter = counter

    def protect(self, command: Command) -> bytes:
        """Encipher the data in FULL mode and append the MAC; PLAIN mode only counts."""
        if self.counter >= _COUNTER_LIMIT:
            raise CardProtocolError("the command counter is spent; authenticate again")
        if command.mode is CommunicationMode.PLAIN:
            return command.header + command.data
        data = command.data
        if data and command.mode is CommunicationMode.FULL:
            data = self._encipher(command)
        body = command.header + data
        return body + self._mac(command.ins, body)

    def unprotect(self, command: Command, answer: bytes) -> bytes:
        """Check the MAC and decipher the data in FULL mode; PLAIN mode only counts."""
        self.counter += 1
        if command.mode is CommunicationMode.PLAIN:
            return answer
        if len(answer) < MAC_BYTES:
            raise CardProtocolError(f"the answer to {command.name} has no MAC")
        data, mac = answer[:-MAC_BYTES], answer[-MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(Status.OPERATION_OK, data)):
            raise CardProtocolError(f"the MAC of the answer to {command.name} is wrong")
        if data and command.mode is CommunicationMode.FULL:
            return self._decipher(command, data)
        return data

    def _mac(self, first: int, body: bytes) -> bytes:
        message = bytes((first,)) + self._counter_bytes() + self.transaction_identifier + body
        return self._mac_cipher.mac(message)[1::2]

    def _iv(self, label: bytes) -> bytes:
        block = label + self.transaction_identifier + self._counter_bytes() + bytes(8)
        return self._encryption.encrypt(block, iv=bytes(_BLOCK_BYTES))

    def _counter_bytes(self) -> bytes:
        return self.counter.to_bytes(2, "little")

    def _encipher(self, command: Command) -> bytes:
        plaintext = command.data + (crc32(command.checked) if command.checked else b"")
        return self._encryption.encrypt(
            pad_80(plaintext, _BLOCK_BYTES), iv=self._iv(_COMMAND_LABEL)
        )

    def _decipher(self, command: Command, ciphertext: bytes) -> bytes:
        if len(ciphertext) % _BLOCK_BYTES:
            raise CardProtocolError(f"the answer to {command.name} is not whole blocks")
        plaintext = self._encryption.decrypt(ciphertext, iv=self._iv(_ANSWER_LABEL))
        data = plaintext.rstrip(b"\x00")[:-1]
        if pad_80(data, _BLOCK_BYTES) != plaintext:
            raise CardProtocolError(f"the padding of the answer to {command.name} is wrong")
        return data
