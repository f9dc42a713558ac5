"""The DER of IGC-Santé's private extensions, and of a certificate's outermost layer.

X.509 itself is parsed by cryptography; what it hands over undecoded is decoded here: an INTEGER, an
OCTET STRING of one byte, a PrintableString, a SEQUENCE OF UTF8String. Source: X.690 (8, 10).
"""

import string
from typing import Final

_BIT_STRING: Final = 0x03
_INTEGER: Final = 0x02
_OCTET_STRING: Final = 0x04
_UTF8_STRING: Final = 0x0C
_PRINTABLE_STRING: Final = 0x13
_SEQUENCE: Final = 0x30

_PRINTABLE = frozenset(string.ascii_letters + string.digits + " '()+,-./:=?")
MAXIMUM_STRINGS: Final = 64


class Malformed(Exception):
    """Bytes that are not the DER that was expected."""


def integer(der: bytes) -> int:
    """Return an INTEGER from 0 to 65535."""
    content = _only(der, _INTEGER)
    value = int.from_bytes(content, "big", signed=True)
    if not 1 <= len(content) <= 3 or not 0 <= value <= 0xFFFF:
        raise Malformed("an INTEGER from 0 to 65535 was expected")
    return value


def octet(der: bytes) -> int:
    """Return the byte of an OCTET STRING of one."""
    content = _only(der, _OCTET_STRING)
    if len(content) != 1:
        raise Malformed("an OCTET STRING of one byte was expected")
    return content[0]


def printable(der: bytes) -> str:
    """Return a PrintableString, not empty."""
    text = _only(der, _PRINTABLE_STRING).decode("latin-1")
    if not text or not set(text) <= _PRINTABLE:
        raise Malformed("a PrintableString was expected")
    return text


def utf8_strings(der: bytes) -> tuple[str, ...]:
    """Return the strings of a SEQUENCE OF UTF8String, at most MAXIMUM_STRINGS."""
    content = _only(der, _SEQUENCE)
    strings: list[str] = []
    offset = 0
    while offset < len(content):
        if len(strings) == MAXIMUM_STRINGS:
            raise Malformed(f"at most {MAXIMUM_STRINGS} strings were expected")
        tag, start, offset = _element(content, offset)
        if tag != _UTF8_STRING:
            raise Malformed("UTF8Strings were expected")
        try:
            strings.append(content[start:offset].decode("utf-8"))
        except UnicodeDecodeError:
            raise Malformed("a UTF8String is not UTF-8") from None
    return tuple(strings)


def strict_signature(der: bytes) -> bytes:
    """Return a certificate whose signature BIT STRING has no unused bits (X.690, 10.2).

    The certificate is a SEQUENCE of what is signed, the algorithm and the signature (RFC 5280,
    4.1); only the byte that counts the signature's unused bits is changed.
    """
    tag, start, end = _element(der, 0)
    if tag != _SEQUENCE or end != len(der):
        raise Malformed("one SEQUENCE was expected, and nothing after it")
    offset = start
    for expected in (_SEQUENCE, _SEQUENCE, _BIT_STRING):
        tag, start, offset = _element(der, offset)
        if tag != expected:
            raise Malformed("a SEQUENCE of two SEQUENCEs and a BIT STRING was expected")
    if offset != end or start == offset:
        raise Malformed("its signature is malformed")
    return der if der[start] == 0 else der[:start] + b"\x00" + der[start + 1 :]


def _only(der: bytes, expected: int) -> bytes:
    """Return the content of the one element that fills `der`."""
    tag, start, end = _element(der, 0)
    if tag != expected or end != len(der):
        raise Malformed(f"one element with the tag {expected:02X} was expected")
    return der[start:end]


def _element(der: bytes, offset: int) -> tuple[int, int, int]:
    """Return tag, start and end of the content of the element at `offset`; low tags only."""
    try:
        tag, length = der[offset], der[offset + 1]
        start = offset + 2
        if length & 0x80:
            octets = length & 0x7F
            if not 1 <= octets <= 2:
                raise Malformed("a length in one to three bytes was expected")
            length = int.from_bytes(der[start : start + octets])
            start += octets
    except IndexError:
        raise Malformed("it ends within an element") from None
    if start + length > len(der):
        raise Malformed("it ends within an element")
    return tag, start, start + length
