"""Brings checkpoints to a witness in a thread of its own: whoever tells it never waits."""

import threading
from collections import deque
from types import TracebackType
from typing import Protocol, Self

import structlog

MAXIMUM_WAITING = 256
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0
STOP_S = 1.0

_log = structlog.get_logger(__name__)


class Carrier(Protocol):
    """The way to a witness. Used by one thread."""

    def deliver(self, jws: str) -> None:
        """Bring a checkpoint there, within seconds; raise OSError where that fails."""

    def close(self) -> None:
        """Let go of what the way needs."""


class Delivery:
    """Implements `Witness`. A context manager: on the way out it has a second to deliver the rest.

    While the witness is away, checkpoints wait, the last `MAXIMUM_WAITING` of them: one that is
    dropped is covered by those after it, as each speaks of all lines before it.
    """

    def __init__(self, name: str, carrier: Carrier) -> None:
        self._name = name
        self._carrier = carrier
        self._waiting: deque[str] = deque(maxlen=MAXIMUM_WAITING)
        self._change = threading.Condition()
        self._failure: str | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="audit-witness", daemon=True)

    def tell(self, jws: str) -> None:
        """Let a checkpoint be brought to the witness."""
        with self._change:
            self._waiting.append(jws)
            self._change.notify_all()

    def trouble(self) -> str | None:
        """Return a sentence where the last attempt failed."""
        with self._change:
            if self._failure is None:
                return None
            return (
                f"the audit's witness {self._name} is away ({self._failure}); "
                f"{len(self._waiting)} checkpoints wait for it"
            )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._change:
            self._stopping = True
            self._change.notify_all()
        self._thread.join(STOP_S)  # one that is stuck is a daemon, and ends with the process

    def _run(self) -> None:
        retry_s = FIRST_RETRY_S
        while (jws := self._next()) is not None:
            try:
                self._carrier.deliver(jws)
            except OSError as error:
                if self._gives_up(error, retry_s):
                    break
                retry_s = min(2 * retry_s, LAST_RETRY_S)
            else:
                self._delivered(jws)
                retry_s = FIRST_RETRY_S
        self._carrier.close()

    def _next(self) -> str | None:
        """Wait for the next checkpoint; None where there is none any more."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._stopping)
            return self._waiting[0] if self._waiting else None

    def _gives_up(self, error: OSError, retry_s: float) -> bool:
        with self._change:
            if self._failure is None:
                _log.error("audit.witness_away", witness=self._name, why=_sentence(error))
            self._failure = _sentence(error)
            return self._change.wait_for(lambda: self._stopping, retry_s)

    def _delivered(self, jws: str) -> None:
        with self._change:
            # Where too many came meanwhile, it was dropped from the front already.
            if self._waiting and self._waiting[0] == jws:
                self._waiting.popleft()
            if self._failure is not None:
                _log.info("audit.witness_back", witness=self._name)
            self._failure = None


def _sentence(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
