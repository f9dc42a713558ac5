"""The national identifier of a health professional, in the one form in which it is compared.

A CPS carries it with the digit that says of which register it is (ANS, NOS table G08): 8 and the 11
digits of an RPPS number, 0 and the 9 characters of an ADELI number, 3, 4 or 5 and the number of an
employer with its own number of the person. People write RPPS and ADELI numbers without that digit
and with spaces, and mean the same person.
"""

import re
from collections.abc import Iterable

# ADELI numbers begin with the department, which in Corsica has a letter: 2A, 2B.
_ADELI = r"[0-9][0-9AB][0-9]{7}"
_BARE = ((re.compile(r"[0-9]{11}"), "8"), (re.compile(_ADELI), "0"))


def normalise(text: str) -> str:
    """Return a national identifier with its prefix, in capitals and without white space.

    A bare RPPS number gets its 8 and a bare ADELI number its 0; any other text keeps its
    characters, so that it can only equal itself.
    """
    compact = "".join(text.split()).upper()
    for bare, prefix in _BARE:
        if bare.fullmatch(compact):
            return prefix + compact
    return compact


def normalised(texts: Iterable[str]) -> frozenset[str]:
    """Return the identifiers of one person, each once; blank ones do not count."""
    return frozenset(normalise(text) for text in texts) - {""}
