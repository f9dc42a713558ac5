"""What EV2 and LRP secure messaging share: a transaction identifier and a command counter.

Sources: AN12343 tables 23-26; data sheet of NTAG 424 DNA, 9.1 and 9.2.
"""

import hmac
from abc import ABC, abstractmethod

from cardd.desfire.cipher import pad_80
from cardd.desfire.command import Command, CommunicationMode
from cardd.desfire.crc import crc32
from cardd.desfire.messaging import MAC_BYTES
from cardd.desfire.status import Status
from cardd.errors import CardProtocolError

_COUNTER_LIMIT = 0xFFFF
BLOCK_BYTES = 16


class CountedMessaging(ABC):
    """A session in a transaction. Its MAC covers the identifier and the counter."""

    __slots__ = ("counter", "transaction_identifier")

    def __init__(self, transaction_identifier: bytes, counter: int) -> None:
        self.transaction_identifier = transaction_identifier
        self.counter = counter

    @abstractmethod
    def _full_mac(self, message: bytes) -> bytes:
        """Return the MAC of a message, 16 bytes."""

    @abstractmethod
    def _encrypt(self, plaintext: bytes) -> bytes:
        """Encipher the whole blocks of a command."""

    @abstractmethod
    def _decrypt(self, ciphertext: bytes) -> bytes:
        """Decipher the whole blocks of an answer."""

    def protect(self, command: Command) -> bytes:
        """Encipher the data in FULL mode and append the MAC; PLAIN mode only counts."""
        if self.counter >= _COUNTER_LIMIT:
            raise CardProtocolError("the command counter is spent; authenticate again")
        if command.mode is CommunicationMode.PLAIN:
            return command.header + command.data
        data = command.data
        if data and command.mode is CommunicationMode.FULL:
            plaintext = data + (crc32(command.checked) if command.checked else b"")
            data = self._encrypt(pad_80(plaintext, BLOCK_BYTES))
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
            return self._deciphered(command, data)
        return data

    def _mac(self, first: int, body: bytes) -> bytes:
        message = bytes((first,)) + self._counter_bytes() + self.transaction_identifier + body
        return self._full_mac(message)[1::2]

    def _counter_bytes(self) -> bytes:
        return self.counter.to_bytes(2, "little")

    def _deciphered(self, command: Command, ciphertext: bytes) -> bytes:
        if len(ciphertext) % BLOCK_BYTES:
            raise CardProtocolError(f"the answer to {command.name} is not whole blocks")
        plaintext = self._decrypt(ciphertext)
        data = plaintext.rstrip(b"\x00")[:-1]
        if pad_80(data, BLOCK_BYTES) != plaintext:
            raise CardProtocolError(f"the padding of the answer to {command.name} is wrong")
        return data
