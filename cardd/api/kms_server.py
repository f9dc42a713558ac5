"""The key service on its sockets: the Unix socket, TLS for clients, TLS for public keys."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from cardd.api import kms
from cardd.api.application import application
from cardd.api.connections import Rules, peer_of_transport
from cardd.api.kms_calls import ClientAdmission, KmsBacking
from cardd.api.kms_clients import ClientTable, anybody, certified
from cardd.api.listener import Listener
from cardd.api.routes import Route
from cardd.api.socket_files import ListeningSocket, adopt, listen, listen_tcp
from cardd.config import Config
from cardd.config_kms import Listen, Tls, host_and_port
from cardd.errors import KmsUnavailable, StartCode, StartError
from cardd.kms.tls import public_context, server_context

SOCKET_MODE = 0o666
"""Everybody may connect; the kernel says who it is, and the clients' list who may do what."""

# A reader's worker keeps its connection over the quiet hours of a ward.
KEEPALIVE_S = 600.0
PUBLIC_KEEPALIVE_S = 15.0
CONNECTIONS_EACH = 64
PUBLIC_CONNECTIONS_EACH = 16

DESCRIPTION = (
    "The key service of an establishment's badges, for its workstations. Bytes are base64. "
    "Clients ignore members that they do not know."
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KmsSockets:
    """Listening sockets that systemd opened; None for one that is to be opened here."""

    unix: socket.socket | None = None
    https: socket.socket | None = None
    jwks: socket.socket | None = None


class KmsServer:
    """What listens, and what it goes on with when the configuration is read again."""

    def __init__(self, backing: KmsBacking) -> None:
        self._backing = backing
        self._lock = asyncio.Lock()
        self._mutual: Listener | None = None
        self._public: Listener | None = None
        self.https: tuple[str, int] | None = None
        self.jwks: tuple[str, int] | None = None

    async def start(self, config: Config, sockets: KmsSockets, stack: AsyncExitStack) -> None:
        """Open every socket, then serve; `stack` stops it again. Errors as `serve_kms`."""
        settings = config.kms.listen
        opened = _open(settings, sockets, stack)
        contexts = _contexts(config.kms.tls, opened)
        unix, mutual, public = opened
        await self._listen(stack, unix, kms.ROUTES, self._rules(settings, None))
        if mutual is not None:
            rules = self._rules(settings, "certificate")
            self._mutual = await self._listen(stack, mutual, kms.ROUTES, rules, contexts[0])
            self.https = mutual.socket.getsockname()[:2]
        if public is not None:
            rules = Rules(
                anybody, settings.max_connections, PUBLIC_CONNECTIONS_EACH, PUBLIC_KEEPALIVE_S
            )
            self._public = await self._listen(stack, public, kms.PUBLIC, rules, contexts[1])
            self.jwks = public.socket.getsockname()[:2]

    async def reload(self, config: Config) -> None:
        """Go on with other clients and certificates; what is open stays open.

        Raises StartError where they cannot be used; nothing has changed then.
        """
        async with self._lock:
            clients = ClientTable.resolve(config)
            mutual = public = None
            if config.kms.tls is not None:
                mutual = server_context(config.kms.tls) if self._mutual else None
                public = public_context(config.kms.tls) if self._public else None
            changes = clients.changes(self._backing.clients)
            self._backing.put_clients(clients)
            if self._mutual is not None and mutual is not None:
                await self._mutual.change(mutual)
            if self._public is not None and public is not None:
                await self._public.change(public)
        await self._record(changes)

    async def _record(self, changes: list[tuple[str, str]]) -> None:
        for name, change in changes:
            _log.info("kms.client_changed", client=name, change=change)
            try:
                record = partial(self._backing.kms.client_changed, name, change)
                await self._backing.workers.call(record)
            except KmsUnavailable as error:  # a revoked client is refused all the same
                _log.error("audit.client_not_recorded", client=name, reason=str(error))

    async def _listen(
        self,
        stack: AsyncExitStack,
        opened: ListeningSocket,
        routes: tuple[Route, ...],
        rules: Rules,
        tls: ssl.SSLContext | None = None,
    ) -> Listener:
        admission = ClientAdmission(self._backing)
        app = application(routes, admission, DESCRIPTION, self._backing.version)
        listener = Listener(app, opened.socket, rules)
        stack.push_async_callback(listener.stop)
        await listener.start(tls)
        return listener

    def _rules(self, settings: Listen, known_by: str | None) -> Rules:
        return Rules(
            identify=certified if known_by else peer_of_transport,
            connections=settings.max_connections,
            connections_each=CONNECTIONS_EACH,
            keepalive_s=KEEPALIVE_S,
            lost=self._backing.kms.disconnected,
        )


@asynccontextmanager
async def serve_kms(
    backing: KmsBacking, config: Config, sockets: KmsSockets | None = None
) -> AsyncIterator[KmsServer]:
    """Serve the key service while the block runs; then end streams, and answers under way.

    Raises StartError: `config_invalid`, `tls_unusable`, `socket_in_use`, `socket_unavailable`.
    """
    server = KmsServer(backing)
    async with AsyncExitStack() as stack:
        await server.start(config, sockets or KmsSockets(), stack)
        # Last in, first out: streams end before the servers wait for them.
        stack.callback(backing.stopping.set)
        yield server


_Opened = tuple[ListeningSocket, ListeningSocket | None, ListeningSocket | None]


def _open(settings: Listen, given: KmsSockets, stack: AsyncExitStack) -> _Opened:
    """Listen at every address of the configuration, or at what systemd listens at."""

    def entered(opened: ListeningSocket) -> ListeningSocket:
        stack.callback(opened.close)
        return opened

    def of_tcp(inherited: socket.socket | None, address: str | None) -> ListeningSocket | None:
        if inherited is not None:
            return entered(adopt(inherited, tcp=True))
        return None if address is None else entered(listen_tcp(*host_and_port(address)))

    if given.unix is None:
        unix = entered(listen(settings.socket, SOCKET_MODE))
    else:
        unix = entered(adopt(given.unix))
    return unix, of_tcp(given.https, settings.https), of_tcp(given.jwks, settings.jwks)


def _contexts(
    tls: Tls | None, opened: _Opened
) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    _, mutual, public = opened
    if mutual is None and public is None:
        return None, None
    if tls is None:
        raise StartError(
            StartCode.CONFIG_INVALID,
            "the service manager passed a TCP socket, and there is no [kms.tls] to serve it with",
        )
    return server_context(tls), public_context(tls)
