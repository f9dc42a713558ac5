"""From decoded JSON to dataclasses; what does not fit is DaemonUnavailable, never a KeyError."""

from collections.abc import Callable
from typing import Any, TypeVar

from cardd.client.errors import DaemonUnavailable

Model = TypeVar("Model")


def parsed(parse: Callable[[Any], Model], raw: Any) -> Model:
    """Return what `parse` makes of an answer."""
    try:
        return parse(raw)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DaemonUnavailable(f"the daemon's answer lacks something: {error!r}") from None


def member(raw: Any, name: str) -> Any:
    """Return a member of an answer."""
    if not isinstance(raw, dict) or name not in raw:
        raise DaemonUnavailable(f"the daemon's answer has no {name!r}")
    return raw[name]


def items(parse: Callable[[Any], Model], raw: Any) -> tuple[Model, ...]:
    """Return the items of a list."""
    found = member(raw, "items")
    if not isinstance(found, list):
        raise DaemonUnavailable("the daemon's answer holds no list")
    return tuple(parsed(parse, item) for item in found)
