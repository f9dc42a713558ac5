"""A witness that is a syslog server over TLS (RFC 5425), on one kept connection.

Syslog has no acknowledgement. A message counts as delivered once the server's system has taken it
in (TCP) and the connection still stands. One that a dying server may have lost is sent again on the
next connection: a checkpoint that comes twice does no harm.
"""

import fcntl
import os
import select
import socket
import ssl
import struct
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cardd.clock import Clock
from cardd.config_kms import Tls
from cardd.errors import StartCode, StartError
from cardd.kms.audit import syslog

TIMEOUT_S = 5.0
_REFUSAL_S = 0.2
_POLL_S = 0.01


class SyslogLink:
    """Implements `Carrier`."""

    def __init__(
        self, address: tuple[str, int], context: ssl.SSLContext, replica: str, clock: Clock
    ) -> None:
        self._address = address
        self._context = context
        self._replica = replica
        self._clock = clock
        self._socket: ssl.SSLSocket | None = None
        self._last: str | None = None

    def deliver(self, jws: str) -> None:
        """Send a checkpoint; raise OSError (ssl.SSLError among them) where it does not arrive."""
        try:
            if self._socket is not None and _ended(self._socket, 0):
                self.close()
            if self._socket is None:
                self._socket = self._connect()
                self._send(self._socket, self._last or jws)
                # In TLS 1.3 a server refuses a client's certificate after the client may send.
                _require_standing(self._socket, _REFUSAL_S)
                if self._last is None:
                    self._last = jws
                    return
            self._send(self._socket, jws)
            _require_standing(self._socket, 0)
        except OSError:
            self.close()
            raise
        self._last = jws

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
        self._socket = None

    def _connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(self._address, TIMEOUT_S)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            # Unanswered data ends the connection after this time, in milliseconds.
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(TIMEOUT_S * 1000))
            return self._context.wrap_socket(plain, server_hostname=self._address[0])
        except OSError:
            plain.close()
            raise

    def _send(self, connection: ssl.SSLSocket, jws: str) -> None:
        octets = syslog.message(
            jws, time=self._clock.now(), host=self._replica, process=os.getpid()
        )
        connection.settimeout(TIMEOUT_S)
        connection.sendall(syslog.framed(octets))
        _await(lambda: not _unacknowledged(connection))


def context(authority: Path, identity: Tls | None) -> ssl.SSLContext:
    """Return what the server is judged by: this authority alone, and the host's name.

    `identity` is what this end shows. Raises StartError (`tls_unusable`).
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9662
    made.check_hostname = True
    made.hostname_checks_common_name = False
    try:
        made.load_verify_locations(cafile=authority)
        if identity is not None:
            made.load_cert_chain(identity.certificate, identity.key, password=lambda: b"")
    except OSError as error:
        raise StartError(
            StartCode.TLS_UNUSABLE,
            f"kms.audit_witness_authority {authority}, or the certificate of [kms.tls], cannot be "
            f"used: {error.strerror or error}",
        ) from error
    return made


def _ended(connection: ssl.SSLSocket, wait_s: float) -> bool:
    """Tell whether the other end has ended the connection; OSError where it broke it off."""
    if wait_s and not select.select([connection], [], [], wait_s)[0]:
        return False
    connection.settimeout(0)
    try:
        return not connection.recv(1024)  # a syslog server says nothing
    except (ssl.SSLWantReadError, BlockingIOError):
        return False


def _require_standing(connection: ssl.SSLSocket, wait_s: float) -> None:
    if _ended(connection, wait_s):
        raise ConnectionResetError(None, "the server ended the connection")


def _unacknowledged(connection: socket.socket) -> int:
    """Return how many octets the other system has not acknowledged (tcp(7), SIOCOUTQ)."""
    packed = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    (waiting,) = struct.unpack("i", packed)
    return int(waiting)


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(None, "the server does not answer")
        time.sleep(_POLL_S)
