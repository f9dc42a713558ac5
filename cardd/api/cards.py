"""What a person does with their own CPS: its PIN for a login, a look at it, another PIN."""

from cardd.api import models, operations
from cardd.api.routes import AUTHENTICATORS, SEAT, Call, Reply, Route
from cardd.errors import Code, Refused
from cardd.presence.cps_login import PinGiven
from cardd.presence.model import CpsView
from cardd.secret import Secret


async def give_pin(call: Call) -> Reply:
    """Give the PIN that an authentication waits for."""
    order: models.PinOrder = call.body
    operation = operations.owned(call, "authentication")
    _require_last_try(call, wanted=order.use_last_try)
    given = PinGiven(None if order.pin is None else _secret(order.pin), order.use_last_try)
    await call.backing.workstation.cps.give_pin(operation, order.card, given)
    return Reply(operations.view(call, operation))


async def get_card(call: Call) -> Reply:
    """Show a CPS."""
    return Reply(await call.backing.workstation.cps.show(call.path("card")))


async def change_pin(call: Call) -> Reply:
    """Change the PIN of a CPS."""
    order: models.PinChange = call.body
    _require_last_try(call, wanted=order.use_last_try)
    await call.backing.workstation.cps.change_pin(
        call.owner,
        call.path("card"),
        _secret(order.old),
        _secret(order.new),
        use_last_try=order.use_last_try,
    )
    return Reply(status=204)


async def unblock_pin(call: Call) -> Reply:
    """Give a CPS a new PIN with its unblocking code."""
    order: models.PinUnblocking = call.body
    _require_last_try(call, wanted=order.use_last_try)
    await call.backing.workstation.cps.unblock_pin(
        call.owner,
        call.path("card"),
        _secret(order.code),
        _secret(order.new),
        use_last_try=order.use_last_try,
    )
    return Reply(status=204)


def _secret(text: str) -> Secret:
    return Secret(text.encode())


def _require_last_try(call: Call, *, wanted: bool) -> None:
    if wanted and "last-try" not in call.standing.rights:
        raise Refused(
            Code.FORBIDDEN,
            f"uid {call.peer.uid} may not use the last try of a card: it needs the right last-try; "
            "the table [access] of the configuration grants it",
        )


ROUTES = (
    Route(
        method="POST",
        path="/v1/authentications/{id}/pin",
        summary="The PIN that an authentication of this peer waits for",
        handler=give_pin,
        rights=AUTHENTICATORS,
        body=models.PinOrder,
        answers={200: models.AuthenticationView},
    ),
    Route(
        method="GET",
        path="/v1/cards/{card}",
        summary="A CPS in a reader, by its handle, as it shows itself without its PIN",
        handler=get_card,
        rights=SEAT,
        answers={200: CpsView},
        stability="experimental",
    ),
    Route(
        method="POST",
        path="/v1/cards/{card}/pin/change",
        summary="Change the PIN of a CPS",
        handler=change_pin,
        rights=AUTHENTICATORS,
        body=models.PinChange,
        answers={204: None},
        stability="experimental",
    ),
    Route(
        method="POST",
        path="/v1/cards/{card}/pin/unblock",
        summary="Give a CPS a new PIN with its unblocking code",
        handler=unblock_pin,
        rights=AUTHENTICATORS,
        body=models.PinUnblocking,
        answers={204: None},
        stability="experimental",
    ),
)
