"""Listening sockets: files with their mode, taken over from a dead process, removed if ours."""

import contextlib
import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from cardd.errors import StartCode, StartError

# A client that finds it full fails at once, or waits where it blocks.
BACKLOG = 1024
_PROBE_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class ListeningSocket:
    """A listening socket. `path` and `inode` are those of a Unix socket that was opened here."""

    socket: socket.socket
    path: Path | None = None
    inode: tuple[int, int] | None = None

    def close(self) -> None:
        """Close it, and remove its file unless another process has put its own there."""
        self.socket.close()
        if self.path is None:
            return
        with contextlib.suppress(OSError):
            if _inode(self.path) == self.inode:
                self.path.unlink()


def listen(path: Path, mode: int) -> ListeningSocket:
    """Listen at a path, with this mode and the group of its directory where that is allowed.

    Raises StartError: `socket_in_use` where a process answers there, `socket_unavailable` for
    anything else that is in the way.
    """
    _clear(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound = False
    try:
        listening.bind(os.fspath(path))
        bound = True
        # Nobody can connect before listen(): mode and group are right by then.
        path.chmod(mode)
        _take_group_of_directory(path)
        listening.listen(BACKLOG)
        listening.setblocking(False)
        return ListeningSocket(listening, path, _inode(path))
    except (OSError, ValueError) as error:
        listening.close()
        if bound:
            path.unlink(missing_ok=True)
        raise _unavailable(path, str(error)) from error


def listen_tcp(host: str, port: int) -> ListeningSocket:
    """Listen at an address of this machine; port 0 is one that the system chooses.

    Raises StartError: `socket_in_use`, `socket_unavailable`.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = found[0]
        listening = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        code = StartCode.SOCKET_UNAVAILABLE
        if error.errno == errno.EADDRINUSE:
            code = StartCode.SOCKET_IN_USE
        raise StartError(code, f"cannot listen at {host}:{port}: {error.strerror}") from error
    listening.setblocking(False)
    return ListeningSocket(listening)


def adopt(inherited: socket.socket, *, tcp: bool = False) -> ListeningSocket:
    """Take a socket that another process opened; its file is not ours to remove.

    Raises StartError (`socket_unavailable`) where it is no listening socket of its kind.
    """
    families = {socket.AF_INET, socket.AF_INET6} if tcp else {socket.AF_UNIX}
    if inherited.family not in families or not inherited.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        kind, wanted = ("TCP", "a port") if tcp else ("Unix", "a path")
        raise StartError(
            StartCode.SOCKET_UNAVAILABLE,
            f"an inherited descriptor is no listening {kind} socket; the .socket unit needs"
            f" {wanted} in ListenStream=",
        )
    return ListeningSocket(inherited)


def _clear(path: Path) -> None:
    """Remove the socket of a dead process; refuse to remove anything else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise _unavailable(path, f"there is no directory {path.parent}; create it") from None
        return
    except (OSError, ValueError) as error:
        raise _unavailable(path, str(error)) from error
    if not stat.S_ISSOCK(found.st_mode):
        raise _unavailable(path, "there is a file that is no socket; move it away")
    if _answers(path):
        raise StartError(
            StartCode.SOCKET_IN_USE,
            f"a process listens at {path} already; stop it, or set another path in [sockets]",
            path=str(path),
        )
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _unavailable(path, f"the socket of a dead process stays: {error}") from error


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT_S)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            # Full, or not ours to connect to: somebody lives there.
            return True
        return True


def _take_group_of_directory(path: Path) -> None:
    group = path.parent.stat().st_gid
    if path.stat().st_gid != group:
        # Not allowed to a process outside that group: its own is as safe, for rights decide.
        with contextlib.suppress(PermissionError):
            os.chown(path, -1, group)


def _inode(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _unavailable(path: Path, reason: str) -> StartError:
    return StartError(
        StartCode.SOCKET_UNAVAILABLE, f"cannot listen at {path}: {reason}", path=str(path)
    )
