"""A face as an aiohttp application: from the route table to answers."""

from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web

from cardd.api import openapi, problems, requests
from cardd.api.access import AccessTable
from cardd.api.backing import Backing
from cardd.api.connections import Connection
from cardd.api.encoding import EventEncoder
from cardd.api.peers import Peer
from cardd.api.routes import Call, Reply, Route
from cardd.api.streams import ENCODER
from cardd.errors import Code

_Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STABILITY = web.RequestKey("stability", str)

_log = structlog.get_logger(__name__)


def application(
    routes: tuple[Route, ...], access: AccessTable, backing: Backing, encoder: EventEncoder
) -> web.Application:
    """Build the application that serves these routes and the document that describes them."""
    app = web.Application(middlewares=[_outermost], client_max_size=requests.MAX_BODY_BYTES)
    app[ENCODER] = encoder
    app.on_response_prepare.append(_common_headers)
    document = msgspec.json.encode(openapi.document(routes, backing.version))
    described = (*routes, openapi.route(document))
    for route in described:
        app.router.add_route(route.method, route.path, _responder(route, access, backing))
    return app


@web.middleware
async def _outermost(request: web.Request, handler: _Respond) -> web.StreamResponse:
    """Let no exception out, and tell the door that the connection is in use."""
    connection = request.protocol
    if isinstance(connection, Connection):
        connection.busy = True
    try:
        return await handler(request)
    except Exception as error:  # every error becomes a problem here
        if request.writer.output_size > 0:
            raise
        return problems.of_exception(request, error)
    finally:
        if isinstance(connection, Connection):
            connection.busy = False


def _responder(route: Route, access: AccessTable, backing: Backing) -> _Respond:
    """Return what checks a request against its route, calls the handler and encodes its reply."""

    async def respond(request: web.Request) -> web.StreamResponse:
        request[_STABILITY] = route.stability
        peer = _peer(request)
        call = await _checked(route, request, peer, access, backing)
        reply = await route.handler(call)
        _log.debug("api.request", method=route.method, path=route.path, uid=peer.uid)
        return _encoded(reply) if isinstance(reply, Reply) else reply

    return respond


async def _checked(
    route: Route, request: web.Request, peer: Peer, access: AccessTable, backing: Backing
) -> Call:
    """Check who asks before what is asked: a stranger learns nothing from a parser."""
    if not access.knows(peer):
        raise problems.Unacceptable(
            403,
            f"uid {peer.uid} names no user (it comes from another user namespace); refused",
            code=Code.FORBIDDEN,
        )
    requests.refuse_browsers(request)
    standing = access.standing(peer)
    if route.rights is not None and not standing.has_any(route.rights):
        raise problems.Unacceptable(
            403,
            f"uid {peer.uid} needs the right {' or '.join(sorted(route.rights))}; "
            "the table [access] of the configuration grants it",
            code=Code.FORBIDDEN,
        )
    query = requests.query(request, route.query)
    if route.body is None:
        requests.no_body(request)
        body = None
    else:
        body = await requests.body(request, route.body)
    return Call(request, peer, standing, backing, body, query)


def _peer(request: web.Request) -> Peer:
    connection = request.protocol
    if not isinstance(connection, Connection):
        raise TypeError("the applications run on `server.serve` alone")
    return connection.peer


def _encoded(reply: Reply) -> web.Response:
    if reply.content is None:
        return web.Response(status=reply.status, headers=reply.headers)
    return web.Response(
        body=msgspec.json.encode(reply.content),
        status=reply.status,
        content_type="application/json",
        headers=reply.headers,
    )


async def _common_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["X-Stability"] = request.get(_STABILITY, "stable")
    response.headers["Server"] = "cardd"
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
