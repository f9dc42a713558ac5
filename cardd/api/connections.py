"""One client's connection: who it is, how many there may be, and errors below the routes."""

import asyncio
import contextlib
import secrets
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, cast

import structlog
from aiohttp import web

from cardd.api import problems
from cardd.api.peers import Caller, Peer, peer_of

MAX_CONNECTIONS = 512
MAX_CONNECTIONS_PER_UID = 64
# Also how long a client may take to send its first request line and headers.
KEEPALIVE_S = 15.0
MAX_HEADER_BYTES = 8190
MAX_HEADERS = 64

_log = structlog.get_logger(__name__)


Identify = Callable[[asyncio.BaseTransport], Caller]
"""Says who made a connection; raises OSError for one that nobody can have made."""


def peer_of_transport(transport: asyncio.BaseTransport) -> Peer:
    """Read who made a connection to a Unix socket."""
    return peer_of(transport.get_extra_info("socket"))


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may connect how often to a listening socket, and what is said of lost connections.

    `keepalive_s` is also how long a client may take to send its first request line and headers.
    """

    identify: Identify = peer_of_transport
    connections: int = MAX_CONNECTIONS
    connections_each: int = MAX_CONNECTIONS_PER_UID
    keepalive_s: float = KEEPALIVE_S
    lost: Callable[[str], None] = lambda _connection: None


class Door:
    """Counts the open connections, and makes room for new ones at the cost of idle ones."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._of: defaultdict[Hashable, dict[Connection, None]] = defaultdict(dict)
        self._total = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._prefix = secrets.token_hex(8)
        self._numbers = 0

    def admit(self, connection: "Connection") -> bool:
        """Tell whether there is room; an idle connection of the same caller may have to go.

        A caller who opens connections without end loses the oldest idle ones and disturbs nobody.
        """
        own = self._of[connection.caller.account]
        if len(own) >= self.rules.connections_each or self._total >= self.rules.connections:
            idle = next((other for other in own if not other.busy), None)
            if idle is None:
                if not own:
                    del self._of[connection.caller.account]
                return False
            self.leave(idle)
            idle.force_close()
        self._of[connection.caller.account][connection] = None
        self._total += 1
        self._empty.clear()
        return True

    def leave(self, connection: "Connection") -> None:
        """Forget a connection; an unknown one is no error."""
        account = connection.caller.account
        own = self._of.get(account, {})
        if connection in own:
            del own[connection]
            self._total -= 1
            if not own:
                del self._of[account]
            if not self._total:
                self._empty.set()

    async def emptied(self, limit_s: float) -> None:
        """Wait until every connection has left, for so long at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), limit_s)

    def name(self) -> str:
        """Return a name that no other connection has."""
        self._numbers += 1
        return f"{self._prefix}-{self._numbers}"


class Connection(web.RequestHandler):
    """A connection whose caller was named when it was made. `id` is its own alone."""

    __slots__ = ("_admitted", "_door", "busy", "caller", "id")

    def __init__(self, server: web.Server, door: Door, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._door = door
        self._admitted = False
        self.busy = False
        self.caller: Caller = Peer(-1, -1, frozenset(), 0)
        self.id = door.name()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read who it is, and refuse one too many."""
        try:
            self.caller = self._door.rules.identify(transport)
        except OSError:
            transport.close()
            return
        self._admitted = self._door.admit(self)
        if not self._admitted:
            _log.warning("api.too_many_connections", caller=str(self.caller.account))
            cast("asyncio.Transport", transport).write(_TOO_MANY)
            transport.close()
            return
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place free."""
        if self._admitted:
            self._door.leave(self)
            super().connection_lost(exc)
            self._door.rules.lost(self.id)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it may quote the request
    ) -> web.StreamResponse:
        """Answer what is no HTTP request with a problem, and close."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun; it can only be broken off")
        error: Exception
        if status < 500:
            error = problems.Unacceptable(status, "this is no HTTP request within its limits")
        else:
            error = exc if isinstance(exc, Exception) else RuntimeError("the server failed")
        response = problems.of_exception(request, error)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; what aiohttp itself refuses becomes a problem."""
        if isinstance(resp, web.HTTPException):
            resp = problems.of_exception(request, resp)
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log through our own logger."""
        _log.error("api.connection_failed", what=str(args[0]), exc_info=kw.get("exc_info"))


_TOO_MANY_BODY = (
    b'{"type":"urn:cardd:problem:rate_limited","title":"Trop de demandes","status":429,'
    b'"detail":"too many connections of this user","code":"rate_limited",'
    b'"user_message":"Trop de demandes en peu de temps. Patientez un instant, puis recommencez.",'
    b'"retry_after":1}'
)
_TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/problem+json\r\n"
    b"Retry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
    % (len(_TOO_MANY_BODY), _TOO_MANY_BODY)
)
