"""The record of what the KMS did: a hash-chained file of JSON lines, written before the answer.

One replica of the key service writes a file, and its first line says which. What the chain finds:
any line changed, removed, inserted or moved. What it cannot find alone: whole lines cut off its
end, which a later checkpoint elsewhere must show.
"""

import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from cardd.clock import Clock
from cardd.errors import KmsUnavailable, StartCode, StartError
from cardd.kms.audit.gaps import Gap, Said
from cardd.kms.audit.lines import BEGUN, BrokenLine, Chain, Entry, Head, parse, write
from cardd.kms.audit.storage import LineFile, Tail, open_alone, read_tail

GROUP_DELAY_S = 0.05  # half of the 100 ms within which a line reaches the disk
RECOVERED = "audit.recovered"
_RETRY_S = 1.0
_CHAIN_BYTES = 16

_log = structlog.get_logger(__name__)


class AuditFile:
    """Implements `Audit`. Thread-safe; the file is this process's until `close`."""

    def __init__(self, file: LineFile, chain: Chain, head: Head, clock: Clock) -> None:
        self.chain = chain
        self._file = file
        self._head = head
        self._clock = clock
        self._lock = threading.Lock()
        self._grown: Callable[[int], None] = _ignored
        self._written = threading.Event()
        self._stopping = threading.Event()
        self._gap: Gap | None = None
        self._syncer = threading.Thread(target=self._sync_groups, name="audit-sync", daemon=True)
        self._syncer.start()

    def record(self, event: str, *, durable: bool = False, **facts: Any) -> None:
        """Append a line; sync it first where `durable`, else with others within 100 ms.

        Facts are strings, integers, booleans, None, or bytes (written in hexadecimal). Raises
        TypeError for any other, a Secret above all; KmsUnavailable where the line cannot be
        written, which leaves the chain as it was. The first line after such a time is preceded
        by an `audit.resumed` that shows the gap.
        """
        with self._lock:
            said = Said(self._clock.now(), event, facts)
            try:
                self._append(said, durable=durable)
            except KmsUnavailable as error:
                self._begin_gap(said.time, error).refused += 1
                raise
        if not durable:
            self._written.set()

    def record_or_keep(self, event: str, **facts: Any) -> None:
        """Append a synced line; where that fails keep it, and record it late, after the gap.

        For what must be done also while nothing can be recorded: revocation, ends. Raises
        TypeError as `record`, and nothing else.
        """
        with self._lock:
            said = Said(self._clock.now(), event, facts)
            try:
                self._append(said, durable=True)
            except KmsUnavailable as error:
                self._begin_gap(said.time, error).keep(said)
                _log.error("audit.not_recorded_yet", audit_event=event, **facts)

    def ping(self) -> None:
        """Raise KmsUnavailable where the next line could not be written.

        After a failure it tries, with the lines that show the gap.
        """
        with self._lock:
            if self._gap is not None:
                self._append(durable=True)
                return
            try:
                self._file.require_untouched()
            except OSError as error:
                raise _explained(error) from error

    @property
    def head(self) -> Head:
        """Where the chain stands now."""
        with self._lock:
            return self._head

    def synced_head(self) -> Head:
        """Put all lines on the disk; return where the chain then stands.

        Raises KmsUnavailable where they cannot be put there.
        """
        with self._lock:
            try:
                self._file.sync()
            except OSError as error:
                raise _explained(error) from error
            return self._head

    def backwards(self) -> Iterator[Entry]:
        """Yield what the lines say, the last one first; KmsUnavailable where one was changed."""
        try:
            for line in self._file.backwards():
                yield parse(line)
        except BrokenLine as error:
            raise KmsUnavailable(f"a line of the audit does not verify: {error}") from None
        except OSError as error:
            raise KmsUnavailable(f"the audit cannot be read: {error.strerror}") from error

    def tell_growth(self, listener: Callable[[int], None]) -> None:
        """Call `listener` with the number of the last line after each; it must not record."""
        self._grown = listener

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

    def _append(self, *said: Said, durable: bool) -> None:
        gap = self._gap
        late = gap.explained(self._clock.now()) if gap else ()
        lines, head = _chained(self._head, (*late, *said))
        try:
            self._file.append(lines, durable=durable or gap is not None)
        except OSError as error:
            raise _explained(error) from error
        self._gap = None
        self._head = head
        self._grown(head.seq)

    def _begin_gap(self, now: float, error: KmsUnavailable) -> Gap:
        if self._gap is None:
            self._gap = Gap(now, str(error))
        return self._gap

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


def open_audit(path: Path, clock: Clock, replica: str) -> AuditFile:
    """Open the audit file of a replica, or begin one, as its only writer.

    The end of the chain is verified. The torn line of a power cut, which nobody was answered for
    once it had to be durable, is replaced by a line `audit.recovered` that shows it.
    Raises StartError: `audit_damaged`, `audit_unavailable`, `audit_replica` where the file is
    another replica's.
    """
    descriptor = open_alone(path)
    try:
        tail = read_tail(path, descriptor)
        chain = tail.chain or Chain(replica, secrets.token_hex(_CHAIN_BYTES))
        if chain.replica != replica:
            raise _of_another(path, chain.replica, replica)
        file = LineFile(path, descriptor, tail.end)
        head = _made_whole(file, tail, chain, clock)
    except OSError as error:
        os.close(descriptor)
        raise StartError(
            StartCode.AUDIT_UNAVAILABLE,
            f"the audit file {path} cannot be recovered: {error.strerror}; check the disk",
        ) from error
    except StartError:
        os.close(descriptor)
        raise
    return AuditFile(file, chain, head, clock)


def _made_whole(file: LineFile, tail: Tail, chain: Chain, clock: Clock) -> Head:
    """Begin a file that has no line, and show a torn end; return where the chain stands then."""
    if tail.chain is not None and not tail.torn:
        return tail.head
    facts = dict(tail.description()) if tail.torn else {}
    event = RECOVERED
    if tail.chain is None:
        event, facts = BEGUN, {"replica": chain.replica, "chain": chain.id} | facts
    line, head = write(tail.head, clock.now(), event, facts)
    file.recover(line)
    return head


def _chained(head: Head, said: Iterable[Said]) -> tuple[bytes, Head]:
    text = bytearray()
    for each in said:
        line, head = write(head, each.time, each.event, each.facts)
        text += line
    return bytes(text), head


def _explained(error: OSError) -> KmsUnavailable:
    return KmsUnavailable(
        f"the audit cannot be written: {error.strerror}; nothing is done without it: check the disk"
    )


def _of_another(path: Path, found: str, replica: str) -> StartError:
    return StartError(
        StartCode.AUDIT_REPLICA,
        f"the audit file {path} is of the replica {found!r}, and this one is {replica!r}: set "
        "kms.replica to the name it had, or kms.audit to a file of its own; a record goes on "
        "under one name",
        found=found,
        replica=replica,
    )


def _ignored(seq: int) -> None:
    del seq
