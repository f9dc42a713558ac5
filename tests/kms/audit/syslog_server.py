"""A syslog server over TLS (RFC 5425) for tests: it reads frames as the standard says, strictly."""

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.limits import SOON_S


class SyslogServer:
    """Keeps what it receives; may be stopped, and started again on the same port."""

    def __init__(
        self, certificate: Path, key: Path, clients: Path | None = None, port: int = 0
    ) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        if clients is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(cafile=clients)
        self._port = port
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._change = threading.Condition()
        self.accepted = 0
        self.messages: list[str] = []
        self.faults: list[str] = []

    @property
    def port(self) -> int:
        return self._port

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        self._begin(self._accept)

    def stop(self) -> None:
        """Close everything at once, as a server that dies does."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(SOON_S)
        self._threads.clear()
        self._connections.clear()

    def wait_for(self, count: int) -> list[str]:
        """Wait until there are so many messages; return them."""
        with self._change:
            assert self._change.wait_for(lambda: len(self.messages) >= count, SOON_S), self.messages
            return list(self.messages)

    def wait_for_fault(self) -> None:
        with self._change:
            assert self._change.wait_for(lambda: bool(self.faults), SOON_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _begin(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(plain)
            self._begin(self._serve, plain)

    def _serve(self, plain: socket.socket) -> None:
        try:
            connection = self._context.wrap_socket(plain, server_side=True)
            self._connections.append(connection)
            self.accepted += 1
            with connection.makefile("rb") as stream:
                while (count := self._count(stream)) is not None:
                    self._keep(stream.read(count))
        except (OSError, ValueError) as error:
            with self._change:
                self.faults.append(str(error))
                self._change.notify_all()

    def _count(self, stream: object) -> int | None:
        """Read MSG-LEN SP (RFC 5425, 4.3): a number without leading zero."""
        digits = b""
        while (octet := stream.read(1)) != b" ":  # type: ignore[attr-defined]
            if not octet and not digits:
                return None
            if not octet.isdigit() or (not digits and octet == b"0"):
                raise ValueError(f"{digits + octet!r} is no length")
            digits += octet
        return int(digits)

    def _keep(self, octets: bytes) -> None:
        with self._change:
            self.messages.append(octets.decode("ascii"))
            self._change.notify_all()
