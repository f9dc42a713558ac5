"""The stream of events, as an iterator that blocks."""

import json
import socket
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from cardd.client.errors import DaemonUnavailable
from cardd.client.models import Event
from cardd.client.transport import Transport

# The daemon sends something every 15 s.
SILENCE_S = 45.0
_MAX_LINE = 4 * 1024 * 1024
_MAX_HEAD = 64 * 1024


class EventStream(Iterator[Event]):
    """Events as they happen; ends when the daemon stops or this client lagged behind.

    A context manager: leaving it closes the connection. Resume with `last_event_id`. It speaks
    HTTP/1.0, whose body ends with the connection: after a time-out the same socket can be read on,
    which http.client does not allow.
    """

    def __init__(
        self, transport: Transport, last_event_id: str | None, timeout_s: float | None
    ) -> None:
        """Connect. `timeout_s` limits the wait for each event (TimeoutError); None: no limit."""
        self.last_event_id = last_event_id
        self._transport = transport
        self._timeout_s = timeout_s
        self._buffer = b""
        self._socket = self._connect()
        try:
            self._open()
        except BaseException:
            self._socket.close()
            raise

    def _connect(self) -> socket.socket:
        try:
            return self._transport.connect(SILENCE_S)
        except OSError as error:
            raise self._transport.unavailable(error) from error

    def _open(self) -> None:
        """Send the request and read the head of the answer; raise CarddProblem for a refusal."""
        headers = {"Host": "localhost", "Accept": "application/x-ndjson"}
        if self.last_event_id is not None:
            headers["Last-Event-ID"] = self.last_event_id
        try:
            self._socket.sendall(self._transport.head("GET", "/v1/events", headers))
        except OSError as error:
            raise self._transport.unavailable(error) from error
        head = self._until(b"\r\n\r\n", _MAX_HEAD, None)
        try:
            status = int((head or b"").split(None, 2)[1])
        except (ValueError, IndexError):
            raise DaemonUnavailable(f"{self._transport.path} does not speak HTTP") from None
        if status != 200:
            while len(self._buffer) < _MAX_HEAD and (chunk := self._read(None)):
                self._buffer += chunk
            self._transport.decoded(status, self._buffer)
            raise DaemonUnavailable(f"{self._transport.path} gave no stream, but {status}")

    def __next__(self) -> Event:
        deadline = None if self._timeout_s is None else time.monotonic() + self._timeout_s
        while True:
            line = self._until(b"\n", _MAX_LINE, deadline)
            if line is None:
                raise StopIteration
            if not line.strip():
                continue
            try:
                event = Event.parse(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise DaemonUnavailable("the stream holds a line that is no event") from None
            self.last_event_id = event.id
            return event

    def _until(self, end: bytes, limit: int, deadline: float | None) -> bytes | None:
        """Return what comes before `end`; None at the end of the stream. The rest is kept."""
        while end not in self._buffer:
            if len(self._buffer) > limit:
                raise DaemonUnavailable(f"{self._transport.path} sends a line without an end")
            chunk = self._read(deadline)
            if not chunk:
                return None
            self._buffer += chunk
        found, self._buffer = self._buffer.split(end, 1)
        return found

    def _read(self, deadline: float | None) -> bytes:
        """Return what has arrived; nothing at the end of the stream."""
        silent_at = time.monotonic() + SILENCE_S
        limit = silent_at if deadline is None else min(silent_at, deadline)
        wait_s = limit - time.monotonic()
        if wait_s <= 0:
            raise TimeoutError("no event within the time limit")
        self._socket.settimeout(wait_s)
        try:
            return self._socket.recv(65536)
        except TimeoutError:
            if limit < silent_at:
                raise TimeoutError("no event within the time limit") from None
            raise DaemonUnavailable(f"{self._transport.path} is silent") from None
        except OSError as error:
            raise self._transport.unavailable(error) from error

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
