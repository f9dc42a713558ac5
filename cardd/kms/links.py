"""One kept connection to a key service: requests and answers, and the stream of notices."""

import http.client
import select
import socket
import ssl
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

ANSWER_S = 2.0
MAX_ANSWER_BYTES = 8 * 1024 * 1024
MAX_LINE_BYTES = 64 * 1024


class LinkLost(Exception):
    """The connection broke, or its other end says nothing or nonsense; the message says which.

    `late` says that nothing came in time: the other end may still be at it.
    """

    def __init__(self, why: str, *, late: bool = False) -> None:
        super().__init__(why)
        self.late = late


@dataclass(frozen=True, slots=True)
class Request:
    """A request that a link sends; `repeatable` says that it may be sent again when it is lost."""

    method: str
    path: str
    body: bytes | None = None
    repeatable: bool = True
    answer_s: float = ANSWER_S


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer with its whole body."""

    status: int
    content_type: str
    body: bytes


class Link:
    """A connection of one thread; `close` alone may be called from another. Raises LinkLost."""

    def __init__(self, connected: socket.socket, host: str) -> None:
        self._socket = connected
        self._http = http.client.HTTPConnection(host)
        self._http.auto_open = 0  # it never connects by itself
        self._http.sock = connected
        self.used = False
        # Where its thread ends and nobody closes it.
        self._finalizer = weakref.finalize(self, _close, connected)

    @property
    def open(self) -> bool:
        """Whether nobody has closed it here."""
        return self._finalizer.alive

    def alive(self) -> bool:
        """Tell whether an idle one can still be used: all that it can have to say is good-bye."""
        try:
            waiting = select.poll()
            waiting.register(self._socket, select.POLLIN)
            return self.open and not waiting.poll(0)
        except (OSError, ValueError):
            return False

    def ask(self, request: Request) -> Answer:
        """Send a request and return the answer; after LinkLost the link is closed."""
        response = self._send(request)
        try:
            with response:
                body = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(error) from error
        if len(body) > MAX_ANSWER_BYTES:
            raise self._lost(OSError(f"an answer of over {MAX_ANSWER_BYTES} bytes"))
        if response.will_close:
            self.close()
        self.used = True
        return Answer(response.status, response.headers.get_content_type(), body)

    def lines(self, request: Request, silence_s: float) -> Iterator[bytes]:
        """Yield the lines of an endless answer without their ends; return where it ends.

        Raises LinkLost, also where nothing comes for `silence_s`.
        """
        response = self._send(request)
        self.used = True
        try:
            if response.status == 200:
                self._socket.settimeout(silence_s)
                yield from _lines(response)
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(error) from error
        finally:
            response.close()
            self.close()
        if response.status != 200:
            raise LinkLost(f"it answers with HTTP status {response.status}")

    def close(self) -> None:
        """Close the connection; whoever waits for it in another thread wakes up."""
        self._finalizer()

    def _send(self, request: Request) -> http.client.HTTPResponse:
        headers = {} if request.body is None else {"Content-Type": "application/json"}
        try:
            self._socket.settimeout(request.answer_s)
            self._http.request(request.method, request.path, request.body, headers)
            return self._http.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> LinkLost:
        self.close()
        return LinkLost(explained(error), late=isinstance(error, TimeoutError))


def explained(error: Exception) -> str:
    """Say in a few words what an error of a connection means."""
    if isinstance(error, ssl.SSLError):
        return _explained_tls(error)
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, OSError):
        return error.strerror or str(error) or "it closed the connection"
    return f"what it says is not understood: {error or type(error).__name__}"


def _explained_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused here: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError):
        return "it closed the connection"
    if "ALERT" in (error.reason or ""):
        return f"it refuses this workstation's certificate or its TLS: {error.reason}"
    return f"TLS failed: {error.reason or error}"


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while line := response.readline(MAX_LINE_BYTES + 1):
        if not line.endswith(b"\n"):
            raise http.client.HTTPException("a line that does not end")
        yield line[:-1]


def _close(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        connected.close()
