"""The number printed on a badge: 7 random characters and a check character.

Crockford's base 32 with its check symbol modulo 37. Numbers whose check symbol would be one of the
five that are not digits of the alphabet are never issued, so that all 8 characters look alike.
The number is said on the telephone; it is no secret and no credential.
"""

import secrets
from collections.abc import Callable

from cardd.errors import Code, Refused

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 8
_ALIASES = str.maketrans("OIL", "011", "- ")


def _value(characters: str) -> int:
    value = 0
    for character in characters:
        value = value * 32 + ALPHABET.index(character)
    return value


def draw(below: Callable[[int], int] = secrets.randbelow) -> str:
    """Return a new random badge number of 8 characters."""
    while True:
        payload = "".join(ALPHABET[below(32)] for _ in range(LENGTH - 1))
        check = _value(payload) % 37
        if check < 32:
            return payload + ALPHABET[check]


def parse(text: str) -> str:
    """Return a badge number as it is stored, from what a person typed.

    Case, hyphens and spaces do not count; O reads as 0, I and L as 1. Raises Refused
    (`invalid_request`) for another length or alphabet, or for a check character that is wrong.
    """
    number = text.strip().upper().translate(_ALIASES)
    if len(number) != LENGTH or any(c not in ALPHABET for c in number):
        raise Refused(
            Code.INVALID_REQUEST,
            f"a badge number has {LENGTH} characters, digits and letters without U",
        )
    if _value(number[:-1]) % 37 != ALPHABET.index(number[-1]):
        raise Refused(
            Code.INVALID_REQUEST,
            "the badge number has a typing error: its last character does not match the others",
        )
    return number
