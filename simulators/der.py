"""DER values, written (ITU-T X.690, 8.1 and 10), as private extensions and PKCS#15 need them.

Simulated cards and their PKI write; nothing here reads.
"""

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OID = 0x01, 0x02, 0x03, 0x04, 0x06
UTF8_STRING, PRINTABLE_STRING, SEQUENCE, SET = 0x0C, 0x13, 0x30, 0x31


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return a value of `tag` (one byte, or two as in BF81) with `parts` as its content."""
    content = b"".join(parts)
    return tag.to_bytes(1 if tag < 0x100 else 2) + _length(len(content)) + content


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes((size,))
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((0x80 | len(octets),)) + octets


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE."""
    return tlv(SEQUENCE, *parts)


def context(number: int, *parts: bytes) -> bytes:
    """Return a constructed context-specific value `[number]`."""
    return tlv(0xA0 | number, *parts)


def boolean(value: bool) -> bytes:
    """Return a BOOLEAN."""
    return tlv(BOOLEAN, b"\xff" if value else b"\x00")


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Return a non-negative INTEGER."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1))


def octets(value: bytes, tag: int = OCTET_STRING) -> bytes:
    """Return an OCTET STRING."""
    return tlv(tag, value)


def utf8(text: str, tag: int = UTF8_STRING) -> bytes:
    """Return a UTF8String."""
    return tlv(tag, text.encode())


def printable(text: str) -> bytes:
    """Return a PrintableString; the caller keeps to its letters."""
    return tlv(PRINTABLE_STRING, text.encode("ascii"))


def named_bits(*bits: int) -> bytes:
    """Return a BIT STRING with these named bits set, without trailing zeros (X.690, 11.2.2)."""
    if not bits:
        return tlv(BIT_STRING, b"\x00")
    size = max(bits) + 1
    octet_count = (size + 7) // 8
    unused = octet_count * 8 - size
    value = sum(1 << (octet_count * 8 - 1 - bit) for bit in set(bits))
    return tlv(BIT_STRING, bytes((unused,)), value.to_bytes(octet_count))


def oid(text: str) -> bytes:
    """Return an OBJECT IDENTIFIER of its dotted form."""
    first, second, *rest = (int(arc) for arc in text.split("."))
    return tlv(OID, *(_base128(arc) for arc in (40 * first + second, *rest)))


def _base128(arc: int) -> bytes:
    groups = [arc & 0x7F]
    while arc := arc >> 7:
        groups.append(0x80 | (arc & 0x7F))
    return bytes(reversed(groups))
