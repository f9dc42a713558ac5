"""The face for agents: who is at this workstation, and proofs of it."""

from aiohttp import web

from cardd.api import models, operations
from cardd.api.routes import (
    AUTHENTICATORS,
    OBSERVERS,
    SEAT,
    Call,
    Reply,
    Route,
)
from cardd.api.streams import CONTENT_TYPES, stream
from cardd.errors import Code, Refused
from cardd.kms.messages import AssertionRequest
from cardd.presence.model import AuthenticationRequest, PresenceView

API_VERSION = "1.0"
FEATURES = ("badge", "cps", "presences", "events", "enrolments")


async def get_status(call: Call) -> Reply:
    """Tell the health."""
    backing = call.backing
    status = backing.workstation.status()
    return Reply(
        models.Status(
            api=models.ApiStatus(API_VERSION, FEATURES),
            daemon=models.DaemonStatus(backing.version),
            can=status.can,
            sources=status.sources,
            site=models.SiteStatus(backing.issuer, backing.device),
            development=backing.development,
        )
    )


async def get_readers(call: Call) -> Reply:
    """List the readers."""
    identity = call.standing.of_seat
    readers = call.backing.workstation.readers()
    items = tuple(models.ReaderItem.of(reader, identity=identity) for reader in readers)
    return Reply(models.ReaderList(items))


async def get_events(call: Call) -> web.StreamResponse:
    """Stream the events."""
    return await stream(call)


async def start_authentication(call: Call) -> Reply:
    """Wait for the next card."""
    request: AuthenticationRequest = call.body
    _require_audience(call, request.audience)
    operation = call.backing.workstation.authenticate(call.owner, request)
    return await operations.begun(call, operation, request.wait_s)


async def get_authentication(call: Call) -> Reply:
    """Show an authentication."""
    return await operations.polled(call, "authentication")


async def cancel_authentication(call: Call) -> Reply:
    """Cancel an authentication."""
    return await operations.cancelled(call, "authentication")


async def get_presences(call: Call) -> Reply:
    """List who is there."""
    identity = call.standing.of_seat
    presences = call.backing.workstation.presences()
    items = tuple(models.PresenceItem.of(each, identity=identity) for each in presences)
    return Reply(models.PresenceList(items))


async def get_presence(call: Call) -> Reply:
    """Show one presence."""
    return Reply(models.PresenceItem.of(_presence(call), identity=True))


async def end_presence(call: Call) -> Reply:
    """End a presence."""
    await call.backing.workstation.end_presence(call.path("sid"), "ended_by_client")
    return Reply(status=204)


async def create_assertion(call: Call) -> Reply:
    """Have an assertion signed on a presence."""
    order: models.AssertionOrder = call.body
    _require_audience(call, order.audience)
    request = AssertionRequest(order.audience, order.nonce, order.minimum_acr)
    sid = _presence(call).sid
    (assertion,) = await call.backing.workstation.assertions(sid, (request,))
    return Reply(models.Assertion(assertion))


async def report_activity(call: Call) -> Reply:
    """Take an agent's word that the person is active."""
    activity: models.Activity = call.body
    presence = call.backing.workstation.touch(call.path("sid"), activity.idle_since)
    return Reply(models.PresenceItem.of(presence, identity=True))


async def get_jwks(call: Call) -> Reply:
    """Give the public keys."""
    return Reply(await call.backing.workstation.run_kms(call.backing.keys.jwks))


def _presence(call: Call) -> PresenceView:
    presence = call.backing.workstation.presence(call.path("sid"))
    if presence is None:
        raise Refused(Code.NOT_FOUND, "there is no such presence at this workstation")
    return presence


def _require_audience(call: Call, audience: str) -> None:
    if not call.standing.may_ask_for(audience):
        raise Refused(
            Code.FORBIDDEN,
            f"uid {call.peer.uid} may not ask for the audience {audience!r}; add it to the "
            "audiences of its grant in [access]",
            audience=audience,
        )


ROUTES = (
    Route(
        method="GET",
        path="/v1/status",
        summary="Health, version and what can be offered now",
        handler=get_status,
        rights=None,
        answers={200: models.Status},
    ),
    Route(
        method="GET",
        path="/v1/readers",
        summary="Readers and cards",
        handler=get_readers,
        rights=OBSERVERS,
        answers={200: models.ReaderList},
    ),
    Route(
        method="GET",
        path="/v1/events",
        summary="Events as they happen; Last-Event-ID replays, else the first is a snapshot",
        handler=get_events,
        rights=OBSERVERS,
        answers={200: models.EventItem},
        content_types=CONTENT_TYPES,
    ),
    Route(
        method="POST",
        path="/v1/authentications",
        summary="Authenticate the holder of the next card shown",
        handler=start_authentication,
        rights=AUTHENTICATORS,
        body=AuthenticationRequest,
        answers={200: models.AuthenticationView, 202: models.AuthenticationView},
    ),
    Route(
        method="GET",
        path="/v1/authentications/{id}",
        summary="An authentication that this peer started",
        handler=get_authentication,
        rights=AUTHENTICATORS,
        query=models.AuthenticationWait,
        answers={200: models.AuthenticationView},
    ),
    Route(
        method="DELETE",
        path="/v1/authentications/{id}",
        summary="Cancel an authentication",
        handler=cancel_authentication,
        rights=AUTHENTICATORS,
        answers={204: None},
    ),
    Route(
        method="GET",
        path="/v1/presences",
        summary="Who is at this workstation",
        handler=get_presences,
        rights=OBSERVERS,
        answers={200: models.PresenceList},
    ),
    Route(
        method="GET",
        path="/v1/presences/{sid}",
        summary="One presence",
        handler=get_presence,
        rights=SEAT,
        answers={200: models.PresenceItem},
    ),
    Route(
        method="DELETE",
        path="/v1/presences/{sid}",
        summary="End a presence",
        handler=end_presence,
        rights=SEAT,
        answers={204: None},
    ),
    Route(
        method="POST",
        path="/v1/presences/{sid}/assertions",
        summary="An assertion for another application, without another tap",
        handler=create_assertion,
        rights=AUTHENTICATORS,
        body=models.AssertionOrder,
        answers={200: models.Assertion},
    ),
    Route(
        method="PUT",
        path="/v1/presences/{sid}/activity",
        summary="Report since when the person is idle",
        handler=report_activity,
        rights=AUTHENTICATORS,
        body=models.Activity,
        answers={200: models.PresenceItem},
    ),
    Route(
        method="GET",
        path="/v1/jwks",
        summary="The public keys that verify assertions (RFC 7517)",
        handler=get_jwks,
        rights=None,
        answers={200: models.JwkSet},
    ),
)
