"""Status bytes of a DESFire PICC (facts: proxmark3 protocols.h; the second byte of `91 xx`)."""

from enum import IntEnum


class Status(IntEnum):
    """What a command ended with."""

    OK = 0x00
    NO_CHANGES = 0x0C
    OUT_OF_MEMORY = 0x0E
    ILLEGAL_COMMAND = 0x1C
    INTEGRITY = 0x1E
    NO_SUCH_KEY = 0x40
    LENGTH = 0x7E
    SIGNATURE = 0x90
    PERMISSION = 0x9D
    PARAMETER = 0x9E
    APPLICATION_NOT_FOUND = 0xA0
    AUTHENTICATION = 0xAE
    MORE = 0xAF
    BOUNDARY = 0xBE
    ABORTED = 0xCA
    COUNT = 0xCE
    DUPLICATE = 0xDE
    FILE_NOT_FOUND = 0xF0


class Refusal(Exception):
    """A command ends with an error status; nothing on the chip has changed."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"{status.name} ({status:02X})")
        self.status = status
