"""The reader's end of the vpcd wire, small and strict, for tests of the card's end."""

import socket
from pathlib import Path
from typing import Self

LIMIT_SECONDS = 20.0


class VirtualReader:
    """Listens for one card at a time on a loopback port, or on a Unix socket."""

    def __init__(self, path: Path | None = None) -> None:
        if path is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.address = f"tcp:127.0.0.1:{self._listener.getsockname()[1]}"
        else:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(str(path))
            self._listener.listen()
            self.address = f"unix:{path}"
        self._listener.settimeout(LIMIT_SECONDS)
        self._card: socket.socket | None = None

    def accept(self) -> None:
        """Take the card that comes."""
        if self._card is not None:
            self._card.close()
        self._card, _ = self._listener.accept()
        self._card.settimeout(LIMIT_SECONDS)

    @property
    def card(self) -> socket.socket:
        """The socket of the card in the reader."""
        assert self._card is not None
        return self._card

    def send(self, message: bytes) -> None:
        """Send length and body apart, as the driver does."""
        self.card.sendall(len(message).to_bytes(2))
        self.card.sendall(message)

    def receive(self) -> bytes:
        """Return an answer; raise ConnectionError when the card is gone."""
        return self._exactly(int.from_bytes(self._exactly(2)))

    def transmit(self, message: bytes) -> bytes:
        self.send(message)
        return self.receive()

    def poll_until_the_card_leaves(self) -> None:
        """Ask for the ATR again and again, as a driver does, and never power the card."""
        try:
            while self.transmit(b"\x04"):
                pass
        except ConnectionError:
            return

    def card_is_gone(self) -> bool:
        """Wait until the card's end is closed."""
        try:
            return self.card.recv(1) == b""
        except ConnectionResetError:
            return True

    def _exactly(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            part = self.card.recv(count - len(received))
            if not part:
                raise ConnectionError("the card is gone")
            received += part
        return received

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        if self._card is not None:
            self._card.close()
