"""A command of ISO 7816-4, its status words, and what the native statuses become among them."""

from dataclasses import dataclass
from enum import IntEnum

from simulators.desfire.status import Status

SHORT_IDENTIFIER_BITS = 0x1F
MAX_ANSWER_BYTES = 256


class StatusWord(IntEnum):
    """What a command ended with. Which card says which for what is not confirmed throughout."""

    OK = 0x9000
    END_OF_FILE = 0x6282
    LENGTH = 0x6700
    SECURITY = 0x6982
    CONDITIONS = 0x6985
    NOT_FOUND = 0x6A82
    NO_RECORD = 0x6A83
    NO_ROOM = 0x6A84
    PARAMETERS = 0x6A86
    OFFSET = 0x6B00
    WRONG_LE = 0x6C00
    INSTRUCTION = 0x6D00


NATIVE = {
    Status.AUTHENTICATION: StatusWord.SECURITY,
    Status.PERMISSION: StatusWord.SECURITY,
    Status.INTEGRITY: StatusWord.SECURITY,
    Status.FILE_NOT_FOUND: StatusWord.NOT_FOUND,
    Status.APPLICATION_NOT_FOUND: StatusWord.NOT_FOUND,
    Status.NO_SUCH_KEY: StatusWord.PARAMETERS,
    Status.LENGTH: StatusWord.LENGTH,
    Status.BOUNDARY: StatusWord.OFFSET,
}


class IsoRefusal(Exception):
    """A command ends with an error status word; nothing on the chip has changed."""

    def __init__(self, status_word: int) -> None:
        super().__init__(f"{status_word:04X}")
        self.status_word = status_word


@dataclass(frozen=True, slots=True)
class IsoCommand:
    """A command APDU of short lengths. `le` is None without Le, and 256 for an Le of 00."""

    ins: int
    p1: int
    p2: int
    data: bytes
    le: int | None

    @classmethod
    def parse(cls, apdu: bytes) -> "IsoCommand":
        """Take a command APDU apart; raise IsoRefusal for a length that fits none."""
        if len(apdu) < 4:
            raise IsoRefusal(StatusWord.LENGTH)
        ins, p1, p2, rest = apdu[1], apdu[2], apdu[3], apdu[4:]
        if len(rest) <= 1:
            return cls(ins, p1, p2, b"", _le(rest))
        length = rest[0]
        if not length or len(rest) - 1 - length not in {0, 1}:
            raise IsoRefusal(StatusWord.LENGTH)
        return cls(ins, p1, p2, rest[1 : 1 + length], _le(rest[1 + length :]))

    def require_no_data(self) -> None:
        """Refuse data where a command has none."""
        if self.data:
            raise IsoRefusal(StatusWord.LENGTH)


def _le(field: bytes) -> int | None:
    return (field[0] or MAX_ANSWER_BYTES) if field else None
