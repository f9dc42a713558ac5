"""Messages of the vpcd wire over one socket: 2-byte big-endian length, then as many bytes."""

import socket
import time
from collections.abc import Callable

SEND_SECONDS = 2.0


class WireClosed(Exception):
    """The reader has closed the connection."""


class StayOver(Exception):
    """The time of the card in the reader is over."""


class Wire:
    """The card's socket. Every receive ends at a deadline, every send within 2 s."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._is_tcp = connection.family == socket.AF_INET
        if self._is_tcp:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def receive(self, deadline: Callable[[], float]) -> bytes:
        """Return the next message; raise StayOver at the (monotonic) deadline, or WireClosed."""
        length = int.from_bytes(self._exactly(2, deadline))
        return self._exactly(length, deadline)

    def _exactly(self, count: int, deadline: Callable[[], float]) -> bytes:
        received = bytearray()
        while len(received) < count:
            left = deadline() - time.monotonic()
            if left <= 0:
                raise StayOver
            self._acknowledge_at_once()
            self._connection.settimeout(left)
            try:
                part = self._connection.recv(count - len(received))
            except TimeoutError:
                raise StayOver from None
            if not part:
                raise WireClosed
            received += part
        return bytes(received)

    def _acknowledge_at_once(self) -> None:
        # The driver sends length and body apart; Linux forgets this option, so set it each time.
        quickack = getattr(socket, "TCP_QUICKACK", None)
        if self._is_tcp and quickack is not None:
            self._connection.setsockopt(socket.IPPROTO_TCP, quickack, 1)

    def send(self, message: bytes) -> None:
        """Send one message; raise OSError when the reader is gone or takes nothing."""
        self._connection.settimeout(SEND_SECONDS)
        self._connection.sendall(len(message).to_bytes(2) + message)

    def stop_receiving(self) -> None:
        """Wake a receive that waits in another thread; raise OSError if the peer is gone."""
        self._connection.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Close the socket, which the reader takes for a removal."""
        self._connection.close()
