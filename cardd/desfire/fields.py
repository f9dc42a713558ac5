"""Numbers as commands on files carry them: least significant byte first."""

from cardd.errors import CardProtocolError

MAX_FILES = 32
MAX_OFFSET = 0xFFFFFF
MIN_VALUE, MAX_VALUE = -(2**31), 2**31 - 1
VALUE_BYTES = 4
ISO_FILE_ID_BYTES = 2

_LENGTH_BYTES = 3
_RESERVED_ISO_FILE_IDS = (0x0000, 0x3F00, 0x3FFF, 0xFFFF)


def encode_file_number(number: int) -> bytes:
    """Return a file number, 0 to 31, as its byte."""
    if not 0 <= number < MAX_FILES:
        raise ValueError(f"a file number is 0 to {MAX_FILES - 1}, not {number}")
    return bytes((number,))


def encode_length(number: int) -> bytes:
    """Return an offset, a length or a count of records: three bytes."""
    if not 0 <= number <= MAX_OFFSET:
        raise ValueError("an offset or length has three bytes")
    return number.to_bytes(_LENGTH_BYTES, "little")


def parse_lengths(field: bytes) -> tuple[int, ...]:
    """Read numbers of three bytes each; a ValueError where the field is no whole number of them."""
    if len(field) % _LENGTH_BYTES:
        raise ValueError("an offset or length has three bytes")
    return tuple(
        int.from_bytes(field[at : at + _LENGTH_BYTES], "little")
        for at in range(0, len(field), _LENGTH_BYTES)
    )


def encode_value(value: int) -> bytes:
    """Return a value or an amount: signed, four bytes."""
    if not MIN_VALUE <= value <= MAX_VALUE:
        raise ValueError("a value has 32 bits and a sign")
    return value.to_bytes(VALUE_BYTES, "little", signed=True)


def parse_value(field: bytes) -> int:
    """Read four bytes; every value of them means something."""
    return int.from_bytes(field, "little", signed=True)


def encode_iso_file_id(identifier: int) -> bytes:
    """Return an ISO 7816-4 file identifier; ValueError for one that the standard reserves."""
    if not 0 <= identifier <= 0xFFFF or identifier in _RESERVED_ISO_FILE_IDS:
        raise ValueError(f"{identifier:#06x} is no file identifier")
    return identifier.to_bytes(ISO_FILE_ID_BYTES, "little")


def parse_file_numbers(answer: bytes) -> tuple[int, ...]:
    """Read the answer to GetFileIDs; CardProtocolError where a number is unknown or repeated."""
    if any(number >= MAX_FILES for number in answer) or len(set(answer)) != len(answer):
        raise CardProtocolError("the card lists a file twice, or one that cannot be")
    return tuple(answer)


def parse_iso_file_ids(answer: bytes) -> tuple[int, ...]:
    """Read the answer to GetISOFileIDs; CardProtocolError where one is cut or repeated."""
    if len(answer) % ISO_FILE_ID_BYTES:
        raise CardProtocolError("the answer to GET_ISO_FILE_IDS is no whole number of identifiers")
    identifiers = tuple(
        int.from_bytes(answer[at : at + ISO_FILE_ID_BYTES], "little")
        for at in range(0, len(answer), ISO_FILE_ID_BYTES)
    )
    if len(set(identifiers)) != len(identifiers):
        raise CardProtocolError("the card lists an ISO file identifier twice")
    return identifiers
