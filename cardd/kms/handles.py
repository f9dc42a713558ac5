"""Procedures under way: who may continue which, and for how long."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cardd.errors import Code, Refused
from cardd.iso7816.exchange import Answers, Commands
from cardd.kms.messages import Outcome
from cardd.kms.procedures.ports import Commit, Driven

STEP_TIMEOUT_S = 3.0
MAXIMUM_PER_CLIENT = 64


@dataclass(slots=True)
class Running:
    """One procedure under way. `expected` is how many answers its last step asked for.

    `commit` stores a commit point; `steps` are those that there are. `name` and `uid` say in the
    audit what was refused. `connection` is the one that it lives and dies with.
    """

    client: str
    procedure: Driven[Outcome]
    commit: Callable[[str], None]
    steps: tuple[str, ...] = ()
    name: str = ""
    uid: bytes = b""
    connection: str = ""
    deadline: float = 0.0
    expected: int = 0
    step: str | None = None

    @property
    def progress(self) -> tuple[int, int] | None:
        """How many commit points are passed, and of how many; None before the first."""
        return None if self.step is None else (self.steps.index(self.step), len(self.steps))

    def check(self, answers: Answers) -> None:
        """End the procedure where another number of answers came than commands were sent."""
        if len(answers) != self.expected:
            self.procedure.close()
            raise Refused(
                Code.INVALID_REQUEST,
                f"{self.expected} answers were expected and {len(answers)} came",
            )

    def advance(self, answers: Answers) -> Commands | Outcome:
        """Feed the card's answers; pass commit points; return commands or the outcome."""
        try:
            item = self.procedure.send(answers) if self.expected else next(self.procedure)
            while isinstance(item, Commit):
                self.commit(item.step)
                self.step = item.step
                item = self.procedure.send(())
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome
        self.expected = len(item)
        return item


class Handles:
    """The table of running procedures. A handle is used by one call at a time, in strict turn.

    It bounds a crude relay: the next answers must come within `STEP_TIMEOUT_S`.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._running: dict[str, Running] = {}

    def keep(self, running: Running) -> str:
        """Put a procedure that waits for answers into the table, under a new handle.

        Raises Refused (`rate_limited`) where its client has too many.
        """
        running.deadline = self._monotonic() + STEP_TIMEOUT_S
        handle = secrets.token_urlsafe(16)
        with self._lock:
            self._drop_expired()
            mine = sum(other.client == running.client for other in self._running.values())
            if mine < MAXIMUM_PER_CLIENT:
                self._running[handle] = running
                return handle
        running.procedure.close()
        raise Refused(
            Code.RATE_LIMITED, f"{running.client} has {mine} procedures under way", retry_after=3
        )

    def take(self, client: str, handle: str, connection: str = "") -> Running:
        """Take a procedure out of the table; Refused where it is another's, spent or too old."""
        with self._lock:
            self._drop_expired()
            running = self._running.get(handle)
            if running is None or (running.client, running.connection) != (client, connection):
                raise Refused(
                    Code.TIMEOUT, "this exchange is over or took too long; present the badge again"
                )
            del self._running[handle]
        return running

    def abort(self, client: str, handle: str, connection: str = "") -> None:
        """Forget a procedure of this client and connection."""
        with self._lock:
            running = self._running.get(handle)
            if running is None or (running.client, running.connection) != (client, connection):
                return
            del self._running[handle]
            running.procedure.close()

    def drop(self, connection: str) -> None:
        """Forget every procedure of a connection, which is no more."""
        with self._lock:
            for handle in [h for h, r in self._running.items() if r.connection == connection]:
                self._running.pop(handle).procedure.close()

    def _drop_expired(self) -> None:
        now = self._monotonic()
        for handle in [h for h, running in self._running.items() if running.deadline < now]:
            self._running.pop(handle).procedure.close()
