"""The record of what the KMS did: a hash-chained file of JSON lines, written before the answer.

What it finds: any line changed, removed, inserted or moved. What it cannot find alone: whole lines
cut off its end, which a later checkpoint elsewhere must show.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from cardd.clock import Clock
from cardd.errors import KmsUnavailable, StartCode, StartError
from cardd.kms.audit.lines import Head, write
from cardd.kms.audit.storage import LineFile, open_alone, read_tail

GROUP_DELAY_S = 0.05  # half of the 100 ms within which a line reaches the disk
_RETRY_S = 1.0

_log = structlog.get_logger(__name__)


class AuditFile:
    """Implements `Audit`. Thread-safe; the file is this process's until `close`."""

    def __init__(self, file: LineFile, head: Head, clock: Clock) -> None:
        self._file = file
        self._head = head
        self._clock = clock
        self._lock = threading.Lock()
        self._written = threading.Event()
        self._stopping = threading.Event()
        self._failing = False
        self._syncer = threading.Thread(target=self._sync_groups, name="audit-sync", daemon=True)
        self._syncer.start()

    def record(self, event: str, *, durable: bool = False, **facts: Any) -> None:
        """Append a line; sync it first where `durable`, else with others within 100 ms.

        Facts are strings, integers, booleans, None, or bytes (written in hexadecimal). Raises
        TypeError for any other, a Secret above all; KmsUnavailable where the line cannot be
        written, which leaves the chain as it was.
        """
        with self._lock:
            line, head = write(self._head, self._clock.now(), event, facts)
            self._failing = True
            with _explained():
                self._file.append(line, durable=durable)
            self._failing = False
            self._head = head
        if not durable:
            self._written.set()

    def ping(self) -> None:
        """Raise KmsUnavailable where the next line could not be written.

        After a failure it tries: a line `audit.resumed` says that it goes on.
        """
        if self._failing:
            self.record("audit.resumed", durable=True)
            return
        with self._lock, _explained():
            self._file.require_untouched()

    def close(self) -> None:
        """Sync what is left and let the file go. Raises OSError where the last sync fails."""
        self._stopping.set()
        self._written.set()
        self._syncer.join()
        with self._lock:
            try:
                self._file.sync()
            finally:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _sync_groups(self) -> None:
        failing = False
        while self._written.wait():
            # Cleared before the end is looked for: the other way round, `close` could fall between.
            self._written.clear()
            if self._stopping.wait(GROUP_DELAY_S):
                return
            try:
                with self._lock:
                    self._file.sync()
            except OSError as error:
                if not failing:
                    _log.error("audit.sync_failed", error=error.strerror)
                failing = True
                self._stopping.wait(_RETRY_S)
                self._written.set()
            else:
                failing = False


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KmsUnavailable(
            f"the audit cannot be written: {error.strerror}; nothing is done without it: "
            "check the disk"
        ) from error


def open_audit(path: Path, clock: Clock) -> AuditFile:
    """Open the audit file, or begin one, as its only writer.

    The end of the chain is verified. The torn line of a power cut, which nobody was answered for
    once it had to be durable, is replaced by a line `audit.recovered` that shows it.
    Raises StartError: `audit_damaged`, `audit_unavailable`.
    """
    descriptor = open_alone(path)
    try:
        tail = read_tail(path, descriptor)
        file = LineFile(path, descriptor, tail.end)
        head = tail.head
        if tail.torn:
            line, head = write(head, clock.now(), "audit.recovered", tail.description())
            file.recover(line)
    except OSError as error:
        os.close(descriptor)
        raise StartError(
            StartCode.AUDIT_UNAVAILABLE,
            f"the audit file {path} cannot be recovered: {error.strerror}; check the disk",
        ) from error
    except StartError:
        os.close(descriptor)
        raise
    return AuditFile(file, head, clock)
