"""What an answer to reset says about protocols (ISO/IEC 7816-3:2006, 8.2)."""


def protocols(atr: bytes) -> frozenset[int]:
    """Return the numbers T of the protocols offered; one that names none offers T=0.

    An ATR that is cut off, as none from a reader is, says what is there of it.
    """
    found = set()
    # Y1 is in T0, each further Y in the TD before it: which of TA, TB, TC and TD follow.
    at, follows = 2, atr[1] if len(atr) > 1 else 0
    while follows & 0x80:
        at += (follows >> 4 & 0x7).bit_count()
        if at >= len(atr):
            break
        follows = atr[at]
        found.add(follows & 0x0F)
        at += 1
    return frozenset(found or {0})
