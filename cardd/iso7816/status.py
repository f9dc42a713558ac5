"""Status words of ISO/IEC 7816-4:2020, 5.6, and the one place that gives them a name."""

from cardd.errors import CardStatusError

OK = 0x9000
END_OF_FILE = 0x6282
WRONG_CHANNEL = 0x6881
SECURITY_STATUS = 0x6982
BLOCKED = 0x6983
CONDITIONS = 0x6985
FILE_NOT_FOUND = 0x6A82
RECORD_NOT_FOUND = 0x6A83
WRONG_P1_P2 = 0x6A86
DATA_NOT_FOUND = 0x6A88
WRONG_OFFSET = 0x6B00

SW1_MORE = 0x61
SW1_WRONG_VERIFICATION = 0x63
SW1_WRONG_LE = 0x6C
SW1_WRONG_CLASS = 0x6E

_MEANINGS = {
    END_OF_FILE: "end of the file reached",
    WRONG_CHANNEL: "logical channel not supported",
    SECURITY_STATUS: "security status not satisfied",
    BLOCKED: "authentication method blocked",
    CONDITIONS: "conditions of use not satisfied",
    FILE_NOT_FOUND: "file or application not found",
    RECORD_NOT_FOUND: "record not found",
    WRONG_P1_P2: "wrong parameters P1 P2",
    DATA_NOT_FOUND: "referenced data not found",
    WRONG_OFFSET: "offset outside of the file",
}


def tries_left(status: int) -> int | None:
    """Return the X of status 63CX, None for any other status."""
    return status & 0xF if status & 0xFFF0 == 0x63C0 else None


def status_error(command: str, status: int) -> CardStatusError:
    """Return the error that says which command the card answered with which status."""
    meaning = _MEANINGS.get(status, "an error status")
    return CardStatusError(
        f"the card answered {command} with {status:04X}: {meaning}", status=status
    )
