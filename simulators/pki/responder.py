"""The OCSP responder of a test IGC-Santé, over HTTP on loopback (RFC 6960, appendix A)."""

import base64
import binascii
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from simulators.pki.authorities import Pki
from simulators.pki.ocsp import Manner, OcspSigner

LONGEST_REQUEST = 4096
LONGEST_DIGITS = 6
REQUEST_SECONDS = 5.0
SILENCE_SECONDS = 60.0
STOP_SECONDS = 5.0
REQUEST_TYPE = "application/ocsp-request"
RESPONSE_TYPE = "application/ocsp-response"
GARBAGE = b"\x30\x82\xff\xff no response at all"

Clock = Callable[[], datetime]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class OcspResponder:
    """A responder that runs inside a `with` block, in threads of its own.

    Certificates that are to name it: `pki.name_responder(responder.address)` before they are
    issued. `manner` may be changed at any time; `asked` counts the requests that were answered, or
    left without an answer on purpose. What is revoked in the PKI's folder counts at once, whoever
    revoked it.
    """

    def __init__(
        self,
        pki: Pki,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        manner: Manner = Manner.HONEST,
        clock: Clock = _utc_now,
    ) -> None:
        self.manner = manner
        self.asked = 0
        self._pki = pki
        self._clock = clock
        self._signer = OcspSigner.of(pki)
        self._counting = threading.Lock()
        self._stopping = threading.Event()
        self._server = _Server((host, port), self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="ocsp", daemon=True
        )

    @property
    def address(self) -> str:
        """Its URL."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(STOP_SECONDS)

    def respond(self, request: bytes) -> tuple[HTTPStatus, bytes] | None:
        """Return the HTTP status and body for an OCSP request, None for silence."""
        with self._counting:
            self.asked += 1
        manner = self.manner
        if manner is Manner.SILENT:
            self._stopping.wait(SILENCE_SECONDS)
            return None
        if manner is Manner.UNAVAILABLE:
            return HTTPStatus.SERVICE_UNAVAILABLE, b""
        if manner is Manner.GARBAGE:
            return HTTPStatus.OK, GARBAGE
        revoked = self._pki.read_revoked()
        return HTTPStatus.OK, self._signer.answer(request, revoked, manner, self._clock())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A silent answer must not hold up the end.
    block_on_close = False

    def __init__(self, place: tuple[str, int], responder: OcspResponder) -> None:
        super().__init__(place, _Handler)
        self.responder = responder

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away."""


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_SECONDS
    server: _Server

    def do_GET(self) -> None:
        """Answer a request in the path, base64."""
        try:
            self._respond(base64.b64decode(unquote(self.path.lstrip("/")), validate=True))
        except (binascii.Error, ValueError):
            self._send(HTTPStatus.NOT_FOUND, b"")

    def do_POST(self) -> None:
        """Answer a request in the body."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != REQUEST_TYPE:
            self._send(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, b"")
        elif not (length.isascii() and length.isdigit()):
            self._send(HTTPStatus.LENGTH_REQUIRED, b"")
        elif len(length) > LONGEST_DIGITS or int(length) > LONGEST_REQUEST:
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"")
        else:
            self._respond(self.rfile.read(int(length)))

    def _respond(self, request: bytes) -> None:
        answer = self.server.responder.respond(request)
        if answer is None:
            self.close_connection = True
            return
        self._send(*answer)

    def _send(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        if body:
            self.send_header("Content-Type", RESPONSE_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
        """Log nothing."""
