"""A source of readers whose connections log what passes, without its data."""

from contextlib import AbstractContextManager
from typing import Any

import structlog

from cardd.errors import CardError
from cardd.iso7816.connection import CardConnection
from cardd.readers.ports import Listener, ReaderSource


class TracedSource:
    """Another source, whose connections are traced."""

    def __init__(self, source: ReaderSource) -> None:
        self._source = source

    @property
    def name(self) -> str:
        """Name the source in events and health."""
        return self._source.name

    def start(self, listener: Listener) -> None:
        """Start watching."""
        self._source.start(listener)

    def stop(self) -> None:
        """Stop watching."""
        self._source.stop()

    def connect(self, reader: str) -> CardConnection:
        """Connect to the card in a reader, and trace what passes."""
        return TracedConnection(self._source.connect(reader), reader=reader)

    def heartbeat(self) -> float:
        """Return the `time.monotonic()` of the last turn of the watching loop."""
        return self._source.heartbeat()


class TracedConnection:
    """Logs each exchange of another connection at debug level: header, lengths and status word.

    Never data: it may be a PIN, a cryptogram or a UID.
    """

    def __init__(self, connection: CardConnection, *, reader: str) -> None:
        self._connection = connection
        self._log = structlog.get_logger(__name__).bind(reader=reader)

    @property
    def atr(self) -> bytes:
        """The answer to reset."""
        return self._connection.atr

    def transmit(self, command: bytes) -> bytes:
        """Send a command APDU and return the response APDU; see `CardConnection.transmit`."""
        header = command[:4].hex(" ").upper()
        try:
            answer = self._connection.transmit(command)
        except CardError as error:
            self._note("apdu.failed", header=header, sent=len(command), code=str(error.code))
            raise
        self._note(
            "apdu",
            header=header,
            sent=len(command),
            received=len(answer),
            status=answer[-2:].hex().upper(),
        )
        return answer

    def control(self, code: int, data: bytes) -> bytes:
        """Send a control code to the reader."""
        answer = self._connection.control(code, data)
        self._note("control", control=f"{code:08X}", sent=len(data), received=len(answer))
        return answer

    def transaction(self) -> AbstractContextManager[None]:
        """Keep other programs off the card inside a `with` block."""
        return self._connection.transaction()

    def reset(self) -> None:
        """Reset the card."""
        self._connection.reset()
        self._note("card.reset")

    def close(self) -> None:
        """Let go of the card."""
        self._connection.close()

    def _note(self, event: str, **facts: Any) -> None:
        self._log.debug(event, **facts)
