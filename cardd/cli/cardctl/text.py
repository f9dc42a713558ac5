"""How things read on a terminal."""

import time
from collections.abc import Mapping
from typing import Any

from cardd.client import Holder


def plain(text: str, keep: str = "") -> str:
    """Return a text without the characters that would drive a terminal: names come from outside."""
    return "".join(c if c.isprintable() or c in keep else "\N{REPLACEMENT CHARACTER}" for c in text)


def person(holder: Holder | None) -> str:
    """Return a name and the staff number."""
    if holder is None:
        return "-"
    return _named(holder.staff_number, holder.given_name, holder.family_name)


def person_of(raw: object) -> str:
    """Return the same of a holder as an event has it, whatever is in it."""
    if not isinstance(raw, Mapping) or "staff_number" not in raw:
        return ""
    return _named(raw["staff_number"], raw.get("given_name"), raw.get("family_name"))


def _named(staff_number: object, *names: object) -> str:
    name = " ".join(str(part) for part in names if part)
    return plain(f"{name} ({staff_number})" if name else str(staff_number))


def short_acr(acr: object) -> str:
    """Return the last part of an authentication context class: `one-factor`."""
    return plain(str(acr)).rpartition(":")[2]


def moment(seconds: float | None) -> str:
    """Return a time of day on its date, local."""
    if seconds is None:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def scalars(data: Mapping[str, Any]) -> str:
    """Return the simple members of an object as `name=value`."""
    return plain(
        " ".join(
            f"{name}={value}"
            for name, value in data.items()
            if isinstance(value, str | int | float | bool)
        )
    )
