"""A pcscd of one's own, with two virtual readers, that no other program can see.

    python scripts/private_pcscd.py -- COMMAND ARGS...

runs COMMAND beside a private pcscd and ends both; its exit code is COMMAND's. As a module it gives
`enter_namespace` and `PrivatePcscd`, which the tests use.

A private network namespace holds the ports of vpcd, a private mount namespace the socket of
pcscd; a pcscd that already runs on the machine is neither used nor touched. Needs root, and the
Debian packages pcscd and vsmartcard-vpcd. Standard library only.
"""

import array
import collections
import ctypes
import errno
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import IO, Self

RUN_DIRECTORY = Path("/run/pcscd")
DRIVER = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
START_LIMIT_S = 10.0

# linux/sched.h, sys/mount.h, linux/sockios.h, net/if.h
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
# sys/inotify.h
IN_ATTRIB = 0x4
IN_CREATE = 0x100


class CannotIsolate(Exception):
    """A private pcscd cannot run here; the message says why and what to do."""


def enter_namespace() -> None:
    """Move the calling thread, and what it starts from now on, to namespaces of its own.

    There the network is a loopback alone and /run/pcscd is empty. There is no way back: call it
    once, from the main thread. Raises CannotIsolate.
    """
    _require_programs()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET) != 0:
        raise CannotIsolate(_refusal("unshare(CLONE_NEWNS | CLONE_NEWNET)"))
    RUN_DIRECTORY.mkdir(exist_ok=True)
    _keep_mounts_private(libc)
    if libc.mount(b"tmpfs", os.fsencode(RUN_DIRECTORY), b"tmpfs", 0, b"mode=0755") != 0:
        raise CannotIsolate(_refusal(f"mounting a tmpfs on {RUN_DIRECTORY}"))
    _raise_loopback()


def _keep_mounts_private(libc: ctypes.CDLL) -> None:
    """Let no mount made from here on reach the namespace that was left.

    In a chroot "/" need not be a mount point (EINVAL); then whatever holds /run/pcscd is made
    private. Where nothing in the chroot is a mount point, what follows stays inside it anyway.
    """
    for point in (Path("/"), RUN_DIRECTORY.parent, RUN_DIRECTORY):
        if libc.mount(None, os.fsencode(point), None, MS_REC | MS_PRIVATE, None) == 0:
            return
        if ctypes.get_errno() != errno.EINVAL:
            raise CannotIsolate(_refusal(f"making the mounts at {point} private"))


def _require_programs() -> None:
    if shutil.which("pcscd", path=_path()) is None or not DRIVER.exists():
        raise CannotIsolate(
            "pcscd or vpcd is not installed: apt-get install pcscd vsmartcard-vpcd"
            f" (looked for pcscd on PATH and for {DRIVER})"
        )


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _refusal(step: str) -> str:
    reason = os.strerror(ctypes.get_errno())
    return (
        f"a private pcscd needs namespaces of its own, and {step} failed: {reason}. Run as root"
        " with CAP_SYS_ADMIN (in a container: --cap-add SYS_ADMIN and a seccomp profile that"
        " allows unshare and mount)"
    )


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = array.array("b", struct.pack("16sh14x", b"lo", 0))
        fcntl.ioctl(control, SIOCGIFFLAGS, request, True)
        (flags,) = struct.unpack_from("h", request, 16)
        struct.pack_into("h", request, 16, flags | IFF_UP)
        fcntl.ioctl(control, SIOCSIFFLAGS, request)


class _Watch:
    """Waits for something to happen in a directory (inotify), or for a process to end."""

    def __init__(self, directory: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._queue = libc.inotify_init1(os.O_CLOEXEC)
        libc.inotify_add_watch(self._queue, os.fsencode(directory), IN_CREATE | IN_ATTRIB)

    def wait(self, pid: int, limit_s: float) -> bool:
        """Return whether something happened before the process ended or the time was up."""
        process = os.pidfd_open(pid)
        try:
            ready, _, _ = select.select([self._queue, process], [], [], limit_s)
        finally:
            os.close(process)
        if self._queue not in ready:
            return False
        os.read(self._queue, 4096)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._queue)


def _accepts_clients() -> bool:
    """Try the socket: pcscd says that it is ready before it has one (1.9.9)."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(RUN_DIRECTORY / "pcscd.comm")) == 0


class PrivatePcscd:
    """A pcscd in the namespace that `enter_namespace` made; every method may be called any time."""

    addresses: tuple[str, str] = ("tcp:127.0.0.1:35963", "tcp:127.0.0.1:35964")
    readers: tuple[str, str] = ("Virtual PCD 00 00", "Virtual PCD 00 01")

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._log: collections.deque[str] = collections.deque(maxlen=200)

    @property
    def running(self) -> bool:
        """Tell whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """Return the last lines it printed."""
        return "\n".join(self._log)

    def start(self) -> None:
        """Start it, and return once its readers are listed and clients may connect."""
        if self.running:
            return
        with _Watch(RUN_DIRECTORY) as watch:
            process = self._process = self._launch()
            while not _accepts_clients():
                if not watch.wait(process.pid, START_LIMIT_S):
                    self.kill()
                    raise RuntimeError(f"pcscd did not start:\n{self.log}")

    def _launch(self) -> "subprocess.Popen[str]":
        # setpriv: pcscd must not outlive a test run or a demo that was killed.
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "pcscd", "--foreground", "--info"],
            env={**os.environ, "PATH": _path()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        threading.Thread(
            target=self._follow, args=(process.stdout,), name="pcscd-log", daemon=True
        ).start()
        return process

    def stop(self) -> None:
        """End it as an administrator would (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _follow(self, output: IO[str]) -> None:
        with output as lines:
            for line in lines:
                self._log.append(line.rstrip())

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            # A card process that never answers holds the driver, and with it a polite pcscd.
            process.kill()
            process.wait()


def main(arguments: list[str]) -> int:
    """Run a command beside a private pcscd; return its exit code."""
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    if not arguments:
        print("usage: private_pcscd.py -- COMMAND ARGS...", file=sys.stderr)
        return 2
    try:
        enter_namespace()
    except CannotIsolate as error:
        print(f"private_pcscd: {error}", file=sys.stderr)
        return 125
    with PrivatePcscd():
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    """Run the command to its end; a signal to us is passed on, so that it can clean up."""
    try:
        process = subprocess.Popen(arguments)
    except OSError as error:
        print(f"private_pcscd: {arguments[0]}: {error.strerror}", file=sys.stderr)
        return 127

    def pass_on(number: int, _: FrameType | None) -> None:
        process.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    # The terminal sends Ctrl-C to the command too: it decides how to end.
    signal.signal(signal.SIGINT, lambda *_: None)
    code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
