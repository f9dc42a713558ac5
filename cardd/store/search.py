"""Lists: the text that a search looks through, and the cursor that leads to the next page."""

import base64
import unicodedata

from cardd.errors import Code, Refused

ESCAPE = "\\"
_CURSOR_LENGTH = 2048
_SEPARATORS = str.maketrans("", "", " -:")


def fold(text: str) -> str:
    """Return a text without case and accents, as searches compare it."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def person(staff_number: str, given_name: str | None, family_name: str | None) -> str:
    """Return what finds a person: the staff number, and the names in either order."""
    names = (given_name, family_name, given_name)
    return fold(f"{staff_number}\n{' '.join(name for name in names if name)}")


def badge(number: str, uid: bytes) -> str:
    """Return what finds a badge: its printed number and its UID in hexadecimal."""
    return fold(f"{number}\n{uid.hex()}")


def pattern(q: str) -> str:
    """Return the LIKE pattern, escaped with `ESCAPE`, of texts that contain `q`."""
    escaped = fold(q.strip())
    for special in (ESCAPE, "%", "_"):
        escaped = escaped.replace(special, ESCAPE + special)
    return f"%{escaped}%"


def compact_pattern(q: str) -> str:
    """Return the pattern for a number or UID that was typed with hyphens, colons or spaces."""
    return pattern(q.translate(_SEPARATORS) or q)


def cursor_after(listing: str, key: str) -> str:
    """Return the cursor of what follows `key` in a listing."""
    return base64.urlsafe_b64encode(f"{listing}\n{key}".encode()).decode().rstrip("=")


def key_before(listing: str, cursor: str) -> str:
    """Undo `cursor_after`; raise Refused (`invalid_request`) for a cursor of another origin."""
    key = _decoded(cursor[:_CURSOR_LENGTH]).removeprefix(f"{listing}\n")
    if "\0" in key or cursor_after(listing, key) != cursor:
        raise Refused(
            Code.INVALID_REQUEST,
            f"the cursor is not one that the list of {listing} gave; begin again without cursor",
        )
    return key


def _decoded(cursor: str) -> str:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(padded, b"-_", validate=True).decode()
    except ValueError:
        return ""
