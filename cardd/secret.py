"""Bytes that must not be seen: keys, PINs, session keys."""

import hmac
from typing import NoReturn


class Secret:
    """Bytes whose repr, str, format and pickle give nothing away.

    `reveal()` is the one way to the value, so that a reader of the code can find every use of it.
    Equality takes constant time for values of one length.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = bytes(value)

    def reveal(self) -> bytes:
        """Return the bytes themselves."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Secret({len(self._value)} bytes)"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not serialised")
