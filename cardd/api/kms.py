"""The face of the key service for its clients: each verb of `KeyService` is a route."""

from functools import partial

from cardd.api import models
from cardd.api.kms_calls import KmsCall
from cardd.api.kms_notices import Since, get_notices
from cardd.api.routes import Reply, Route
from cardd.kms import messages as m
from cardd.kms import wire
from cardd.kms.service import Kms

JWKS_HEADERS = {"Cache-Control": "public, max-age=300"}


async def begin(call: KmsCall) -> Reply:
    """Start a procedure on a badge."""
    return Reply(await call.run(partial(call.service.begin, call.body)))


async def next_step(call: KmsCall) -> Reply:
    """Take the card's answers; the next step, or the outcome."""
    answers: wire.CardAnswers = call.body
    step = partial(call.service.next, call.path("handle"), answers.answers)
    return Reply(await call.run(step))


async def abort(call: KmsCall) -> Reply:
    """Give a procedure up."""
    await call.run(partial(call.service.abort, call.path("handle")))
    return Reply(status=204)


async def challenge(call: KmsCall) -> Reply:
    """Give a challenge for a CPS to sign."""
    return Reply(await call.run(call.service.challenge))


async def authenticate_cps(call: KmsCall) -> Reply:
    """Judge what a CPS signed."""
    order: wire.CpsProof = call.body
    judge = partial(
        call.service.authenticate_cps,
        order.proof,
        order.requests,
        presence=order.presence,
        expect_holder=order.expect_holder,
    )
    return Reply(await call.run(judge))


async def assertions(call: KmsCall) -> Reply:
    """Sign assertions on a presence."""
    order: wire.AssertionOrder = call.body
    sign = partial(call.service.assertions, call.path("sid"), order.requests)
    return Reply(wire.Assertions(await call.run(sign)))


async def end_presence(call: KmsCall) -> Reply:
    """End a presence."""
    order: wire.Reason = call.body
    await call.run(partial(call.service.end_presence, call.path("sid"), order.reason))
    return Reply(status=204)


async def add_holder(call: KmsCall) -> Reply:
    """Register a person."""
    return Reply(await call.run(partial(call.service.add_holder, call.body)), 201)


async def get_holder(call: KmsCall) -> Reply:
    """Show a person, named by id or staff number."""
    return Reply(await call.run(partial(call.service.holder, call.path("holder"))))


async def get_holders(call: KmsCall) -> Reply:
    """List people."""
    return Reply(await call.run(partial(call.service.holders, call.query)))


async def get_badges(call: KmsCall) -> Reply:
    """List badges."""
    return Reply(await call.run(partial(call.service.badges, call.query)))


async def revoke_badge(call: KmsCall) -> Reply:
    """Revoke a badge, named by its id or number."""
    order: wire.Reason = call.body
    return Reply(
        await call.run(partial(call.service.revoke_badge, call.path("badge"), order.reason))
    )


async def get_health(call: KmsCall) -> Reply:
    """Tell whether badges can be judged now."""
    return Reply(await call.run(call.service.health))


async def get_jwks(kms: Kms) -> Reply:
    """Give the public keys that verify assertions."""
    return Reply(kms.jwks(), headers=JWKS_HEADERS)


PUBLIC = (
    Route(
        method="GET",
        path=wire.JWKS,
        summary="The public keys that verify assertions (RFC 7517)",
        handler=get_jwks,
        answers={200: models.JwkSet},
        public=True,
    ),
)

_OF_CARDS = (
    Route(
        method="POST",
        path=wire.PROCEDURES,
        summary="Start a procedure on a badge; the handle belongs to this connection",
        handler=begin,
        body=m.Procedure,
        answers={200: m.Step},
    ),
    Route(
        method="POST",
        path=wire.PROCEDURES + "/{handle}",
        summary="The card's answers; the next step or the outcome",
        handler=next_step,
        body=wire.CardAnswers,
        answers={200: m.Step | m.Outcome},
    ),
    Route(
        method="DELETE",
        path=wire.PROCEDURES + "/{handle}",
        summary="Give a procedure up",
        handler=abort,
        answers={204: None},
    ),
    Route(
        method="POST",
        path=wire.CHALLENGES,
        summary="A challenge for a CPS to sign",
        handler=challenge,
        answers={200: m.Challenge},
    ),
    Route(
        method="POST",
        path=wire.CPS_AUTHENTICATIONS,
        summary="Judge what a CPS signed for a login",
        handler=authenticate_cps,
        body=wire.CpsProof,
        answers={200: m.Authenticated},
    ),
)

_OF_PRESENCES = (
    Route(
        method="POST",
        path=wire.PRESENCES + "/{sid}/assertions",
        summary="Assertions on a presence that this client opened",
        handler=assertions,
        body=wire.AssertionOrder,
        answers={200: wire.Assertions},
    ),
    Route(
        method="POST",
        path=wire.PRESENCES + "/{sid}/end",
        summary="End a presence that this client opened",
        handler=end_presence,
        body=wire.Reason,
        answers={204: None},
    ),
    Route(
        method="GET",
        path=wire.NOTICES,
        summary="What the key service ends, one JSON object a line, as long as this client stays",
        handler=get_notices,
        query=Since,
        answers={200: wire.NoticeLine},
        content_types=(wire.NOTICES_TYPE,),
    ),
)

_OF_PEOPLE = (
    Route(
        method="POST",
        path=wire.HOLDERS,
        summary="Register a person",
        handler=add_holder,
        body=m.NewHolder,
        answers={201: m.HolderView},
    ),
    Route(
        method="GET",
        path=wire.HOLDERS,
        summary="People, by staff number",
        handler=get_holders,
        query=m.Page,
        answers={200: m.HolderList},
    ),
    Route(
        method="GET",
        path=wire.HOLDERS + "/{holder}",
        summary="A person, named by id or staff number",
        handler=get_holder,
        answers={200: m.HolderView},
    ),
    Route(
        method="GET",
        path=wire.BADGES,
        summary="Badges, by number",
        handler=get_badges,
        query=m.Page,
        answers={200: m.BadgeList},
    ),
    Route(
        method="POST",
        path=wire.BADGES + "/{badge}/revoke",
        summary="Revoke a badge, named by its id or number, and end its presences",
        handler=revoke_badge,
        body=wire.Reason,
        answers={200: m.BadgeView},
    ),
)

_OF_THE_SERVICE = (
    Route(
        method="GET",
        path=wire.HEALTH,
        summary="Whether badges can be judged now",
        handler=get_health,
        answers={200: m.Health},
    ),
)

ROUTES = (*_OF_CARDS, *_OF_PRESENCES, *_OF_PEOPLE, *_OF_THE_SERVICE, *PUBLIC)
