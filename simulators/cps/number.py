"""EF.SN: the card's number in BCD.

One real file is known: issuer, eight digits, a Luhn digit, F. The one real certificate with a card
number has ten digits after the issuer's. A card here may have either; how the two forms belong
together is not known.
"""

from simulators import der

SERIAL_TAG = 0x5A
PADDED_DIGITS = 8


def serial_file(number: str) -> bytes:
    """Return the 12 bytes of EF.SN for `ISSUER/SERIAL`, of ten and of eight or ten digits."""
    issuer, _, serial = number.partition("/")
    digits = issuer + serial
    if not digits.isdigit() or len(issuer) != 10 or len(serial) not in {8, 10}:
        raise ValueError(f"{number!r} is no card number: write 8025000001/ and 8 or 10 digits")
    if len(serial) == PADDED_DIGITS:
        digits += f"{luhn(digits)}F"
    return der.tlv(SERIAL_TAG, bytes.fromhex(digits))


def luhn(digits: str) -> int:
    """Return the check digit (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 - place % 2)
        total += value - 9 if value > 9 else value
    return -total % 10
