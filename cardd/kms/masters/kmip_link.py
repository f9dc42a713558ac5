"""The way to a KMIP server: mutual TLS to a host whose name is checked, kept open between calls."""

import collections
import socket
import ssl
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cardd.errors import KmsUnavailable, StartCode, StartError
from cardd.kms.masters import kmip_messages
from cardd.kms.masters.kmip_messages import Request
from cardd.kms.masters.outage import CredentialsRefused, Outage

CALL_LIMIT_S = 2.0
_KEPT = 8
_DEFAULT_PORT = 5696
_DEFAULT_PREFIX = "cardd"


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is, and what the names of our keys begin with."""

    host: str
    port: int
    prefix: str

    def __str__(self) -> str:
        return f"the KMIP server {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this key service is to the server, and the authority of the server's certificate."""

    certificate: Path
    key: Path
    authority: Path


def parse(url: str) -> Server:
    """Parse `kmip://HOST[:PORT][/PREFIX]`; raise StartError (`config_invalid`)."""
    try:
        parts = urlsplit(url)
        port = _DEFAULT_PORT if parts.port is None else parts.port
    except ValueError:
        parts, port = urlsplit(""), 0
    prefix = parts.path.strip("/") or _DEFAULT_PREFIX
    extra = parts.query or parts.fragment or "@" in parts.netloc or "/" in prefix
    if not parts.hostname or not port or extra:
        raise StartError(
            StartCode.CONFIG_INVALID,
            f"kms.masters {url!r} is not understood; write kmip://HOST:PORT, and /PREFIX where the "
            "names of the keys begin with another word than cardd",
        )
    return Server(parts.hostname, port, prefix)


class KmipLink:
    """Connections to one server. Thread-safe: each call has a connection to itself.

    Raises StartError (`masters_credentials`) when it is made, where the files of the identity
    cannot be used.
    """

    def __init__(
        self,
        server: Server,
        identity: Identity,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.server = server
        self._context = _tls(identity)
        self._outage = Outage(monotonic)
        self._idle: collections.deque[ssl.SSLSocket] = collections.deque()

    def call(self, request: Request) -> Any:
        """Return the payload of the answer.

        Where a kept connection proves dead, a safe request is sent once more on a new one; others
        always get a new one. Raises KmsUnavailable within seconds, KmipFailure.
        """
        self._outage.require_over()
        message, deadline = request.encode(), time.monotonic() + CALL_LIMIT_S
        answer = self._on_kept(message, deadline) if request.safe else None
        if answer is None:
            answer = self._on_new(message, deadline)
        return request.decode(answer)

    def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            self._idle.pop().close()

    def _on_kept(self, message: bytes, deadline: float) -> bytes | None:
        try:
            connection = self._idle.pop()
        except IndexError:
            return None
        try:
            answer = _exchange(connection, message, deadline)
        except TimeoutError:
            connection.close()
            raise self._outage.begin(f"{self.server} does not answer in time") from None
        except OSError:
            connection.close()
            self.close()  # the others are no younger
            return None
        except BaseException:
            connection.close()
            raise
        self._keep(connection)
        return answer

    def _on_new(self, message: bytes, deadline: float) -> bytes:
        try:
            connection = self._connect(deadline)
            try:
                answer = _exchange(connection, message, deadline)
            except BaseException:
                connection.close()
                raise
        except OSError as error:
            raise self._failed(error) from error
        self._outage.end()
        self._keep(connection)
        return answer

    def _connect(self, deadline: float) -> ssl.SSLSocket:
        plain = socket.create_connection(
            (self.server.host, self.server.port), timeout=_left(deadline)
        )
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self._context.wrap_socket(plain, server_hostname=self.server.host)
        except BaseException:
            plain.close()
            raise

    def _keep(self, connection: ssl.SSLSocket) -> None:
        if len(self._idle) < _KEPT:
            self._idle.append(connection)
        else:
            connection.close()

    def _failed(self, error: OSError) -> KmsUnavailable:
        if isinstance(error, ssl.SSLCertVerificationError):
            why = f"its certificate is refused: {error.verify_message}"
        elif isinstance(error, ssl.SSLError):
            why = f"TLS failed ({error.reason or 'no reason given'}): it may refuse our certificate"
        elif isinstance(error, TimeoutError):
            why = "it does not answer in time"
        else:
            why = error.strerror or type(error).__name__
        begun = self._outage.begin(f"{self.server} cannot be used: {why}")
        return CredentialsRefused(str(begun)) if isinstance(error, ssl.SSLError) else begun


def _exchange(connection: ssl.SSLSocket, message: bytes, deadline: float) -> bytes:
    connection.settimeout(_left(deadline))
    connection.sendall(message)
    header = _receive(connection, kmip_messages.TTLV_HEADER_BYTES, deadline)
    return header + _receive(connection, kmip_messages.remaining(header), deadline)


def _receive(connection: ssl.SSLSocket, length: int, deadline: float) -> bytes:
    received = bytearray()
    while len(received) < length:
        connection.settimeout(_left(deadline))
        part = connection.recv(length - len(received))
        if not part:
            raise ConnectionResetError("the server closed the connection")
        received += part
    return bytes(received)


def _left(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _tls(identity: Identity) -> ssl.SSLContext:
    try:
        if stat.S_IMODE(identity.key.stat().st_mode) & 0o007:
            raise StartError(
                StartCode.MASTERS_CREDENTIALS,
                f"the key {identity.key} is open to others: make it 0600, and get another "
                "certificate if others may have copied it",
            )
        context = ssl.create_default_context(cafile=identity.authority)  # it checks the host name
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(identity.certificate, identity.key)
    except OSError as error:  # ssl.SSLError is one
        raise StartError(
            StartCode.MASTERS_CREDENTIALS,
            f"the files of [kms.kmip] cannot be used ({error}); give PEM files: certificate, key "
            "without a passphrase, and authority",
        ) from error
    return context
