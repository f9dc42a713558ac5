"""The ISO/IEC 7816-4 commands of a DESFire: class 00, beside its native ones.

They reach applications by DF name or file identifier and files by file identifier; data travels
plain here. Layouts: ISO/IEC 7816-4:2020 and, for what DESFire makes of it, proxmark3; the limits of
one APDU are those of the Type 4 Tag mapping (AN11004). Not confirmed on a card.
"""

from cardd.desfire.iso_handshake import IsoHandshake
from cardd.desfire.keys import DesfireKey, KeyType, encode_key_number
from cardd.desfire.messaging.ev1 import Ev1Messaging
from cardd.errors import CardProtocolError, CardStatusError
from cardd.iso7816 import status
from cardd.iso7816.apdu import CommandApdu
from cardd.iso7816.exchange import Exchange
from cardd.iso7816.transport import transceive

MASTER_FILE = 0x3F00
READ_BYTES = 59
"""What one READ BINARY asks for: the most that an EV1 answers in one frame."""
WRITE_BYTES = 52
"""What one UPDATE BINARY carries: the most that an EV1 takes in one frame."""

MAX_OFFSET = 0x7FFF
MAX_RECORD_NUMBER = 0xFF

_SELECT, _BY_DF_NAME, _BY_FILE_ID, _NO_DATA = 0xA4, 0x04, 0x00, 0x0C
_READ_BINARY, _UPDATE_BINARY = 0xB0, 0xD6
_READ_RECORD, _ONE, _FROM_ON, _APPEND_RECORD = 0xB2, 0x04, 0x05, 0xE2
_GET_CHALLENGE, _EXTERNAL_AUTHENTICATE, _INTERNAL_AUTHENTICATE = 0x84, 0x82, 0x88
_APPLICATION_KEY = 0x80
_ALGORITHMS = {KeyType.TDEA2: 0x02, KeyType.TDEA3: 0x04, KeyType.AES: 0x09}

_MEANINGS = {
    0x6282: "the file ends before the length that was asked for",
    0x6581: "the card could not write",
    0x6700: "the card expects another length",
    0x6982: "the file's access rights ask for an authentication, or the cryptogram is wrong",
    0x6985: "the file is of another type, or nothing is selected that this could act on",
    0x6A80: "the card does not take the data",
    0x6A82: "there is no application or file of that name or identifier",
    0x6A83: "there is no such record",
    0x6A84: "the file is full",
    0x6A86: "the card does not take P1 or P2",
    0x6A87: "the length does not go with P1 and P2",
    0x6B00: "the offset is outside of the file",
    0x6D00: "the card does not know the command, or not after a native one",
    0x6E00: "the card does not take the class",
}


class IsoCommands:
    """ISO 7816-4 commands, each an exchange. The card keeps what is selected; nothing is kept here.

    `read_bytes` and `write_bytes` are the most that one APDU asks for and carries. Errors:
    CardStatusError with the meaning of the status word, CardProtocolError for a malformed answer,
    ValueError for the caller's mistakes.
    """

    def __init__(self, *, read_bytes: int = READ_BYTES, write_bytes: int = WRITE_BYTES) -> None:
        if not 1 <= read_bytes <= 256 or not 1 <= write_bytes <= 255:
            raise ValueError("one APDU asks for 1 to 256 bytes and carries 1 to 255")
        self._read_bytes = read_bytes
        self._write_bytes = write_bytes

    def select_df_name(self, name: bytes) -> Exchange[bytes]:
        """SELECT an application by its DF name, 1 to 16 bytes; return the FCI, empty if none."""
        if not 1 <= len(name) <= 16:
            raise ValueError("a DF name has 1 to 16 bytes")
        return _perform("SELECT", CommandApdu(0, _SELECT, _BY_DF_NAME, 0, name, le=256))

    def select_file(self, identifier: int) -> Exchange[None]:
        """SELECT an application or a file by its identifier; MASTER_FILE is the PICC."""
        field = _field(identifier, 0xFFFF).to_bytes(2)
        yield from _perform("SELECT", CommandApdu(0, _SELECT, _BY_FILE_ID, _NO_DATA, field))

    def read_binary(self, offset: int, length: int) -> Exchange[bytes]:
        """READ BINARY of the selected data file: exactly `length` bytes, in as many as it takes."""
        if length < 1:
            raise ValueError("read at least one byte")
        data = b""
        while len(data) < length:
            at = _field(offset + len(data), MAX_OFFSET)
            part = min(self._read_bytes, length - len(data))
            command = CommandApdu(0, _READ_BINARY, at >> 8, at & 0xFF, le=part)
            data += yield from _perform_exactly("READ BINARY", command, part)
        return data

    def update_binary(self, offset: int, data: bytes) -> Exchange[None]:
        """UPDATE BINARY of the selected data file, in as many commands as it takes."""
        if not data:
            raise ValueError("write at least one byte")
        _field(offset + len(data) - 1, MAX_OFFSET)
        for begin in range(0, len(data), self._write_bytes):
            at = _field(offset + begin, MAX_OFFSET)
            part = data[begin : begin + self._write_bytes]
            yield from _perform(
                "UPDATE BINARY", CommandApdu(0, _UPDATE_BINARY, at >> 8, at & 0xFF, part)
            )

    def read_record(self, number: int, record_bytes: int) -> Exchange[bytes]:
        """READ RECORD: one record of the selected file, by the card's number."""
        p1 = _field(number, MAX_RECORD_NUMBER)
        command = CommandApdu(0, _READ_RECORD, p1, _ONE, le=_record_length(record_bytes, 1))
        return _perform_exactly("READ RECORD", command, record_bytes)

    def read_records(
        self, first: int, record_bytes: int, count: int
    ) -> Exchange[tuple[bytes, ...]]:
        """READ RECORD: `count` records from `first` on, at most 256 bytes in all."""
        total = _record_length(record_bytes, count)
        p1 = _field(first, MAX_RECORD_NUMBER)
        command = CommandApdu(0, _READ_RECORD, p1, _FROM_ON, le=total)
        data = yield from _perform_exactly("READ RECORD", command, total)
        return tuple(data[at : at + record_bytes] for at in range(0, total, record_bytes))

    def append_record(self, data: bytes) -> Exchange[None]:
        """APPEND RECORD to the selected file."""
        if not data:
            raise ValueError("write at least one byte")
        yield from _perform("APPEND RECORD", CommandApdu(0, _APPEND_RECORD, data=data))

    def get_challenge(self, count: int) -> Exchange[bytes]:
        """GET CHALLENGE: `count` random bytes of the card's, 8 or 16."""
        if count not in (8, 16):
            raise ValueError("a challenge has 8 or 16 bytes")
        command = CommandApdu(0, _GET_CHALLENGE, le=count)
        return _perform_exactly("GET CHALLENGE", command, count)

    def external_authenticate(
        self, key_number: int, key_type: KeyType, cryptogram: bytes, *, application: bool = True
    ) -> Exchange[None]:
        """EXTERNAL AUTHENTICATE: what proves the reader to the card, two challenges long."""
        if len(cryptogram) != 2 * key_type.challenge_bytes:
            raise ValueError("the cryptogram has two challenges' length")
        p1, p2 = _ALGORITHMS[key_type], _reference(key_number, application=application)
        command = CommandApdu(0, _EXTERNAL_AUTHENTICATE, p1, p2, cryptogram)
        yield from _perform("EXTERNAL AUTHENTICATE", command)

    def internal_authenticate(
        self, key_number: int, key_type: KeyType, challenge: bytes, *, application: bool = True
    ) -> Exchange[bytes]:
        """INTERNAL AUTHENTICATE: return the card's cryptogram, two challenges long."""
        if len(challenge) != key_type.challenge_bytes:
            raise ValueError(
                f"a challenge for {key_type.name} has {key_type.challenge_bytes} bytes"
            )
        p1, p2 = _ALGORITHMS[key_type], _reference(key_number, application=application)
        size = 2 * len(challenge)
        command = CommandApdu(0, _INTERNAL_AUTHENTICATE, p1, p2, challenge, le=size)
        return _perform_exactly("INTERNAL AUTHENTICATE", command, size)

    def authenticate(
        self,
        key_number: int,
        key: DesfireKey,
        *,
        application: bool = True,
        challenges: tuple[bytes, bytes] | None = None,
    ) -> Exchange[Ev1Messaging]:
        """Do all three; return the messaging of a DesfireCard's session: see `IsoHandshake`.

        The card has proved nothing before the first answer whose MAC verifies. `application` is
        False for the PICC's key; `challenges` are for published vectors alone.
        """
        attempt = IsoHandshake(key, challenges=challenges)
        challenge = yield from self.get_challenge(key.type.challenge_bytes)
        yield from self.external_authenticate(
            key_number, key.type, attempt.respond(challenge), application=application
        )
        proof = yield from self.internal_authenticate(
            key_number, key.type, attempt.challenge, application=application
        )
        return attempt.finish(proof)


def _perform(name: str, command: CommandApdu) -> Exchange[bytes]:
    response = yield from transceive(command)
    if response.status != status.OK:
        raise _status_error(name, response.status)
    if response.data and command.le is None:
        raise CardProtocolError(f"the card answered {name} with data")
    return response.data


def _perform_exactly(name: str, command: CommandApdu, length: int) -> Exchange[bytes]:
    data = yield from _perform(name, command)
    if len(data) != length:
        raise CardProtocolError(f"the answer to {name} has {len(data)} bytes; expected {length}")
    return data


def _status_error(name: str, word: int) -> CardStatusError:
    meaning = _MEANINGS.get(word, "an error status")
    return CardStatusError(
        f"the card answered {name} with {word:04X}: {meaning}", status=word, command=name
    )


def _field(number: int, most: int) -> int:
    if not 0 <= number <= most:
        raise ValueError(f"the number is 0 to {most}, not {number}")
    return number


def _record_length(record_bytes: int, count: int) -> int:
    if record_bytes < 1 or count < 1 or record_bytes * count > 256:
        raise ValueError("one READ RECORD gives 1 to 256 bytes")
    return record_bytes * count


def _reference(key_number: int, *, application: bool) -> int:
    (number,) = encode_key_number(key_number)
    return number | application * _APPLICATION_KEY
