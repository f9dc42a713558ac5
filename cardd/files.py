"""Files that keys, records and trust live in: read if they are files, made whole or not at all."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PRIVATE = 0o600
PUBLIC = 0o644


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading. A folder, pipe or device is an OSError, and never waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        require_regular(descriptor, path)
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def read_bounded(path: Path, limit: int) -> bytes:
    """Return a regular file's content; OSError for anything else, or one of over `limit` bytes."""
    with open_regular(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it has over {limit} bytes", str(path))
    return content


def require_regular(descriptor: int, path: Path) -> None:
    """Raise OSError where what was opened is no regular file."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def publish(path: Path, content: bytes) -> None:
    """Write a new file of mode 0600 and sync it; raise FileExistsError rather than replace one.

    A link appears complete or not at all, and what was drafted for it goes.
    """
    with _draft(path, content, PRIVATE) as draft:
        os.link(draft, path)
    sync_folder(path.parent)


def replace(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Put a file in the place of another, synced: whoever looks sees one or the other."""
    with _draft(path, content, mode) as draft:
        draft.replace(path)
    sync_folder(path.parent)


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, so that a file in it is read and replaced in one act."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _draft(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        yield draft
    finally:
        with suppress(OSError):
            draft.unlink()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last: syncing a file does not sync its name."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
