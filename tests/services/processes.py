"""A service's process: it must not outlive the tests, and tells on a line that it is ready."""

import collections
import os
import pwd
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

START_LIMIT_S = 30.0
STOP_LIMIT_S = 10.0


@contextmanager
def service(
    command: Sequence[str | Path],
    *,
    ready: str,
    user: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator["subprocess.Popen[str]"]:
    """Run a service until the end of the block; it is ready once a line has `ready` in it.

    `user` runs it as somebody else, which needs root.
    """
    guarded: list[str | Path] = ["setpriv", "--pdeathsig", "KILL"]
    if user is not None:
        entry = pwd.getpwnam(user)
        guarded += [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    process = subprocess.Popen(
        [*guarded, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    log = _Log(process.stdout, ready)
    try:
        if not log.seen.wait(START_LIMIT_S) or process.poll() is not None:
            raise RuntimeError(f"{command[0]} did not start:\n{log}")
        yield process
    finally:
        _end(process, stop)


class _Log:
    """The last lines of a process. `seen` is set at the line that is waited for, and at the end."""

    def __init__(self, output: "IO[str] | None", ready: str) -> None:
        assert output is not None
        self.seen = threading.Event()
        self._lines: collections.deque[str] = collections.deque(maxlen=50)
        threading.Thread(target=self._follow, args=(output, ready), daemon=True).start()

    def _follow(self, output: IO[str], ready: str) -> None:
        with output as lines:
            for line in lines:
                self._lines.append(line.rstrip())
                if ready in line:
                    self.seen.set()
        self.seen.set()

    def __str__(self) -> str:
        return "\n".join(self._lines)


def _end(process: "subprocess.Popen[str]", stop: signal.Signals) -> None:
    process.send_signal(stop)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_LIMIT_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # with what it started itself
    process.wait()
