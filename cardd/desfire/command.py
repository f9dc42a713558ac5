"""The commands of a DESFire, and one command as secure messaging sees it."""

from dataclasses import dataclass, field
from enum import IntEnum


class Ins(IntEnum):
    """Instruction codes, by their data-sheet names."""

    AUTHENTICATE_LEGACY = 0x0A
    AUTHENTICATE_ISO = 0x1A
    AUTHENTICATE_AES = 0xAA
    AUTHENTICATE_EV2_FIRST = 0x71
    AUTHENTICATE_EV2_NON_FIRST = 0x77
    ADDITIONAL_FRAME = 0xAF
    CHANGE_KEY = 0xC4
    GET_KEY_VERSION = 0x64
    GET_KEY_SETTINGS = 0x45
    CHANGE_KEY_SETTINGS = 0x54
    SET_CONFIGURATION = 0x5C
    GET_VERSION = 0x60
    GET_CARD_UID = 0x51
    FREE_MEM = 0x6E
    FORMAT_PICC = 0xFC
    CREATE_APPLICATION = 0xCA
    DELETE_APPLICATION = 0xDA
    GET_APPLICATION_IDS = 0x6A
    SELECT_APPLICATION = 0x5A
    CREATE_STD_DATA_FILE = 0xCD
    CREATE_BACKUP_DATA_FILE = 0xCB
    CREATE_VALUE_FILE = 0xCC
    CREATE_LINEAR_RECORD_FILE = 0xC1
    CREATE_CYCLIC_RECORD_FILE = 0xC0
    DELETE_FILE = 0xDF
    GET_FILE_IDS = 0x6F
    GET_ISO_FILE_IDS = 0x61
    GET_FILE_SETTINGS = 0xF5
    CHANGE_FILE_SETTINGS = 0x5F
    GET_DF_NAMES = 0x6D
    READ_SIGNATURE = 0x3C
    READ_DATA = 0xBD
    WRITE_DATA = 0x3D
    READ_DATA_ISO = 0xAD
    WRITE_DATA_ISO = 0x8D
    GET_VALUE = 0x6C
    CREDIT = 0x0C
    DEBIT = 0xDC
    LIMITED_CREDIT = 0x1C
    READ_RECORDS = 0xBB
    WRITE_RECORD = 0x3B
    UPDATE_RECORD = 0xDB
    CLEAR_RECORD_FILE = 0xEB
    COMMIT_TRANSACTION = 0xC7
    ABORT_TRANSACTION = 0xA7


class CommunicationMode(IntEnum):
    """How data travels in a session, as a file's communication settings code it."""

    PLAIN = 0x00
    MAC = 0x01
    FULL = 0x03


@dataclass(frozen=True, slots=True)
class Command:
    """A command before protection.

    `header` is never enciphered; `data` is, in FULL mode. `mode` is a file's communication mode, or
    FULL for what is always enciphered; None is every other command, which has no mode of its own:
    sessions of EV1 and later MAC it, those of D40 leave it plain.

    `checked` is what a CRC of its own follows `data` for: the new key in ChangeKey. `answer_bytes`
    are the least and the most bytes that the answer carries, protection aside. After a command that
    `ends_session`, the answer carries no MAC. Where `length_varies`, the card cannot tell where
    enciphered data ends, and every mechanism marks the end with 80h.
    """

    ins: Ins
    header: bytes = b""
    data: bytes = field(default=b"", repr=False)
    mode: CommunicationMode | None = None
    answer_bytes: tuple[int, int] = (0, 0)
    checked: bytes = field(default=b"", repr=False)
    ends_session: bool = False
    length_varies: bool = False

    @property
    def name(self) -> str:
        """Return the command's data-sheet name, for errors."""
        return self.ins.name

    @property
    def answers_data(self) -> bool:
        """Tell whether a successful answer carries data."""
        return self.answer_bytes[1] > 0
