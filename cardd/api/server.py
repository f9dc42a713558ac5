"""The two faces on their two sockets, from entering to leaving."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from cardd.api import admin, agents, cards
from cardd.api.access import AccessTable
from cardd.api.application import application
from cardd.api.backing import Backing
from cardd.api.connections import (
    KEEPALIVE_S,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    Connection,
    Door,
)
from cardd.api.encoding import EventEncoder
from cardd.api.routes import Route
from cardd.api.socket_files import BACKLOG, ListeningSocket, adopt, listen
from cardd.config import Access, Sockets

SHUTDOWN_S = 5.0
AGENTS_MODE = 0o666
ADMIN_MODE = 0o660


@dataclass(frozen=True, slots=True)
class Inherited:
    """Listening sockets that systemd opened; None for one that is to be opened here."""

    agents: socket.socket | None = None
    admin: socket.socket | None = None


@asynccontextmanager
async def serve(
    backing: Backing, access: Access, sockets: Sockets, inherited: Inherited | None = None
) -> AsyncIterator[None]:
    """Serve both faces while the block runs; then end streams and answers held back.

    Raises StartError: `config_invalid` for a grant to nobody, `socket_in_use`,
    `socket_unavailable`. Where it raises, no socket file of its own is left.
    """
    table = AccessTable.resolve(access)
    inherited = inherited or Inherited()
    encoder = EventEncoder()
    async with AsyncExitStack() as stack:
        of_agents = (*agents.ROUTES, *cards.ROUTES)
        faces: tuple[tuple[tuple[Route, ...], Path, int, socket.socket | None], ...] = (
            (of_agents, sockets.path, AGENTS_MODE, inherited.agents),
            ((*of_agents, *admin.ROUTES), sockets.admin, ADMIN_MODE, inherited.admin),
        )
        listening: list[tuple[tuple[Route, ...], ListeningSocket]] = []
        for routes, path, mode, given in faces:
            opened = listen(path, mode) if given is None else adopt(given)
            stack.callback(opened.close)
            listening.append((routes, opened))
        for routes, opened in listening:
            app = application(routes, table, backing, encoder)
            await stack.enter_async_context(_running(app, opened.socket))
        # Last in, first out: streams end before the servers wait for them.
        stack.callback(backing.stopping.set)
        yield


@asynccontextmanager
async def _running(app: web.Application, listening: socket.socket) -> AsyncIterator[None]:
    """Run one application on a listening socket."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    manager = runner.server
    if manager is None:
        raise RuntimeError("aiohttp made no server")
    manager.handler_cancellation = True
    loop = asyncio.get_running_loop()
    door = Door()

    def connect() -> Connection:
        return Connection(
            manager,
            door,
            loop=loop,
            access_log=None,
            tcp_keepalive=False,
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=1.0,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
        )

    server = await loop.create_server(connect, sock=listening, backlog=BACKLOG)
    try:
        yield
    finally:
        server.close()
        await runner.cleanup()
