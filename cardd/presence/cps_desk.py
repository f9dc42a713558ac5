"""Where a CPS login goes on between the card and its PIN. On the event loop's thread."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from cardd.clock import Clock
from cardd.errors import (
    CardBusy,
    CarddError,
    CardRemoved,
    Code,
    PinBlocked,
    PinIncorrect,
    PinLastTry,
    Refused,
)
from cardd.iso7816.connection import CardConnection
from cardd.kms.ports import KeyService
from cardd.presence.attendance import Attendant
from cardd.presence.cps_login import Login, PinGiven, log_in
from cardd.presence.cps_outcomes import CpsOutcomes, cps_problem, pin_wanted
from cardd.presence.cps_reading import Alive, CpsRead, CpsSeen
from cardd.presence.model import AuthenticationRequest
from cardd.presence.operations import Operation
from cardd.presence.pin_limits import PinLimits
from cardd.presence.register import GRACE_S
from cardd.presence.slots import Visit
from cardd.presence.timers import Timers
from cardd.presence.watchdog import Watchdog

ASKS_AGAIN = (PinIncorrect, PinLastTry, CardBusy)
"""After these the same card waits for its PIN again."""


@dataclass(slots=True, eq=False)
class _Login:
    """A login whose card is known. `attempt` is set while a PIN is tried.

    `reserved` is then what that PIN has of the limit of wrong ones.
    """

    operation: Operation
    request: AuthenticationRequest
    read: CpsRead
    attempt: asyncio.Future[CarddError | None] | None = None
    reserved: float | None = None
    left: bool = False


class CpsDesk:
    """Asks for PINs, has them tried, and settles what came of it."""

    def __init__(
        self,
        *,
        service: KeyService,
        clock: Clock,
        timers: Timers,
        attendant: Attendant,
        watchdog: Watchdog,
        limits: PinLimits,
        outcomes: CpsOutcomes,
    ) -> None:
        self._service = service
        self._clock = clock
        self._timers = timers
        self._attendant = attendant
        self._watchdog = watchdog
        self._limits = limits
        self._outcomes = outcomes
        self._logins: dict[str, _Login] = {}

    def holds(self, handle: str) -> bool:
        """Tell whether a login that has not ended has a card."""
        self._forget_ended()
        return any(login.read.visit.handle == handle for login in self._logins.values())

    def begin(self, read: CpsRead, operation: Operation) -> None:
        """Take up a login whose card was read: ask for its PIN, or refuse the card."""
        request = operation.request
        if operation.ended or not isinstance(request, AuthenticationRequest):
            return
        self._forget_ended()
        login = self._logins[operation.id] = _Login(operation, request, read)
        pin = read.seen.pin
        if read.visit.void:
            self._fail(login, CardBusy("the reader answered too late; show the card again"))
        elif read.seen.problem is not None:
            self._outcomes.failed(operation, read.visit, read.seen.problem)
        elif pin is None:
            self._try(login, PinGiven())
        elif pin.blocked:
            self._fail(login, PinBlocked("no try is left: the PIN is blocked"))
        else:
            operation.ask_pin(pin_wanted(read, pin))
            if read.seen.entry == "pinpad" and pin.tries_left != 1:
                self._try_at_reader(login)

    async def give_pin(self, operation: Operation, card: str, given: PinGiven) -> None:
        """Try a PIN for a login, and return when the login's state says what came of it.

        `card` is the handle of the card that the PIN is for. Raises Refused: `conflict` where no
        PIN is waited for, `card_removed` for another card, `pin_malformed`, `rate_limited`; and
        PinLastTry. The card then counted nothing.
        """
        login = self._logins.get(operation.id)
        if operation.ended:
            return
        if login is None or operation.pin is None or operation.verifying:
            raise Refused(Code.CONFLICT, "this authentication does not wait for a PIN now")
        if card != operation.pin.card:
            raise Refused(Code.CARD_REMOVED, "this PIN is for another card than the one that waits")
        if (given.pin is None) != (operation.pin.entry == "pinpad"):
            raise Refused(Code.INVALID_REQUEST, f"the PIN is typed at the {operation.pin.entry}")
        self._require_try(login, given)
        refused = await asyncio.shield(self._try(login, given))
        if isinstance(refused, PinLastTry):
            raise refused

    def withdrawn(self, visit: Visit) -> None:
        """Hear that a card left: its login ends, after what is being tried with it."""
        for login in tuple(self._logins.values()):
            if login.read.visit is not visit or login.operation.ended:
                continue
            if login.attempt is None:
                self._fail(login, _left())
            else:
                # The attempt's own end comes, unless the reader went away with the card.
                login.left = True
                self._timers.set(
                    (login.operation.id, "left"),
                    self._clock.now() + GRACE_S,
                    partial(self._fail, login, _left()),
                )

    def _require_try(self, login: _Login, given: PinGiven) -> None:
        operation, seen = login.operation, login.read.seen
        assert operation.pin is not None
        if given.pin is not None:
            require_form(given, operation.pin.min_length, operation.pin.max_length)
        self._limits.require(operation.owner, seen.number)
        if operation.pin.last_try and not given.use_last_try:
            raise PinLastTry("one try is left; a wrong PIN now would block the card")
        login.reserved = self._limits.reserve(operation.owner, seen.number)

    def _try_at_reader(self, login: _Login) -> None:
        """Have the reader ask for the PIN, unless whoever began the login has to wait."""
        operation = login.operation
        try:
            login.reserved = self._limits.reserve(operation.owner, login.read.seen.number)
        except Refused as refused:
            assert operation.pin is not None
            operation.ask_pin(operation.pin, cps_problem(refused))
        else:
            self._try(login, PinGiven())

    def _try(self, login: _Login, given: PinGiven) -> asyncio.Future[CarddError | None]:
        login.attempt = asyncio.get_running_loop().create_future()
        operation = login.operation
        operation.verifying = True
        if operation.pin is not None and operation.pin.entry == "pinpad":
            asked = msgspec.structs.replace(operation.pin, asked=True)
            operation.ask_pin(asked, operation.problem)
        job = partial(
            _remembered,
            seen=login.read.seen,
            given=given,
            request=login.request,
            service=self._service,
            clock=self._clock,
            down=self._outcomes.kms_down(),
        )
        slot = login.read.slot
        done = partial(self._tried, login)
        self._attendant.work(slot, login.read.visit, login.operation, job, done)
        self._watchdog.expect(slot)
        return login.attempt

    def _tried(self, login: _Login, result: Login | CarddError) -> None:
        """Take what came of a PIN."""
        attempt, login.attempt = login.attempt, None
        self._timers.clear((login.operation.id, "left"))
        self._count(login, result)
        if isinstance(result, Login):
            self._proved(login, result)
        elif isinstance(result, ASKS_AGAIN) and self._waits(login):
            self._ask_again(login, result)
        else:
            self._fail(login, result)
        if attempt is not None and not attempt.done():
            attempt.set_result(None if isinstance(result, Login) else result)

    def _count(self, login: _Login, result: Login | CarddError) -> None:
        """Settle what the PIN has of the limit; a card without contacts has no PIN."""
        peer, card = login.operation.owner, login.read.seen.number
        reserved, login.reserved = login.reserved, None
        if reserved is None:
            return
        if isinstance(result, PinIncorrect | PinBlocked):
            self._limits.wrong(peer, card, reserved)
        elif isinstance(result, Login):
            self._limits.right(peer, card)
        else:
            self._limits.take_back(peer, card, reserved)

    @staticmethod
    def _waits(login: _Login) -> bool:
        """Tell whether a login can wait for a PIN again: only a card with a PIN is asked for it."""
        operation = login.operation
        return operation.pin is not None and not login.left and not operation.ended

    def _proved(self, login: _Login, result: Login) -> None:
        visit, operation = login.read.visit, login.operation
        if login.left or visit.void or operation.ended:
            self._outcomes.too_late(result)
            self._fail(login, _left())
        else:
            self._outcomes.succeeded(operation, login.read, result)
            self._logins.pop(operation.id, None)

    def _ask_again(self, login: _Login, error: CarddError) -> None:
        wanted = login.operation.pin
        assert wanted is not None
        if isinstance(error, PinIncorrect | PinLastTry):
            left = error.tries_left if isinstance(error, PinIncorrect) else 1
            wanted = msgspec.structs.replace(wanted, tries_left=left, last_try=left == 1)
        wanted = msgspec.structs.replace(wanted, asked=False)
        problem = cps_problem(error)
        login.operation.ask_pin(wanted, problem)
        self._outcomes.refused(login.read.visit, problem)

    def _fail(self, login: _Login, error: CarddError) -> None:
        if isinstance(error, Refused) and error.code == Code.PROOF_INVALID:
            self._outcomes.forget(login.read.seen.number)
        self._outcomes.failed(login.operation, login.read.visit, cps_problem(error))
        self._logins.pop(login.operation.id, None)

    def _forget_ended(self) -> None:
        """Forget logins that timed out or were cancelled; one whose PIN is tried ends by that."""
        for key, login in tuple(self._logins.items()):
            if login.operation.ended and login.attempt is None:
                del self._logins[key]


def _remembered(connection: CardConnection, alive: Alive, *, seen: CpsSeen, **how: Any) -> Login:
    """Log in, and remember the card that proved what it is. In the reader's worker."""
    result = log_in(connection, alive, seen=seen, **how)
    seen.proven()
    return result


def require_form(given: PinGiven, minimum: int, maximum: int) -> None:
    """Raise Refused (`pin_malformed`) for what is not digits, as many as the card takes."""
    value = b"" if given.pin is None else given.pin.reveal()
    if not value.isdigit() or not minimum <= len(value) <= maximum:
        raise Refused(
            Code.PIN_MALFORMED,
            f"a PIN is {minimum} to {maximum} digits; it was not sent to the card",
            minimum=minimum,
            maximum=maximum,
        )


def _left() -> CardRemoved:
    return CardRemoved("the card left the reader before its PIN was verified; start again")
