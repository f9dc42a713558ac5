"""The two faces on their two sockets, from entering to leaving."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cardd.api import admin, agents, cards
from cardd.api.access import AccessTable
from cardd.api.admission import SocketAdmission
from cardd.api.application import application
from cardd.api.backing import Backing
from cardd.api.connections import KEEPALIVE_S, Rules
from cardd.api.encoding import EventEncoder
from cardd.api.listener import Listener
from cardd.api.routes import Route
from cardd.api.socket_files import ListeningSocket, adopt, listen
from cardd.api.streams import ENCODER
from cardd.config import Access, Sockets

DESCRIPTION = (
    "Who is at this workstation, and signed proofs of it. Clients ignore members that they do not "
    "know."
)
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
            app = application(routes, SocketAdmission(table, backing), DESCRIPTION, backing.version)
            app[ENCODER] = encoder
            listener = Listener(app, opened.socket, Rules(keepalive_s=KEEPALIVE_S))
            stack.push_async_callback(listener.stop)
            await listener.start()
        # Last in, first out: streams end before the servers wait for them.
        stack.callback(backing.stopping.set)
        yield
