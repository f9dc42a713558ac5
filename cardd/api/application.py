"""A face as an aiohttp application: from the route table to answers."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
import structlog
from aiohttp import web

from cardd.api import openapi, problems, requests
from cardd.api.connections import Connection
from cardd.api.routes import Reply, Route

Admitted = Callable[[Any, Any], Any]
"""Makes the call that a handler is given, of the body and the query of the request."""

_Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STABILITY = web.RequestKey("stability", str)

_log = structlog.get_logger(__name__)


class Admission(Protocol):
    """Who may ask for what, and what the handlers of a face are given."""

    async def admit(self, connection: Connection, request: web.Request, route: Route) -> Admitted:
        """Raise Unacceptable, or another error, for who may not; say how to call the handler."""


def application(
    routes: tuple[Route, ...], admission: Admission, description: str, version: str
) -> web.Application:
    """Build the application that serves these routes and the document that describes them."""
    app = web.Application(middlewares=[_outermost], client_max_size=requests.MAX_BODY_BYTES)
    app.on_response_prepare.append(_common_headers)
    document = msgspec.json.encode(openapi.document(routes, description, version))
    described = (*routes, openapi.route(document))
    for route in described:
        app.router.add_route(route.method, route.path, _responder(route, admission))
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


def _responder(route: Route, admission: Admission) -> _Respond:
    """Return what checks a request against its route, calls the handler and encodes its reply."""

    async def respond(request: web.Request) -> web.StreamResponse:
        request[_STABILITY] = route.stability
        connection = request.protocol
        if not isinstance(connection, Connection):
            raise TypeError("the applications run on a `Listener` alone")
        # Who asks comes before what is asked: a stranger learns nothing from a parser.
        admitted = await admission.admit(connection, request, route)
        requests.refuse_browsers(request)
        query = requests.query(request, route.query)
        call = admitted(await _body(request, route), query)
        reply = await route.handler(call)
        _log.debug(
            "api.request",
            method=route.method,
            path=route.path,
            caller=str(connection.caller.account),
        )
        return _encoded(reply) if isinstance(reply, Reply) else reply

    return respond


async def _body(request: web.Request, route: Route) -> Any:
    if route.body is None:
        requests.no_body(request)
        return None
    return await requests.body(request, route.body)


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
