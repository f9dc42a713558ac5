"""EV1 secure messaging: CMAC and CBC chained through one initialisation vector.

Sources: AN12757 tables 20-22 and 93, AN0945 tables 22-26 and 33. Every command and every answer
moves the initialisation vector, whether or not its MAC is sent.
"""

import hmac

from cardd.desfire.command import Command, CommunicationMode
from cardd.desfire.crc import crc32
from cardd.desfire.keys import DesfireKey
from cardd.desfire.messaging import MAC_BYTES
from cardd.desfire.messaging.enciphered import check_length, data_of, padded
from cardd.desfire.status import Status
from cardd.errors import CardProtocolError

_OK = bytes((Status.OPERATION_OK,))
_CRC_BYTES = 4


class Ev1Messaging:
    """A session after AuthenticateISO or AuthenticateAES. `iv` is zero right after it."""

    __slots__ = ("_cipher", "_iv")

    def __init__(self, session_key: DesfireKey, *, iv: bytes | None = None) -> None:
        self._cipher = session_key.cipher()
        self._iv = iv or bytes(self._cipher.block_bytes)

    def protect(self, command: Command) -> bytes:
        """Encipher the data in FULL mode, else MAC the command; only data is sent with its MAC.

        A PLAIN command sends none, but moves the vector all the same.
        """
        if command.data and command.mode is CommunicationMode.FULL:
            return command.header + self._encipher(command)
        body = command.header + command.data
        mac = self._mac(bytes((command.ins,)) + body)
        return body if command.mode is CommunicationMode.PLAIN or not command.data else body + mac

    def unprotect(self, command: Command, answer: bytes) -> bytes:
        """Decipher an answer with data in FULL mode, else check its MAC."""
        if command.answers_data and command.mode is CommunicationMode.FULL:
            return self._decipher(command, answer)
        if len(answer) < MAC_BYTES:
            raise CardProtocolError(f"the answer to {command.name} has no MAC")
        data, mac = answer[:-MAC_BYTES], answer[-MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(data + _OK)):
            raise CardProtocolError(f"the MAC of the answer to {command.name} is wrong")
        return data

    def _mac(self, message: bytes) -> bytes:
        self._iv = self._cipher.mac(message, iv=self._iv)
        return self._iv[:MAC_BYTES]

    def _encipher(self, command: Command) -> bytes:
        plaintext = command.data + crc32(bytes((command.ins,)) + command.header + command.data)
        if command.checked:
            plaintext += crc32(command.checked)
        size = self._cipher.block_bytes
        ciphertext = self._cipher.encrypt(padded(command, plaintext, size), iv=self._iv)
        self._iv = ciphertext[-size:]
        return ciphertext

    def _decipher(self, command: Command, answer: bytes) -> bytes:
        size = self._cipher.block_bytes
        check_length(command, answer, _CRC_BYTES, size)
        plaintext = self._cipher.decrypt(answer, iv=self._iv)
        self._iv = answer[-size:]
        return data_of(command, plaintext, lambda data: crc32(data + _OK), size)
