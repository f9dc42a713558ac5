"""A TCP balancer: connections go round the targets, and past those that do not answer."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator

HOST = "127.0.0.1"
Target = tuple[str, int]


class Balancer:
    """Listens on loopback, as long as it is not closed; `accepted` counts connections."""

    def __init__(self, *targets: Target) -> None:
        self.targets = list(targets)
        self.accepted = 0
        self._next = itertools.count()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listening = socket.create_server((HOST, 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where a workstation finds it."""
        return f"https://{HOST}:{self.port}"

    def cut(self) -> None:
        """Break every connection that there is."""
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take no more connections, and break those that there are."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            self.accepted += 1
            far = self._connect()
            if far is None:
                near.close()
                continue
            for each in (near, far):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = _Pair(near, far)
            with self._lock:
                self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                pump = threading.Thread(target=self._pump, args=(pair, source, sink), daemon=True)
                pump.start()

    def _connect(self) -> socket.socket | None:
        start = next(self._next)
        for number in range(len(self.targets)):
            target = self.targets[(start + number) % len(self.targets)]
            with contextlib.suppress(OSError):
                return socket.create_connection(target, timeout=5)
        return None

    def _pump(self, pair: "_Pair", source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            source.settimeout(None)
            while content := source.recv(65536):
                sink.sendall(content)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        if pair.ended():
            with self._lock:
                self._open -= {source, sink}
            source.close()
            sink.close()


class _Pair:
    """The two ways of one connection; who ends last closes it."""

    def __init__(self, *sockets: socket.socket) -> None:
        self._lock = threading.Lock()
        self._running = len(sockets)

    def ended(self) -> bool:
        """Count an end; tell whether it is the last."""
        with self._lock:
            self._running -= 1
            return self._running == 0


@contextlib.contextmanager
def balancer(*targets: Target) -> Iterator[Balancer]:
    """Run a balancer as long as the block."""
    running = Balancer(*targets)
    try:
        yield running
    finally:
        running.close()
