"""When checkpoints are made: every so many lines, every so many minutes, at start and at stop."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import structlog

from cardd.clock import Clock
from cardd.errors import CarddError
from cardd.kms.audit import checkpoints
from cardd.kms.audit.recording import AuditFile
from cardd.kms.ports import AssertionSigner

_log = structlog.get_logger(__name__)


class Witness(Protocol):
    """Somebody elsewhere who keeps the checkpoints. Thread-safe; returns at once."""

    def tell(self, jws: str) -> None:
        """Give a checkpoint to be kept; where the witness is away, it gets it later."""

    def trouble(self) -> str | None:
        """Return a sentence where checkpoints wait for the witness; None where it has them all."""


class NoWitness:
    """Implements `Witness` where none is configured."""

    def tell(self, jws: str) -> None:
        """Do nothing."""

    def trouble(self) -> str | None:
        """Return None."""
        return None


class Checkpointer:
    """Makes the checkpoints of an audit file, in a thread of its own. A context manager.

    `prepare` is called before each, to record what a checkpoint shall cover. A failure of either is
    logged, shown by `trouble`, and tried again: the key service goes on without.
    """

    def __init__(
        self,
        audit: AuditFile,
        signer: AssertionSigner,
        clock: Clock,
        *,
        witness: Witness,
        every_lines: int,
        every_s: float,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self._audit = audit
        self._signer = signer
        self._clock = clock
        self._witness = witness
        self._every_lines = every_lines
        self._every_s = every_s
        self._prepare = prepare
        self._covered = 0
        self._tried = 0
        self._failures: dict[str, str] = {}
        self._due = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="audit-checkpoints", daemon=True)

    def trouble(self) -> tuple[str, ...]:
        """Return sentences on what does not work: the checkpoints, the witness."""
        away = self._witness.trouble()
        return (*self._failures.values(), *([away] if away else ()))

    def checkpoint(self) -> None:
        """Make one now, of all lines there are. Raises CarddError where that is not possible."""
        head = self._audit.head
        jws = checkpoints.sign(self._signer, self._audit.chain, head, self._clock.now())
        self._audit.record(checkpoints.CHECKPOINT, durable=True, jws=jws)
        self._covered, self._tried = head.seq, head.seq + 1
        # Told only what is on the disk: a witness that knows more than the file cries wolf.
        self._witness.tell(jws)

    def __enter__(self) -> Self:
        self._audit.tell_growth(self._grown)
        self._try()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping = True
        self._due.set()
        self._thread.join()
        self._try()

    def _grown(self, seq: int) -> None:
        if seq - self._tried >= self._every_lines:
            self._due.set()

    def _run(self) -> None:
        while True:
            self._due.wait(self._every_s)
            if self._stopping:
                return
            self._due.clear()
            # The last line may be a checkpoint's own: it says nothing new.
            if self._audit.head.seq > self._covered + 1:
                self._try()

    def _try(self) -> None:
        self._tried = self._audit.head.seq
        self._attempt("mark", self._prepare)
        self._attempt("checkpoint", self.checkpoint)

    def _attempt(self, what: str, action: Callable[[], None]) -> None:
        try:
            action()
        except CarddError as error:
            if what not in self._failures:
                _log.error("audit.attempt_failed", what=what, why=str(error))
            self._failures = self._failures | {what: f"no {what} of the audit was made: {error}"}
        else:
            self._failures = {name: why for name, why in self._failures.items() if name != what}
