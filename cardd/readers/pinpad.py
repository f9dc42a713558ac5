"""Readers with a keypad of their own: the PIN goes from the keys to the card, and not through us.

PC/SC part 10 (v2.02.09): the reader lists its features as control codes; VERIFY_PIN_DIRECT takes a
description of the entry and of the VERIFY command, and gives the card's status word, or its own.
Not confirmed with a reader of hardware.
"""

from dataclasses import dataclass
from enum import IntEnum

from cardd.errors import CardError, CardProtocolError, Code, Refused
from cardd.iso7816.connection import CardConnection

GET_FEATURE_REQUEST = 0x42000000 + 3400
"""CM_IOCTL_GET_FEATURE_REQUEST (part 10, 2.2) as pcsc-lite numbers control codes."""

ENTRY_S = 30
"""How long the reader waits for the keys; pcsc-lite's drivers take at most 255."""

LONGEST_FEATURES = 256
PIN_ENDED_BY_OK = 0x02
MESSAGE_COUNT = 1
FRENCH = 0x040C
_ASCII_LEFT = 0x82  # system units of bytes, PIN at position 0, left justified, ASCII (2.5.2)


class Feature(IntEnum):
    """Tags of the features (part 10, 2.3)."""

    VERIFY_PIN_DIRECT = 0x06
    MODIFY_PIN_DIRECT = 0x07


class Keyed(IntEnum):
    """What the reader answers of itself, instead of the card (part 10, 2.5.4)."""

    TIMED_OUT = 0x6400
    CANCELLED = 0x6401
    TWO_DIFFERED = 0x6402
    WRONG_LENGTH = 0x6403


@dataclass(frozen=True, slots=True)
class PinEntry:
    """What is asked for: a VERIFY without its PIN, and the PIN's form.

    `header` is CLA INS P1 P2. `minimum` and `maximum` count digits. `stored_length` is the length
    of the padded PIN, filled with `pad`; None sends the digits alone.
    """

    header: bytes
    minimum: int
    maximum: int
    stored_length: int | None = None
    pad: int = 0xFF

    def encode(self) -> bytes:
        """Return PIN_VERIFY (part 10, 2.5.2), little-endian and packed."""
        length = self.stored_length or 0
        if len(self.header) != 4 or not 0 <= length <= 15:
            raise ValueError("a header has 4 bytes, and a PIN block at most 15")
        if not 1 <= self.minimum <= self.maximum <= (length or 15):
            raise ValueError("a PIN has 1 digit or more, and no more than its block")
        block = bytes((self.pad,)) * length
        data = self.header + bytes((length,)) + block
        return (
            bytes((ENTRY_S, ENTRY_S, _ASCII_LEFT, length, 0))
            + (self.minimum << 8 | self.maximum).to_bytes(2, "little")
            + bytes((PIN_ENDED_BY_OK, MESSAGE_COUNT))
            + FRENCH.to_bytes(2, "little")
            + bytes((0, 0, 0, 0))
            + len(data).to_bytes(4, "little")
            + data
        )

    def command(self, digits: bytes) -> bytes:
        """Return the VERIFY command with the digits that were typed, for the built-in reader."""
        block = (
            digits
            if self.stored_length is None
            else digits.ljust(self.stored_length, bytes((self.pad,)))
        )
        return self.header + bytes((len(block),)) + block

    @classmethod
    def parse(cls, structure: bytes) -> "PinEntry":
        """Read what `encode` writes, for the built-in reader; raise CardProtocolError."""
        length = int.from_bytes(structure[15:19], "little")
        data = structure[19:]
        if len(structure) < 24 or len(data) != length or structure[2] != _ASCII_LEFT:
            raise CardProtocolError("this is no PIN_VERIFY of PC/SC part 10 with an ASCII PIN")
        minimum, maximum = structure[6], structure[5]
        if data[4] != len(data) - 5 or structure[3] != len(data) - 5 or len(data) > 20:
            raise CardProtocolError("the PIN block and the VERIFY command have different lengths")
        if not 1 <= minimum <= maximum <= (data[4] or 15):
            raise CardProtocolError("a PIN has 1 digit or more, and no more than its block")
        return cls(data[:4], minimum, maximum, data[4] or None, data[5] if data[4] else 0xFF)


def features(connection: CardConnection) -> dict[int, int]:
    """Return the control code of each feature that the reader announces, by its tag.

    Empty for a reader without any: most answer so, others refuse the question. Raises what
    `CardConnection.control` does where the card or the reader went away.
    """
    try:
        answer = connection.control(GET_FEATURE_REQUEST, b"")
    except CardError as error:
        if type(error) is not CardError:
            raise
        return {}
    return parse_features(answer)


def parse_features(answer: bytes) -> dict[int, int]:
    """Read the list of features (part 10, 2.2): tag, length 4, control code, big-endian.

    A list that is malformed counts as empty: such a reader's keypad must not be trusted.
    """
    if len(answer) > LONGEST_FEATURES or len(answer) % 6:
        return {}
    found = {}
    for at in range(0, len(answer), 6):
        if answer[at + 1] != 4:
            return {}
        found[answer[at]] = int.from_bytes(answer[at + 2 : at + 6])
    return found


def verify(connection: CardConnection, control_code: int, entry: PinEntry) -> int:
    """Let the person type the PIN at the reader; return the card's status word.

    Blocks for up to `ENTRY_S`. Raises Refused where the reader ended the entry: `timeout`,
    `cancelled` or `pin_malformed`; CardProtocolError for another length than 2; and as `transmit`.
    """
    answer = connection.control(control_code, entry.encode())
    if len(answer) != 2:
        raise CardProtocolError(f"a pinpad answers with 2 bytes, and {len(answer)} came")
    status = int.from_bytes(answer)
    if status == Keyed.TIMED_OUT:
        raise Refused(Code.TIMEOUT, f"nothing was typed at the reader within {ENTRY_S} s")
    if status == Keyed.CANCELLED:
        raise Refused(Code.PIN_CANCELLED, "the entry was cancelled at the reader")
    if status in {Keyed.WRONG_LENGTH, Keyed.TWO_DIFFERED}:
        raise Refused(
            Code.PIN_MALFORMED,
            f"a PIN of another length was typed than {entry.minimum} to {entry.maximum} digits",
            minimum=entry.minimum,
            maximum=entry.maximum,
        )
    return status
