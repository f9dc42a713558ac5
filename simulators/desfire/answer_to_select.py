"""The ATS of a card, and the ATR that a PC/SC reader makes of it."""

MAX_ATS_BYTES = 20
INTERFACE_BYTES = 0x70
ATR_START = bytes.fromhex("3B")
ATR_PROTOCOLS = bytes.fromhex("8001")
MAX_HISTORICAL_BYTES = 15


def historical_bytes(ats: bytes) -> bytes | None:
    """Return the historical bytes of an ATS; None when it is not one (ISO 14443-4, 5.2).

    TL counts the whole, T0 says which of TA, TB and TC follow.
    """
    if len(ats) < 2 or ats[0] != len(ats) or len(ats) > MAX_ATS_BYTES:
        return None
    start = 2 + (ats[1] & INTERFACE_BYTES).bit_count()
    if len(ats) < start or len(ats) - start > MAX_HISTORICAL_BYTES:
        return None
    return ats[start:]


def answer_to_reset(ats: bytes) -> bytes:
    """Return the ATR of a contactless card (PC/SC part 3, 3.1.3.2.3.1)."""
    historical = historical_bytes(ats) or b""
    body = bytes((0x80 | len(historical),)) + ATR_PROTOCOLS + historical
    check = 0
    for byte in body:
        check ^= byte
    return ATR_START + body + bytes((check,))
