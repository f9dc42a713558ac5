"""The addresses of `kms.urls`: how each is reached, and which of them may be tried now."""

import math
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cardd.config_kms import Tls, https_address, unix_path
from cardd.errors import KmsUnavailable, StartError
from cardd.kms.addresses import Addresses
from cardd.kms.backoff import Backoff
from cardd.kms.links import Link, explained
from cardd.kms.tls import client_context

CONNECT_S = 1.0

Open = Callable[[], socket.socket]
"""Connects within CONNECT_S; raises OSError, or StartError for files that cannot be used."""


class Endpoint:
    """One key service, and when to ask it again after it failed. Thread-safe."""

    def __init__(self, url: str, open_socket: Open, host: str, backoff: Backoff) -> None:
        self.url = url
        self._open = open_socket
        self._host = host
        self.backoff = backoff

    def connect(self) -> Link:
        """Open a link; KmsUnavailable where that fails, which counts for the back-off."""
        try:
            return Link(self._open(), self._host)
        except (OSError, StartError) as error:
            raise self.failed(explained(error)) from error

    def failed(self, why: str) -> KmsUnavailable:
        """Take it that it cannot be used for a while; return the error that says so."""
        self.backoff.failed(why)
        return self.unavailable()

    def unavailable(self) -> KmsUnavailable:
        """Return the error that says why it was not usable last."""
        return KmsUnavailable(f"the key service at {self.url} cannot be used: {self.backoff.why}")


class Endpoints:
    """The key services in the order of the configuration."""

    def __init__(self, endpoints: tuple[Endpoint, ...]) -> None:
        self._endpoints = endpoints

    @classmethod
    def of(cls, urls: tuple[str, ...], tls: Tls | None) -> "Endpoints":
        """Make them of URLs that the configuration has checked; StartError (`tls_unusable`)."""
        if tls is not None:
            client_context(tls)  # a mistake in it is told at the start
        return cls(tuple(_endpoint(url, tls) for url in urls))

    @property
    def several(self) -> bool:
        """Whether there is another to go to."""
        return len(self._endpoints) > 1

    def usable(self, latest: float = math.inf) -> Iterator[Endpoint]:
        """Yield those that may be tried, until `latest` (monotonic seconds).

        Whoever takes one says what came of it.
        """
        for endpoint in self._endpoints:
            if time.monotonic() < latest and endpoint.backoff.may_try():
                yield endpoint

    def unavailable(self) -> KmsUnavailable:
        """Return the error of all of them: what the first failed of."""
        return self._endpoints[0].unavailable()


def _endpoint(url: str, tls: Tls | None) -> Endpoint:
    path = unix_path(url)
    if path is not None:
        return Endpoint(url, lambda: _open_unix(path), "cardd-kms", Backoff())
    address = https_address(url)
    if address is None or tls is None:
        raise ValueError(f"{url} is no checked URL of a key service")
    host, port = address
    addresses = Addresses(host, port)
    # The files are read for each connection: a certificate that was renewed is used at once.
    return Endpoint(url, lambda: _open_tls(addresses, host, tls), f"{host}:{port}", Backoff())


def _open_unix(path: Path) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(CONNECT_S)
        connected.connect(str(path))
    except BaseException:
        connected.close()
        raise
    return connected


def _open_tls(addresses: Addresses, host: str, tls: Tls) -> socket.socket:
    context = client_context(tls)
    connected = _open_tcp(addresses)
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _secured(connected, context, host)
    except BaseException:
        connected.close()
        raise


def _secured(connected: socket.socket, context: ssl.SSLContext, host: str) -> socket.socket:
    connected.settimeout(CONNECT_S)
    return context.wrap_socket(connected, server_hostname=host)


def _open_tcp(addresses: Addresses) -> socket.socket:
    """Connect to the first address that answers, within CONNECT_S for all of them."""
    failure = OSError("no address was found")
    latest = time.monotonic() + CONNECT_S
    for family, address in addresses.find():
        connected = socket.socket(family, socket.SOCK_STREAM)
        try:
            connected.settimeout(max(latest - time.monotonic(), 0.05))
            connected.connect(address)
        except OSError as error:
            connected.close()
            failure = error
        except BaseException:
            connected.close()
            raise
        else:
            return connected
    raise failure
