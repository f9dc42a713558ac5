"""What the key service and its clients say to each other: HTTP/1.1 with JSON bodies.

The bodies are the structs of messages.py and these. Errors are problems (RFC 9457) whose further
members are the error's facts.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from cardd.kms import messages as m

PROCEDURES = "/v1/procedures"
CHALLENGES = "/v1/challenges"
CPS_AUTHENTICATIONS = "/v1/cps-authentications"
PRESENCES = "/v1/presences"
NOTICES = "/v1/notices"
HOLDERS = "/v1/holders"
BADGES = "/v1/badges"
HEALTH = "/v1/health"
JWKS = "/jwks"

NOTICES_TYPE = "application/x-ndjson"
HEARTBEAT_S = 5.0
"""How often a line of a stream of notices comes at least, an empty one if need be."""

PROBLEM_MEMBERS = frozenset({"type", "title", "status", "detail", "code", "user_message"})
"""The members of a problem that are none of its facts."""


_Answers = Annotated[tuple[bytes, ...], Meta(max_length=64)]
_Requests = Annotated[tuple[m.AssertionRequest, ...], Meta(max_length=64)]


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of a request; what is not listed is refused."""


class CardAnswers(Order, frozen=True):
    """The card's response APDUs to the commands of the last step, in their order."""

    answers: _Answers


class CpsProof(Order, frozen=True):
    """What a CPS signed for a login, and what is asked for (`KeyService.authenticate_cps`)."""

    proof: str
    requests: _Requests = ()
    presence: bool = True
    expect_holder: str | None = None


class AssertionOrder(Order, frozen=True):
    """The assertions that are asked for on a presence."""

    requests: _Requests


class Assertions(msgspec.Struct, frozen=True):
    """Compact JWS, in the order of the requests."""

    assertions: tuple[str, ...]


class Reason(Order, frozen=True):
    """Why a presence is ended, or a badge revoked."""

    reason: Annotated[str, Meta(max_length=128)]


class NoticeLine(msgspec.Struct, frozen=True):
    """A line of the stream of notices; `id` is the `since` with which it goes on after this."""

    id: str
    notice: m.Notice
