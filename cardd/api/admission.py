"""Who may ask for what on the sockets of a workstation: the peer's grants."""

from aiohttp import web

from cardd.api import problems
from cardd.api.access import AccessTable, Standing
from cardd.api.application import Admitted
from cardd.api.backing import Backing
from cardd.api.connections import Connection
from cardd.api.peers import Peer
from cardd.api.routes import Call, Route
from cardd.errors import Code


class SocketAdmission:
    """Implements `Admission` for the faces of cardd."""

    def __init__(self, access: AccessTable, backing: Backing) -> None:
        self._access = access
        self._backing = backing

    async def admit(self, connection: Connection, request: web.Request, route: Route) -> Admitted:
        """Refuse (403) a peer that names nobody, or that has none of the route's rights."""
        peer = connection.caller
        if not isinstance(peer, Peer):
            raise TypeError("the faces of cardd are on Unix sockets alone")
        standing = self._standing(peer, route)
        return lambda body, query: Call(request, peer, standing, self._backing, body, query)

    def _standing(self, peer: Peer, route: Route) -> Standing:
        if not self._access.knows(peer):
            raise problems.Unacceptable(
                403,
                f"uid {peer.uid} names no user (it comes from another user namespace); refused",
                code=Code.FORBIDDEN,
            )
        standing = self._access.standing(peer)
        if route.rights is not None and not standing.has_any(route.rights):
            raise problems.Unacceptable(
                403,
                f"uid {peer.uid} needs the right {' or '.join(sorted(route.rights))}; "
                "the table [access] of the configuration grants it",
                code=Code.FORBIDDEN,
            )
        return standing
