"""How a program says that it cannot start."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cardd.errors import CarddError

# sysexits.h: something in the configuration is wrong. systemd can be told not to retry it.
EX_CONFIG = 78


@contextmanager
def reporting_start_errors(program: str) -> Iterator[None]:
    """End the process with `PROGRAM: CODE: message` on standard error and status 78."""
    try:
        yield
    except CarddError as error:
        print(f"{program}: {error.code}: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(EX_CONFIG)
