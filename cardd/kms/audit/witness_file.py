"""A witness that is a file elsewhere: one checkpoint a line."""

import os
import stat
from pathlib import Path


class WitnessFile:
    """Implements `Carrier`. The file is opened for each line: its disk may come and go."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def deliver(self, jws: str) -> None:
        """Append a checkpoint and sync it; raise OSError where that fails."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(None, "it is no regular file")
            torn = status.st_size and os.pread(descriptor, 1, status.st_size - 1) != b"\n"
            line = f"\n{jws}\n" if torn else f"{jws}\n"
            if os.write(descriptor, line.encode("ascii")) != len(line):
                raise OSError(None, "only a part of the checkpoint could be written")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Do nothing."""
