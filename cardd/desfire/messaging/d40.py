"""D40 secure messaging: what the first DESFire has, and later ones keep for it.

It protects the data of files, new keys and settings, and nothing else: neither the command nor its
header, nor an answer that is only a status. Nothing is chained from one command to the next, so a
recorded answer to the same question passes within its session. Sources: AN12757 tables 32 to 34;
the card only encrypts, so the reader sends by decryption.
"""

import hmac

from cardd.desfire.cipher import pad_zero
from cardd.desfire.command import Command, CommunicationMode
from cardd.desfire.crc import crc16
from cardd.desfire.keys import DesfireKey
from cardd.desfire.messaging.enciphered import check_length, data_of, padded
from cardd.errors import CardProtocolError

_MAC_BYTES = 4
_CRC_BYTES = 2


class D40Messaging:
    """A session after the legacy Authenticate (0Ah)."""

    __slots__ = ("_cipher",)

    def __init__(self, session_key: DesfireKey) -> None:
        self._cipher = session_key.cipher()

    def protect(self, command: Command) -> bytes:
        """Encipher the data in FULL mode, MAC it in MAC mode."""
        data = command.data
        if data and command.mode is CommunicationMode.FULL:
            data = self._encipher(command)
        elif data and command.mode is CommunicationMode.MAC:
            data += self._mac(data)
        return command.header + data

    def unprotect(self, command: Command, answer: bytes) -> bytes:
        """Decipher an answer with data in FULL mode, check its MAC in MAC mode."""
        if command.answers_data and command.mode is CommunicationMode.FULL:
            return self._decipher(command, answer)
        if command.answers_data and command.mode is CommunicationMode.MAC:
            return self._checked(command, answer)
        return answer

    def _mac(self, data: bytes) -> bytes:
        size = self._cipher.block_bytes
        cryptogram = self._cipher.encrypt(pad_zero(data, size), iv=bytes(size))
        return cryptogram[-size:][:_MAC_BYTES]

    def _checked(self, command: Command, answer: bytes) -> bytes:
        # Without data there is no last block to take a MAC from.
        if len(answer) <= _MAC_BYTES:
            raise CardProtocolError(f"the answer to {command.name} has no data with a MAC")
        data, mac = answer[:-_MAC_BYTES], answer[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(data)):
            raise CardProtocolError(f"the MAC of the answer to {command.name} is wrong")
        return data

    def _encipher(self, command: Command) -> bytes:
        plaintext = command.data + crc16(command.data)
        if command.checked:
            plaintext += crc16(command.checked)
        size = self._cipher.block_bytes
        return self._cipher.send_by_decryption(padded(command, plaintext, size))

    def _decipher(self, command: Command, answer: bytes) -> bytes:
        size = self._cipher.block_bytes
        check_length(command, answer, _CRC_BYTES, size)
        plaintext = self._cipher.decrypt(answer, iv=bytes(size))
        return data_of(command, plaintext, crc16, size)
