"""The stream of events, as an iterator that blocks."""

import http.client
import json
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from cardd.client.errors import DaemonUnavailable
from cardd.client.models import Event
from cardd.client.transport import Transport, UnixConnection

# The daemon sends something every 15 s.
SILENCE_S = 45.0
_MAX_LINE = 4 * 1024 * 1024
_MAX_ERROR = 64 * 1024


class EventStream(Iterator[Event]):
    """Events as they happen; ends when the daemon stops or this client lagged behind.

    A context manager: leaving it closes the connection. Resume with `last_event_id`.
    """

    def __init__(
        self, transport: Transport, last_event_id: str | None, timeout_s: float | None
    ) -> None:
        """Connect. `timeout_s` limits the wait for each event (TimeoutError); None: no limit."""
        self.last_event_id = last_event_id
        self._transport = transport
        self._timeout_s = timeout_s
        self._connection = UnixConnection(transport.path, SILENCE_S)
        try:
            self._response = self._open()
        except BaseException:
            self._connection.close()
            raise
        self._buffer = b""

    def _open(self) -> http.client.HTTPResponse:
        headers = {"Accept": "application/x-ndjson"}
        if self.last_event_id is not None:
            headers["Last-Event-ID"] = self.last_event_id
        try:
            response = self._transport.send(self._connection, "GET", "/v1/events", headers=headers)
            if response.status != 200:
                self._transport.decoded(response.status, response.read(_MAX_ERROR))
                raise DaemonUnavailable(f"{self._transport.path} gave no stream")
        except (OSError, http.client.HTTPException) as error:
            raise self._transport.unavailable(error) from error
        return response

    def __next__(self) -> Event:
        deadline = None if self._timeout_s is None else time.monotonic() + self._timeout_s
        while True:
            line = self._line(deadline)
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

    def _line(self, deadline: float | None) -> bytes | None:
        """Return the next line; None at the end. A line that is not whole yet is kept."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > _MAX_LINE:
                raise DaemonUnavailable("an event is longer than 4 MiB")
            chunk = self._read(deadline)
            if not chunk:
                return None
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def _read(self, deadline: float | None) -> bytes:
        wait_s = SILENCE_S
        if deadline is not None:
            wait_s = min(wait_s, deadline - time.monotonic())
            if wait_s <= 0:
                raise TimeoutError("no event within the time limit")
        if self._connection.sock is not None:
            self._connection.sock.settimeout(wait_s)
        try:
            return self._response.read1(65536)
        except TimeoutError:
            if wait_s < SILENCE_S:
                raise TimeoutError("no event within the time limit") from None
            raise DaemonUnavailable(f"{self._transport.path} is silent") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._transport.unavailable(error) from error

    def close(self) -> None:
        """End the connection."""
        self._response.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
