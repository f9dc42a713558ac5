"""Operations on the socket: started, waited for, polled and cancelled by their owners alone."""

import asyncio
from typing import Any, Literal

import msgspec

from cardd.api import catalogue, inspections, problems
from cardd.api.models import AuthenticationWait
from cardd.api.routes import Call, Reply
from cardd.errors import Code, Refused
from cardd.presence.model import Inspection
from cardd.presence.operations import Operation, State

Kind = Literal["authentication", "enrolment"]

_PATHS: dict[Kind, str] = {"authentication": "authentications", "enrolment": "enrolments"}


async def begun(call: Call, operation: Operation, wait_s: float) -> Reply:
    """Answer the POST: 200 where the operation ended within `wait_s`, else 202 and Location.

    A client that goes away before it learnt the Location can never come back to it: its operation
    is cancelled, so that the next card is not taken for nobody.
    """
    try:
        await _until_ended(call, operation, wait_s)
    except asyncio.CancelledError:
        call.backing.workstation.cancel(operation.id)
        raise
    location = f"/v1/{_PATHS[operation.kind]}/{operation.id}"
    return Reply(
        view(call, operation), 200 if operation.ended else 202, headers={"Location": location}
    )


async def polled(call: Call, kind: Kind) -> Reply:
    """Answer the GET, at the next change or after `wait_s`."""
    operation = owned(call, kind)
    if call.query.wait_s and _is_to_be_waited_for(call, operation):
        await call.backing.unless_stopping(operation.changed(call.query.wait_s))
    return Reply(view(call, operation))


async def cancelled(call: Call, kind: Kind) -> Reply:
    """Answer the DELETE."""
    call.backing.workstation.cancel(owned(call, kind).id)
    return Reply(status=204)


def owned(call: Call, kind: Kind) -> Operation:
    """Find the peer's own operation; Refused (`not_found`) for another's as for none."""
    operation = call.backing.workstation.operation(call.path("id"))
    if operation is None or operation.owner != call.owner or operation.kind != kind:
        raise Refused(Code.NOT_FOUND, f"there is no such {kind}, or it is over and forgotten")
    return operation


def view(call: Call, operation: Operation) -> dict[str, Any]:
    """Show an operation: an AuthenticationView or an EnrolmentView."""
    shown: dict[str, Any] = {
        "id": operation.id,
        "state": operation.state,
        "expires_at": operation.expires_at,
    }
    if operation.state is State.PIN_REQUIRED:
        shown["pin"] = msgspec.to_builtins(operation.pin)
    if operation.progress is not None:
        shown["progress"] = operation.progress
    language = catalogue.language_of(call.request.headers.get("Accept-Language"))
    if isinstance(operation.result, Inspection):
        shown["result"] = inspections.view(operation.result, language)
    elif operation.result is not None:
        shown["result"] = msgspec.to_builtins(operation.result)
    if operation.problem is not None:
        shown["problem"] = problems.members(operation.problem, language)
    return shown


def _is_to_be_waited_for(call: Call, operation: Operation) -> bool:
    """Tell whether its next change is news; that it wants a PIN is, unless the client knows."""
    if operation.ended:
        return False
    known = call.query.state if isinstance(call.query, AuthenticationWait) else None
    return operation.state == known if known else operation.state is not State.PIN_REQUIRED


async def _until_ended(call: Call, operation: Operation, wait_s: float) -> None:
    """Wait through the intermediate states for its end, or for when it wants a PIN."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    waiting = {State.WAITING_FOR_CARD, State.IN_PROGRESS}
    while operation.state in waiting and not call.backing.stopping.is_set():
        remaining_s = deadline - loop.time()
        if remaining_s <= 0:
            return
        await call.backing.unless_stopping(operation.changed(remaining_s))
