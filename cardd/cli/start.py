"""How a program says that it cannot start."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cardd.errors import CarddError, CeremonyError, StartCode

# sysexits.h. What is wrong stays wrong until somebody mends it: systemd need not try again.
EX_CONFIG = 78

# sysexits.h. It may be right at the next try.
EX_TEMPFAIL = 75

_PASSING = frozenset(
    {
        StartCode.AUDIT_UNAVAILABLE,
        StartCode.KEYSTORE_UNAVAILABLE,
        StartCode.MASTERS_UNAVAILABLE,
        StartCode.REGISTRY_UNAVAILABLE,
        StartCode.REGISTRY_IN_USE,
        StartCode.SOCKET_IN_USE,
        StartCode.SOCKET_UNAVAILABLE,
    }
)


@contextmanager
def reporting_start_errors(program: str) -> Iterator[None]:
    """End the process with `PROGRAM: CODE: message` on standard error and status 78 or 75.

    A key ceremony that does not go on ends with status 1.
    """
    try:
        yield
    except CarddError as error:
        print(f"{program}: {error.code}: {error}", file=sys.stderr)  # noqa: T201
        if isinstance(error, CeremonyError):
            sys.exit(1)
        sys.exit(EX_TEMPFAIL if error.code in _PASSING else EX_CONFIG)
