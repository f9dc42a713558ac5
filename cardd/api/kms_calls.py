"""What the handlers of the key service's face are given: who asks, and its service."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web

from cardd.api.application import Admitted
from cardd.api.connections import Connection
from cardd.api.kms_clients import ClientTable, Stranger
from cardd.api.peers import Caller
from cardd.api.problems import Unacceptable
from cardd.api.routes import Route
from cardd.errors import Code
from cardd.kms.ports import Client, KeyService
from cardd.kms.service import Kms
from cardd.worker import Workers

Result = TypeVar("Result")


@dataclass(slots=True)
class KmsBacking:
    """The key service, its clients as they are now, and the threads in which it is called.

    `stopping` is set when the server closes. `clients_changed` is set, and replaced by another,
    when the clients are read again.
    """

    kms: Kms
    workers: Workers
    clients: ClientTable
    version: str
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    clients_changed: asyncio.Event = field(default_factory=asyncio.Event)

    def put_clients(self, clients: ClientTable) -> None:
        """Judge every request by other clients from now on, and let the streams look again."""
        self.clients = clients
        changed, self.clients_changed = self.clients_changed, asyncio.Event()
        changed.set()

    async def admitted(self, connection: Connection) -> Client:
        """Return which client a caller is; refuse (403) and record one that is none.

        Its connection ends: it may have another certificate when it comes again.
        """
        try:
            return self.clients.find(connection.caller)
        except Stranger as stranger:
            who = str(connection.caller.account)
            await self.workers.call(lambda: self.kms.refused_stranger(who))
            connection.close()
            raise Unacceptable(
                403, str(stranger), code=Code.FORBIDDEN, headers={"Connection": "close"}
            ) from None


@dataclass(frozen=True, slots=True)
class KmsCall:
    """One request of a client; `body` and `query` are of the route's models."""

    request: web.Request
    caller: Caller
    client: Client
    service: KeyService
    backing: KmsBacking
    body: Any
    query: Any

    def path(self, name: str) -> str:
        """Return a parameter of the path."""
        return self.request.match_info[name]

    async def run(self, function: Callable[[], Result]) -> Result:
        """Call the key service in a thread; return or raise what it does."""
        return await self.backing.workers.call(function)


class ClientAdmission:
    """Implements `Admission`: every request is judged by the clients as they are when it comes."""

    def __init__(self, backing: KmsBacking) -> None:
        self._backing = backing

    async def admit(self, connection: Connection, request: web.Request, route: Route) -> Admitted:
        """Refuse (403) who is no client; what a client may do, the service itself says."""
        if route.public:
            return lambda _body, _query: self._backing.kms
        client = await self._backing.admitted(connection)
        service = self._backing.kms.for_client(client, connection.id)
        return lambda body, query: KmsCall(
            request, connection.caller, client, service, self._backing, body, query
        )
