"""The challenges that a CPS must sign: random, each used once, by the client that asked for it."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cardd.errors import Code, Refused

LIFETIME_S = 60
MAXIMUM_PER_CLIENT = 64
_BYTES = 32


@dataclass(frozen=True, slots=True)
class _Unspent:
    client: str
    issued_at: int
    deadline: float


class Challenges:
    """The table of unspent challenges. Thread-safe; it holds at most 64 of each client.

    They live in this process alone: whoever issued one is who can accept it.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._unspent: dict[str, _Unspent] = {}

    def issue(self, client: str, now: int) -> str:
        """Return a new challenge of 256 bits, in base64url, that was issued at `now`.

        Raises Refused (`rate_limited`) where its client has too many that are unspent.
        """
        value = secrets.token_urlsafe(_BYTES)
        at = self._monotonic()
        with self._lock:
            self._drop_expired(at)
            mine = [other.deadline for other in self._unspent.values() if other.client == client]
            if len(mine) < MAXIMUM_PER_CLIENT:
                self._unspent[value] = _Unspent(client, now, at + LIFETIME_S)
                return value
        raise Refused(
            Code.RATE_LIMITED,
            f"{client} has {len(mine)} challenges that no card has signed; wait for them to expire",
            retry_after=max(1, round(min(mine) - at)),
        )

    def spend(self, client: str, value: str) -> int:
        """Take a challenge out of the table; return the Unix second at which it was issued.

        Raises Refused (`timeout`) where it is spent, too old, another client's or nobody's. Another
        client's stays as it is.
        """
        with self._lock:
            self._drop_expired(self._monotonic())
            unspent = self._unspent.get(value)
            if unspent is None or unspent.client != client:
                raise Refused(
                    Code.TIMEOUT,
                    "the proof's challenge is not one that waits here: it is spent, too old or "
                    "another's; authenticate again",
                )
            del self._unspent[value]
        return unspent.issued_at

    def _drop_expired(self, at: float) -> None:
        for value in [v for v, unspent in self._unspent.items() if unspent.deadline <= at]:
            del self._unspent[value]
