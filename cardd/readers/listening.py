"""The address on which a built-in reader waits for its card."""

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cardd.errors import StartCode, StartError

LOOPBACK = frozenset({"127.0.0.1", "[::1]", "localhost"})
BACKLOG = 64


def listen(address: str) -> socket.socket:
    """Listen on `unix:PATH` or `tcp:HOST:PORT`, on loopback alone; port 0 lets the system choose.

    The socket of a dead process is replaced; a Unix socket has mode 0600. Raises StartError:
    `config_invalid`, `socket_in_use` or `socket_unavailable`.
    """
    scheme, _, place = address.partition(":")
    if scheme == "unix" and place:
        return _listen_unix(Path(place))
    host, _, port = place.rpartition(":")
    if scheme == "tcp" and host in LOOPBACK and port.isascii() and port.isdigit():
        return _listen_tcp(host.strip("[]"), int(port), address)
    raise StartError(
        StartCode.CONFIG_INVALID,
        f"a virtual reader listens on unix:PATH or tcp:127.0.0.1:PORT, not on {address!r}",
    )


def address_of(listener: socket.socket) -> str:
    """Return the address in the form that `listen` takes."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
    return f"tcp:{host}:{name[1]}"


def stop_listening(listener: socket.socket) -> None:
    """Close the socket, and remove its file."""
    address = listener.getsockname() if listener.family == socket.AF_UNIX else None
    listener.close()
    if address:
        Path(address).unlink(missing_ok=True)


def _listen_tcp(host: str, port: int, address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise _refusal(address, error) from error
    return listener


def _listen_unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _alone(path.parent):
            _remove_stale(path)
            listener.bind(str(path))
            # Before listen(), so that nobody connects under the wider mode.
            path.chmod(0o600)
            listener.listen(BACKLOG)
    except StartError:
        listener.close()
        raise
    except (OSError, ValueError) as error:
        listener.close()
        raise _refusal(f"unix:{path}", error) from error
    return listener


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep two starting processes from replacing each other's socket."""
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StartError(
            StartCode.SOCKET_UNAVAILABLE,
            f"{path} exists and is not a socket: remove it, or choose another path",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # Its queue is full: somebody listens.
    raise _in_use(f"unix:{path}")


def _in_use(address: str) -> StartError:
    return StartError(
        StartCode.SOCKET_IN_USE,
        f"another program listens on {address}: end it, or choose another address",
    )


def _refusal(address: str, error: Exception) -> StartError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return _in_use(address)
    return StartError(StartCode.SOCKET_UNAVAILABLE, f"cannot listen on {address}: {error}")
