"""The status a DESFire answers with: SW1 is 91h, SW2 is one of these (data sheet, status codes)."""

from enum import IntEnum

SW1 = 0x91


class Status(IntEnum):
    """SW2 of an answer, by its data-sheet name."""

    OPERATION_OK = 0x00
    NO_CHANGES = 0x0C
    OUT_OF_EEPROM_ERROR = 0x0E
    ILLEGAL_COMMAND_CODE = 0x1C
    INTEGRITY_ERROR = 0x1E
    NO_SUCH_KEY = 0x40
    LENGTH_ERROR = 0x7E
    PERMISSION_DENIED = 0x9D
    PARAMETER_ERROR = 0x9E
    APPLICATION_NOT_FOUND = 0xA0
    APPL_INTEGRITY_ERROR = 0xA1
    AUTHENTICATION_ERROR = 0xAE
    ADDITIONAL_FRAME = 0xAF
    BOUNDARY_ERROR = 0xBE
    PICC_INTEGRITY_ERROR = 0xC1
    COMMAND_ABORTED = 0xCA
    PICC_DISABLED_ERROR = 0xCD
    COUNT_ERROR = 0xCE
    DUPLICATE_ERROR = 0xDE
    EEPROM_ERROR = 0xEE
    FILE_NOT_FOUND = 0xF0
    FILE_INTEGRITY_ERROR = 0xF1

    @property
    def word(self) -> int:
        """Return the status word as `CardStatusError.status` carries it: 91xx."""
        return SW1 << 8 | self


def status_name(word: int) -> str:
    """Return the data-sheet name of a status word, or its four hexadecimal digits."""
    names = {status.word: status.name for status in Status}
    return names.get(word, f"{word:04X}")
