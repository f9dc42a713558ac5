"""The audit file on disk: one writer, whole lines or nothing, recovered after a power cut."""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cardd.errors import KmsUnavailable, StartCode, StartError
from cardd.files import require_regular, sync_folder
from cardd.kms.audit.lines import (
    GENESIS,
    MAXIMUM_LINE,
    BrokenLine,
    Chain,
    Head,
    chain_of,
    follow,
)

TAIL_BYTES = 262_144
_SHOWN_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Tail:
    """Where the whole lines of a file end, and what was left after them by a power cut.

    `chain` is None where there is no whole line yet.
    """

    chain: Chain | None
    head: Head
    end: int
    torn: bytes

    def description(self) -> Mapping[str, object]:
        """Return the facts that the recovery is recorded with, so that what is cut is not lost."""
        return {
            "removed_bytes": len(self.torn),
            "removed_sha256": hashlib.sha256(self.torn).hexdigest(),
            "removed_start": self.torn[:_SHOWN_BYTES],
        }


class LineFile:
    """A file that this process alone writes. Not thread-safe: its owner holds a lock.

    `append` leaves the file as it was where it fails; where even that fails, the next call begins
    by putting it right. Lines not yet synced are kept in memory until they are, because after a
    failed sync the system forgets that it still had to write them.
    """

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self._path = path
        self._descriptor = descriptor
        opened = os.fstat(descriptor)
        self._identity = (opened.st_dev, opened.st_ino)
        self._size = size
        self._unsynced = bytearray()
        self._overhang = False
        self._sync_failed = False

    def append(self, line: bytes, *, durable: bool) -> None:
        """Write a line at the end, and sync it where it must be `durable`.

        Raises OSError where the system refuses, KmsUnavailable where somebody else changed,
        replaced or removed the file; the line is then not in it.
        """
        self._restore()
        self.require_untouched()
        self._overhang = True
        try:
            self._write(line, self._size)
            if durable:
                self._sync_descriptor()
        except OSError:
            with suppress(OSError):
                self._restore()
            raise
        self._overhang = False
        self._size += len(line)
        if durable:
            self._unsynced.clear()
        else:
            self._unsynced += line

    def sync(self) -> None:
        """Put all lines on the disk; raise OSError where it cannot."""
        self._restore()
        if self._unsynced:
            self._sync_descriptor()
            self._unsynced.clear()

    def recover(self, line: bytes) -> None:
        """Write `line` over the torn end that it describes; a crash here leaves a torn end."""
        self._write(line, self._size)
        self._size += len(line)
        os.ftruncate(self._descriptor, self._size)
        os.fsync(self._descriptor)

    def backwards(self) -> Iterator[bytes]:
        """Yield the lines that are there now without their newlines, the last one first."""
        end, rest = self._size, b""
        while end:
            start = max(0, end - TAIL_BYTES)
            block = os.pread(self._descriptor, end - start, start) + rest
            rest, *whole = block.split(b"\n") if start else (b"", *block.split(b"\n"))
            yield from (line for line in reversed(whole) if line)
            end = start

    def close(self) -> None:
        """Let another process write the file."""
        os.close(self._descriptor)

    def _restore(self) -> None:
        if self._overhang:
            os.ftruncate(self._descriptor, self._size)
            self._overhang = False
        if self._sync_failed:
            self._write(self._unsynced, self._size - len(self._unsynced))
            os.fdatasync(self._descriptor)
            self._sync_failed = False
            self._unsynced.clear()

    def require_untouched(self) -> None:
        """Raise KmsUnavailable where another program changed the file; OSError where it is gone."""
        found = self._path.stat()
        if (found.st_dev, found.st_ino) != self._identity or found.st_size != self._size:
            raise KmsUnavailable(
                f"another program changed or replaced the audit file {self._path}; find out why, "
                "and restart"
            )

    def _write(self, content: bytes | bytearray, offset: int) -> None:
        view = memoryview(content)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view = view[written:]
            offset += written

    def _sync_descriptor(self) -> None:
        try:
            os.fdatasync(self._descriptor)
        except OSError:
            self._sync_failed = True
            raise


def open_alone(path: Path) -> int:
    """Open or create the file (mode 0600) and lock out other writers; return its descriptor.

    Raises StartError (`audit_unavailable`).
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise _unavailable(path, f"{error.strerror}; check kms.audit") from error
    try:
        require_regular(descriptor, path)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sync_folder(path.parent)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise _unavailable(
                path, "another cardd runs with this configuration; stop that one first"
            ) from None
        raise _unavailable(path, f"{error.strerror}; check kms.audit") from error
    return descriptor


def read_tail(path: Path, descriptor: int) -> Tail:
    """Verify the last 256 KiB of the chain and find a torn end.

    A power cut leaves the start of a line, or zeros, after the last newline. Anything else that
    does not verify is damage: StartError (`audit_damaged`).
    """
    try:
        size = os.fstat(descriptor).st_size
        start = max(0, size - TAIL_BYTES)
        window = os.pread(descriptor, TAIL_BYTES, start)
    except OSError as error:
        raise _unavailable(path, f"{error.strerror}; check the disk") from error
    whole, newline, torn = window.rpartition(b"\n")
    if len(torn.rstrip(b"\0")) > MAXIMUM_LINE or (start and not newline):
        raise damaged(path, None, "its end is no audit line")
    lines = whole.split(b"\n") if newline else []
    head: Head | None = GENESIS
    if start:
        lines, head = lines[1:], None  # the window begins within a line
    for line in lines:
        try:
            head = follow(line, head).head
        except BrokenLine as error:
            raise damaged(path, head.seq + 1 if head else None, str(error)) from None
    if head is None:
        raise damaged(path, None, "its end is no audit line")
    chain = _first(path, descriptor) if head.seq else None
    return Tail(chain, head, size - len(torn), torn)


def _first(path: Path, descriptor: int) -> Chain:
    try:
        first, _, _ = os.pread(descriptor, MAXIMUM_LINE, 0).partition(b"\n")
        return chain_of(follow(first, GENESIS))
    except OSError as error:
        raise _unavailable(path, f"{error.strerror}; check the disk") from error
    except BrokenLine as error:
        raise damaged(path, 1, str(error)) from None


def damaged(path: Path, line: int | None, reason: str, finding: str = "damaged") -> StartError:
    """Return the error for a chain that is broken, naming the line where that is known."""
    where = f"line {line} of the audit file {path}" if line else f"the audit file {path}"
    return StartError(
        StartCode.AUDIT_DAMAGED,
        f"{where} does not verify: {reason}; keep the file as evidence (docs/audit.md says how to "
        "go on)",
        line=line,
        finding=finding,
    )


def _unavailable(path: Path, reason: str) -> StartError:
    return StartError(
        StartCode.AUDIT_UNAVAILABLE, f"the audit file {path} cannot be used: {reason}"
    )
