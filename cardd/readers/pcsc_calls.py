"""How pyscard is called: its return codes, its one exception, and patience with other programs."""

import random
import time
from collections.abc import Callable
from typing import Any

from cardd.readers import pcsc_errors as codes
from cardd.readers.pcsc_errors import error_of

BUSY_LIMIT_S = 2.0
BUSY_PAUSE_S = (0.01, 0.05)


def result_of(function: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    """Call pyscard; return the code, and what else it returned."""
    try:
        result = function(*arguments)
    except SystemError:
        # pyscard fails so when pcscd goes away between two of its own calls.
        return codes.E_NO_SERVICE, None
    if isinstance(result, int):
        return result & 0xFFFFFFFF, None
    code, *values = result
    return code & 0xFFFFFFFF, values[0] if len(values) == 1 else values


def check(code: int, function: str) -> None:
    """Raise what a code means, unless it is SUCCESS."""
    if code != codes.SUCCESS:
        raise error_of(code, function)


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call pyscard; return what it returned beside its code, or raise what the code means."""
    code, value = result_of(function, *arguments)
    check(code, function.__name__)
    return value


def patiently(function: Callable[..., Any], *arguments: Any, only_sharing: bool = False) -> Any:
    """Call pyscard, again and again for 2 s while another program holds the card."""
    limit = time.monotonic() + BUSY_LIMIT_S
    while True:
        code, value = result_of(function, *arguments)
        if code != codes.E_SHARING_VIOLATION or time.monotonic() >= limit:
            break
        # The jitter keeps two programs from asking in step; it needs no strong randomness.
        time.sleep(random.uniform(*BUSY_PAUSE_S))  # noqa: S311
    if not only_sharing or code == codes.E_SHARING_VIOLATION:
        check(code, function.__name__)
    return value
