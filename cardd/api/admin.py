"""The face for administrators: people, badges and their encoding."""

from functools import partial

from cardd.api import models, operations
from cardd.api.routes import ADMINISTRATORS, Call, Reply, Route
from cardd.errors import Code, Refused
from cardd.kms.messages import BadgeList, BadgeView, HolderList, HolderView, NewHolder, Page
from cardd.presence.model import EnrolmentRequest

_ONLY_WITH = {"holder": "encode", "generation": "rekey", "try_default_keys": "inspect"}


async def add_holder(call: Call) -> Reply:
    """Register a person."""
    keys = call.backing.keys
    return Reply(await call.backing.workstation.run_kms(partial(keys.add_holder, call.body)), 201)


async def get_holder(call: Call) -> Reply:
    """Show a person, named by id or staff number."""
    find = partial(call.backing.keys.holder, call.path("holder"))
    return Reply(await call.backing.workstation.run_kms(find))


async def get_holders(call: Call) -> Reply:
    """List people."""
    keys = call.backing.keys
    return Reply(await call.backing.workstation.run_kms(partial(keys.holders, call.query)))


async def get_badges(call: Call) -> Reply:
    """List badges."""
    keys = call.backing.keys
    return Reply(await call.backing.workstation.run_kms(partial(keys.badges, call.query)))


async def revoke_badge(call: Call) -> Reply:
    """Revoke a badge, named by its id or its number."""
    revocation: models.Revocation = call.body
    revoke = partial(call.backing.keys.revoke_badge, call.path("badge"), str(revocation.reason))
    return Reply(await call.backing.workstation.run_kms(revoke))


async def start_enrolment(call: Call) -> Reply:
    """Work on or inspect a badge; whoever is to hold it must be known before one is asked for."""
    request: EnrolmentRequest = call.body
    _require_fitting(request)
    if request.holder is not None:
        find = partial(call.backing.keys.holder, request.holder)
        await call.backing.workstation.run_kms(find)
    operation = call.backing.workstation.enrol(call.owner, request)
    return await operations.begun(call, operation, 0.0)


def _require_fitting(request: EnrolmentRequest) -> None:
    """Raise Refused (`invalid_request`) for a member that its action would ignore."""
    given = {
        "holder": request.holder is not None,
        "generation": request.generation is not None,
        "try_default_keys": request.try_default_keys,
    }
    for member, action in _ONLY_WITH.items():
        if given[member] and request.action != action:
            raise Refused(
                Code.INVALID_REQUEST,
                f"{member} goes with the action {action}, not {request.action}",
            )


async def get_enrolment(call: Call) -> Reply:
    """Show an encoding."""
    return await operations.polled(call, "enrolment")


async def cancel_enrolment(call: Call) -> Reply:
    """Cancel an encoding."""
    return await operations.cancelled(call, "enrolment")


ROUTES = (
    Route(
        method="POST",
        path="/v1/holders",
        summary="Register a person",
        handler=add_holder,
        rights=ADMINISTRATORS,
        body=NewHolder,
        answers={201: HolderView},
    ),
    Route(
        method="GET",
        path="/v1/holders",
        summary="People, by staff number",
        handler=get_holders,
        rights=ADMINISTRATORS,
        query=Page,
        answers={200: HolderList},
    ),
    Route(
        method="GET",
        path="/v1/holders/{holder}",
        summary="A person, named by id or staff number",
        handler=get_holder,
        rights=ADMINISTRATORS,
        answers={200: HolderView},
    ),
    Route(
        method="GET",
        path="/v1/badges",
        summary="Badges, by number",
        handler=get_badges,
        rights=ADMINISTRATORS,
        query=Page,
        answers={200: BadgeList},
    ),
    Route(
        method="POST",
        path="/v1/badges/{badge}/revoke",
        summary="Revoke a badge, named by its id or number, and end its presences",
        handler=revoke_badge,
        rights=ADMINISTRATORS,
        body=models.Revocation,
        answers={200: BadgeView},
    ),
    Route(
        method="POST",
        path="/v1/enrolments",
        summary="Work on or inspect the badge in the reader, or the next one shown",
        handler=start_enrolment,
        rights=ADMINISTRATORS,
        body=EnrolmentRequest,
        answers={200: models.EnrolmentView, 202: models.EnrolmentView},
        stability="experimental",
    ),
    Route(
        method="GET",
        path="/v1/enrolments/{id}",
        summary="An encoding that this peer started",
        handler=get_enrolment,
        rights=ADMINISTRATORS,
        query=models.Wait,
        answers={200: models.EnrolmentView},
        stability="experimental",
    ),
    Route(
        method="DELETE",
        path="/v1/enrolments/{id}",
        summary="Cancel an encoding",
        handler=cancel_enrolment,
        rights=ADMINISTRATORS,
        answers={204: None},
        stability="experimental",
    ),
)
