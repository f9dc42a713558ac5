"""HTTP over a Unix socket: one connection a call, a time limit on each."""

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


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection to a Unix socket; `timeout` is for each wait on it."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        """Connect, within the time limit."""
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # A blocking connect waits for its turn where many connect at once; one with Python's
            # own time-out fails at once (EAGAIN, unix(7)).
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(self._timeout_s))
            connected.connect(self._path)
            connected.settimeout(self._timeout_s)
        except BaseException:
            connected.close()
            raise
        self.sock = connected


def _timeval(seconds: float) -> bytes:
    """Return a struct timeval; never zero, which would be for ever."""
    return struct.pack("ll", int(seconds), max(1, int(seconds % 1 * 1e6)))


class Transport:
    """Sends requests to one socket and reads their answers."""

    def __init__(self, path: str, language: str | None = None) -> None:
        self.path = path
        self._language = language

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
        connection = UnixConnection(self.path, timeout_s)
        try:
            response = self.send(connection, method, target, body=body)
            raw = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self.unavailable(error) from error
        finally:
            connection.close()
        if len(raw) > MAX_ANSWER_BYTES:
            raise DaemonUnavailable(f"the answer of {self.path} is larger than 16 MiB")
        return self.decoded(response.status, raw)

    def send(
        self,
        connection: UnixConnection,
        method: str,
        target: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """Send a request and read the head of its answer; raises as http.client does."""
        sent = {"Accept": "application/json", "Connection": "close", **(headers or {})}
        if self._language:
            sent["Accept-Language"] = self._language
        encoded = None
        if body is not None:
            encoded = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        connection.request(method, target, body=encoded, headers=sent)
        return connection.getresponse()

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
