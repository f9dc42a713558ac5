"""An application on a listening socket: started, given other certificates, stopped."""

import asyncio
import socket
import ssl

import structlog
from aiohttp import web

from cardd.api.connections import MAX_HEADER_BYTES, MAX_HEADERS, Connection, Door, Rules
from cardd.api.socket_files import BACKLOG

SHUTDOWN_S = 5.0
HANDSHAKE_S = 5.0
# A client that is not reading does not answer the farewell of its connection.
TLS_END_S = 0.25

_log = structlog.get_logger(__name__)


class _Handshake(ssl.SSLObject):
    """Says in the log why a handshake failed: asyncio says it to nobody, not even to the client."""

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", None) or error.reason or str(error)
            _log.warning("api.tls_refused", reason=reason)
            raise


class Listener:
    """An application on a listening socket, which goes on with other certificates when told."""

    def __init__(self, app: web.Application, listening: socket.socket, rules: Rules) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        self._listening = listening
        self._door = Door(rules)
        self._server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Serve, over TLS where a context is given."""
        await self._runner.setup()
        self._manager.handler_cancellation = True
        self._server = await self._serve(tls)

    async def change(self, tls: ssl.SSLContext) -> None:
        """Use another context for new connections; those that are open go on."""
        former, self._server = self._server, await self._serve(tls)
        if former is not None:
            former.close()

    async def stop(self) -> None:
        """Take no more connections, and end those that are open once their requests are done."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
        await self._door.emptied(TLS_END_S)

    async def _serve(self, tls: ssl.SSLContext | None) -> asyncio.Server:
        # Its own descriptor of the same socket: closing it leaves the queue of the socket alone.
        listening = self._listening.dup()
        if tls is not None:
            tls.sslobject_class = _Handshake
        try:
            return await asyncio.get_running_loop().create_server(
                self._connect,
                sock=listening,
                backlog=BACKLOG,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else HANDSHAKE_S,
                ssl_shutdown_timeout=None if tls is None else TLS_END_S,
            )
        except BaseException:
            listening.close()
            raise

    @property
    def _manager(self) -> web.Server:
        manager = self._runner.server
        if manager is None:
            raise RuntimeError("aiohttp made no server")
        return manager

    def _connect(self) -> Connection:
        return Connection(
            self._manager,
            self._door,
            loop=asyncio.get_running_loop(),
            access_log=None,
            tcp_keepalive=False,
            auto_decompress=False,
            keepalive_timeout=self._door.rules.keepalive_s,
            lingering_time=1.0,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
        )
