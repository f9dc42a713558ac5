"""Fetch what others sign, over plain HTTP: bounded in time, in size and in redirects."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

_CHUNK: Final = 64 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_DEFAULT_PORT: Final = 80


class FetchError(Exception):
    """Nothing usable was fetched; the message says why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one fetch may take: seconds in all, bytes of the answer, redirects followed."""

    timeout_s: float
    max_bytes: int
    max_redirects: int = 0


def fetch(
    url: str,
    limits: Limits,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Return the body of a 200 answer to GET, or to POST of `body`; raises FetchError.

    Only `http` is spoken, and redirects lead to `http` alone. The time limit holds for the whole
    exchange, however slowly bytes come; resolving the host's name is not counted.
    """
    deadline = time.monotonic() + limits.timeout_s
    for _ in range(limits.max_redirects + 1):
        target = _parsed(url)
        status, location, content = _exchange(target, deadline, limits, body, headers or {})
        if status == http.client.OK:
            return content
        if status not in _REDIRECTS or location is None:
            raise FetchError(f"{url} answered with status {status}; 200 was expected")
        url = _joined(url, location)
    raise FetchError(f"more than {limits.max_redirects} redirects, the last one to {url}")


def _parsed(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise FetchError(f"{url!r} is no URL: {error}") from None
    if parts.scheme != "http" or not parts.hostname or port == 0:
        raise FetchError(f"{url!r} is not fetched: only http:// addresses of a host are")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise FetchError(f"{url!r} has characters that no URL has")
    return parts


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise FetchError(f"{url} redirects to {location!r}, which is no URL: {error}") from None


def _exchange(
    target: SplitResult,
    deadline: float,
    limits: Limits,
    body: bytes | None,
    headers: Mapping[str, str],
) -> tuple[int, str | None, bytes]:
    """Make one request; return status, Location and body (empty unless the status is 200)."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise FetchError(f"{target.geturl()} did not answer within {limits.timeout_s:g} s")
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    connection = http.client.HTTPConnection(
        str(target.hostname), target.port or _DEFAULT_PORT, timeout=remaining
    )
    try:
        with closing(connection):
            connection.connect()
            with _ended_at(deadline, connection.sock) as late:
                method = "GET" if body is None else "POST"
                connection.request(method, path, body, {**headers, "Connection": "close"})
                response = connection.getresponse()
                content = b""
                if response.status == http.client.OK:
                    content = _read(response, limits.max_bytes)
                # A connection cut by the deadline looks like the end of a body without length.
                if late.is_set():
                    raise TimeoutError("its time is over")
                return response.status, response.getheader("Location"), content
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = str(error) or type(error).__name__
        raise FetchError(f"{target.geturl()} cannot be fetched: {why}") from None


def _read(response: http.client.HTTPResponse, limit: int) -> bytes:
    content = bytearray()
    while chunk := response.read(min(_CHUNK, limit + 1 - len(content))):
        content += chunk
        if len(content) > limit:
            raise ValueError(f"the answer has over {limit} bytes")
    if response.length:
        raise ValueError("the answer ended early")
    return bytes(content)


@contextmanager
def _ended_at(deadline: float, sock: socket.socket) -> Iterator[threading.Event]:
    """Shut the connection at the deadline: with a limit per read, a slow peer has no end."""
    late = threading.Event()

    def end() -> None:
        late.set()
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            # Closed already.
            return

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), end)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()
