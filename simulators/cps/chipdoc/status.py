"""Status words of ISO/IEC 7816-4:2020, table 6, as far as this card gives them."""

from enum import IntEnum


class Status(IntEnum):
    """What a command ended with."""

    OK = 0x9000
    TRIES_LEFT = 0x63C0
    WRONG_LENGTH = 0x6700
    CHANNEL_NOT_SUPPORTED = 0x6881
    LAST_OF_CHAIN_EXPECTED = 0x6883
    CHAINING_NOT_SUPPORTED = 0x6884
    SECURITY_NOT_SATISFIED = 0x6982
    BLOCKED = 0x6983
    CONDITIONS_NOT_SATISFIED = 0x6985
    NO_CURRENT_EF = 0x6986
    WRONG_DATA = 0x6A80
    NOT_FOUND = 0x6A82
    WRONG_PARAMETERS = 0x6A86
    REFERENCE_NOT_FOUND = 0x6A88
    WRONG_OFFSET = 0x6B00
    WRONG_LE = 0x6C00
    INSTRUCTION_NOT_SUPPORTED = 0x6D00
    CLASS_NOT_SUPPORTED = 0x6E00


class Refusal(Exception):
    """A command ends with an error status. `count` goes into its low bits: tries, a length."""

    def __init__(self, status: Status, count: int = 0) -> None:
        super().__init__(f"{status.name} ({status | count:04X})")
        self.status_word = status | count
