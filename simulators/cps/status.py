"""Status words of a CPS3 (ISO/IEC 7816-4, 5.6), and the refusal of a command with one."""

from enum import IntEnum


class Status(IntEnum):
    """What a command ended with."""

    OK = 0x9000
    END_OF_FILE = 0x6282
    WRONG_CODE = 0x63C0
    MEMORY = 0x6581
    WRONG_LENGTH = 0x6700
    LAST_OF_CHAIN = 0x6883
    NO_CHAINING = 0x6884
    SECURITY = 0x6982
    BLOCKED = 0x6983
    CONDITIONS = 0x6985
    NO_FILE_SELECTED = 0x6986
    WRONG_DATA = 0x6A80
    FILE_NOT_FOUND = 0x6A82
    NO_SPACE = 0x6A84
    WRONG_P1_P2 = 0x6A86
    REFERENCE_NOT_FOUND = 0x6A88
    WRONG_OFFSET = 0x6B00
    EXACT_LENGTH = 0x6C00
    UNKNOWN_INSTRUCTION = 0x6D00
    UNKNOWN_CLASS = 0x6E00


class Refusal(Exception):
    """A command ends with an error status. `status` is the whole word, 63C2 for instance."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:04X}")
        self.status = status
