"""The few ASN.1 values that PKCS#15 objects are made of, read as leniently as cards write them."""

from cardd.errors import CardProtocolError
from cardd.iso7816.tlv import Tlv

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
ENUMERATED = 0x0A
UTF8_STRING = 0x0C
SEQUENCE = 0x30

_LONGEST_LABEL = 64
_LONGEST_INTEGER_BYTES = 4


def integer(value: bytes) -> int:
    """Read a number that is never negative: a card's 02 01 82 means 130, not -126."""
    if not 1 <= len(value) <= _LONGEST_INTEGER_BYTES:
        raise CardProtocolError(f"a number of {len(value)} bytes is no number of PKCS#15")
    return int.from_bytes(value)


def bits(value: bytes) -> frozenset[int]:
    """Read the positions of the bits set, the first being 0.

    The count of unused bits is ignored: some cards' is wrong (OpenSC, issue 2224).
    """
    return frozenset(
        8 * index + bit
        for index, byte in enumerate(value[1:5])
        for bit in range(8)
        if byte & 0x80 >> bit
    )


def text(value: bytes) -> str:
    """Read a label of at most 64 bytes, without what is not printable."""
    read = value[:_LONGEST_LABEL].decode("utf-8", "replace")
    return "".join(character for character in read if character.isprintable()).strip()


def first(objects: tuple[Tlv, ...], tag: int) -> bytes | None:
    """Return the value of the first object with a tag."""
    return next((each.value for each in objects if each.tag == tag), None)
