"""HTTP over a Unix socket: one connection a call, a time limit on each."""

import contextlib
import http.client
import json
import socket
import struct
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from cardd.client.errors import CarddProblem, DaemonUnavailable

MAX_ANSWER_BYTES = 16 * 1024 * 1024
_STANDARD_MEMBERS = {"type", "title", "status", "detail", "code", "user_message", "instance"}


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a socket that is connected already."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__("localhost")
        self.sock = connected

    def connect(self) -> None:
        """Do not connect again where the socket is gone."""
        raise ConnectionError("the connection was closed")


def _timeval(seconds: float) -> bytes:
    """Return a struct timeval; never zero, which would be for ever."""
    return struct.pack("ll", int(seconds), max(1, int(seconds % 1 * 1e6)))


class Transport:
    """Sends requests to one socket and reads their answers."""

    def __init__(self, path: str, language: str | None = None) -> None:
        self.path = path
        self._language = {"Accept-Language": language} if language else {}

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        timeout_s: float,
    ) -> Any:
        """Send a request and return the decoded answer, None for an empty one."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        target = f"{path}?{urlencode(given)}" if given else path
        encoded = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", "Connection": "close", **self._language}
        if encoded is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection = _UnixConnection(self.connect(timeout_s))
            with contextlib.closing(connection):
                connection.request(method, target, body=encoded, headers=headers)
                response = connection.getresponse()
                raw = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self.unavailable(error) from error
        if len(raw) > MAX_ANSWER_BYTES:
            raise DaemonUnavailable(f"the answer of {self.path} is larger than 16 MiB")
        return self.decoded(response.status, raw)

    def connect(self, timeout_s: float) -> socket.socket:
        """Connect within a time limit, which is then that of each wait; raises OSError."""
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # A blocking connect waits for its turn where many connect at once; one with Python's
            # own time-out fails at once (EAGAIN, unix(7)).
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(timeout_s))
            connected.connect(self.path)
            connected.settimeout(timeout_s)
        except BaseException:
            connected.close()
            raise
        return connected

    def head(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        """Return the head of an HTTP/1.0 request; raise ValueError for a header of two lines."""
        lines = [f"{method} {path} HTTP/1.0"]
        for name, value in {**headers, **self._language}.items():
            if not value.isprintable():
                raise ValueError(f"{name} holds a character that no header can")
            lines.append(f"{name}: {value}")
        return "\r\n".join([*lines, "", ""]).encode()

    def decoded(self, status: int, raw: bytes) -> Any:
        """Return the JSON of an answer; raise CarddProblem for a refusal."""
        try:
            content = json.loads(raw) if raw else None
        except ValueError:
            raise DaemonUnavailable(f"{self.path} answered {status} with no JSON") from None
        if status < 400:
            return content
        if not isinstance(content, dict) or "code" not in content:
            raise DaemonUnavailable(f"{self.path} answered {status} with no problem in it")
        raise CarddProblem(
            str(content["code"]),
            status,
            str(content.get("detail", "")),
            str(content.get("user_message", "")),
            {name: value for name, value in content.items() if name not in _STANDARD_MEMBERS},
        )

    def unavailable(self, error: Exception) -> DaemonUnavailable:
        """Say why the daemon cannot be reached."""
        if isinstance(error, FileNotFoundError):
            reason = "there is no such socket; is cardd running?"
        elif isinstance(error, ConnectionRefusedError):
            reason = "nobody listens there; cardd has stopped"
        elif isinstance(error, PermissionError):
            reason = "this user may not connect to it"
        elif isinstance(error, TimeoutError | BlockingIOError):
            reason = "it did not answer in time"
        else:
            reason = f"the connection broke ({error})"
        return DaemonUnavailable(f"{self.path}: {reason}")
