"""A route: the one description that the router, the checks and the OpenAPI document use."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from aiohttp import web

from cardd.api.access import Standing
from cardd.api.backing import Backing
from cardd.api.models import NoQuery
from cardd.api.peers import Peer
from cardd.config import Right

Stability = Literal["stable", "experimental"]

OBSERVERS: frozenset[Right] = frozenset({"observe", "authenticate", "admin"})
SEAT: frozenset[Right] = frozenset({"authenticate", "admin"})
AUTHENTICATORS: frozenset[Right] = frozenset({"authenticate"})
ADMINISTRATORS: frozenset[Right] = frozenset({"admin"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request that passed the checks of its route; `body` and `query` are of its models."""

    request: web.Request
    peer: Peer
    standing: Standing
    backing: Backing
    body: Any
    query: Any

    def path(self, name: str) -> str:
        """Return a parameter of the path."""
        return self.request.match_info[name]

    @property
    def owner(self) -> str:
        """Name the peer as the owner of the operations that it starts."""
        return f"uid:{self.peer.uid}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers; `content` is encoded as JSON, None is an empty body."""

    content: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Any], Awaitable[Reply | web.StreamResponse]]
"""Takes the call of its face: `Call`, or that of the key service's (kms_calls.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A method on a path.

    `rights`: holding any of them is enough; None lets every peer in whose uid names a user.
    `answers` gives the model of each successful status, None for an empty body. `body` is the
    struct, or the union of structs, that the request's must be. `public` is for everybody.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    summary: str
    handler: Handler
    answers: Mapping[int, Any]
    rights: frozenset[Right] | None = None
    body: Any = None
    query: type[msgspec.Struct] = NoQuery
    content_types: tuple[str, ...] = ("application/json",)
    stability: Stability = "stable"
    public: bool = False

    @property
    def name(self) -> str:
        """Name the operation in the OpenAPI document: the handler's name."""
        return getattr(self.handler, "__name__", self.summary)
