"""The CPS in the readers: who they are, and what may be done with them. On the event loop's thread.

A login goes on at the `CpsDesk`; here is what a person does with a card of theirs besides.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from cardd.cps.certificate import CpsCertificate, parse_certificate
from cardd.cps.family import family_of
from cardd.cps.objects import PinState
from cardd.errors import CarddError, Code, PinBlocked, PinIncorrect, Refused
from cardd.iso7816.connection import CardConnection
from cardd.iso7816.exchange import Exchange, run
from cardd.presence.attendance import Attendant
from cardd.presence.cps_desk import CpsDesk
from cardd.presence.cps_login import PinGiven, forgetting_pin, require_same_card
from cardd.presence.cps_outcomes import CpsOutcomes
from cardd.presence.cps_reading import Alive, CpsRead, CpsSeen
from cardd.presence.model import CpsView, PinStateView
from cardd.presence.operations import Operation
from cardd.presence.pin_limits import PinLimits
from cardd.presence.slots import Slot, Visit
from cardd.presence.watchdog import Watchdog
from cardd.secret import Secret

Done = TypeVar("Done")


class CpsCards:
    """Knows the CPS that lie in the readers now."""

    def __init__(
        self,
        *,
        outcomes: CpsOutcomes,
        desk: CpsDesk,
        attendant: Attendant,
        watchdog: Watchdog,
        limits: PinLimits,
    ) -> None:
        self._outcomes = outcomes
        self._desk = desk
        self._attendant = attendant
        self._watchdog = watchdog
        self._limits = limits
        self._at: dict[str, CpsRead] = {}

    def read(self, read: CpsRead) -> None:
        """Take what a worker read of a CPS."""
        known = self._at.get(read.visit.reader)
        if read.slot.visit is read.visit and not read.visit.void:
            self._at[read.visit.reader] = read
            if known is None or known.visit is not read.visit:
                self._outcomes.identified(read)
        if read.operation is not None:
            self._desk.begin(read, read.operation)

    def withdrawn(self, visit: Visit) -> None:
        """Hear that a card left."""
        known = self._at.get(visit.reader)
        if known is not None and known.visit is visit:
            del self._at[visit.reader]
        self._desk.withdrawn(visit)

    async def give_pin(self, operation: Operation, card: str, given: PinGiven) -> None:
        """Try a PIN for a login; see `CpsDesk.give_pin`."""
        await self._desk.give_pin(operation, card, given)

    async def show(self, handle: str) -> CpsView:
        """Read what a CPS says without its PIN. Raises Refused (`not_found`) and card errors."""
        read = self._find(handle)
        labels, pin = await self._work(read, partial(_examined, seen=read.seen))
        certificate = parse_certificate(read.seen.chain[0])
        return _view(read, certificate, pin, labels)

    async def change_pin(
        self, peer: str, handle: str, old: Secret, new: Secret, *, use_last_try: bool
    ) -> None:
        """Change a card's PIN. Errors as `CpsCard.change_pin`, and `rate_limited`."""
        read = self._find(handle)

        def change(seen: CpsSeen) -> Exchange[None]:
            return seen.card.change_pin(old, new, use_last_try=use_last_try)

        await self._guarded(read, peer, read.seen.number, change)

    async def unblock_pin(
        self, peer: str, handle: str, puk: Secret, new: Secret, *, use_last_try: bool
    ) -> None:
        """Give a card a new PIN with its unblocking code, whose wrong tries are counted apart."""
        read = self._find(handle)

        def unblock(seen: CpsSeen) -> Exchange[None]:
            return seen.card.unblock_pin(puk, new, use_last_try=use_last_try)

        await self._guarded(read, peer, f"{read.seen.number} unblocking", unblock)

    def _find(self, handle: str) -> CpsRead:
        """Find a card that no login waits for the PIN of."""
        read = next((each for each in self._at.values() if each.visit.handle == handle), None)
        if read is None:
            raise Refused(Code.NOT_FOUND, "there is no CPS with this handle in a reader")
        if self._desk.holds(handle):
            raise Refused(Code.CARD_BUSY, "an authentication waits for the PIN of this card")
        return read

    async def _guarded(
        self, read: CpsRead, peer: str, counted: str, act: Callable[[CpsSeen], Exchange[None]]
    ) -> None:
        """Do something that gives the card a PIN, within the limits of wrong ones."""
        reserved = self._limits.reserve(peer, counted)

        def settle(result: CarddError | None) -> None:
            if isinstance(result, PinIncorrect | PinBlocked):
                self._limits.wrong(peer, counted, reserved)
            elif isinstance(result, CarddError):
                self._limits.take_back(peer, counted, reserved)
            else:
                self._limits.right(peer, counted)

        await self._work(read, partial(_with_pin, seen=read.seen, act=act), settle)

    async def _work(
        self,
        read: CpsRead,
        job: Callable[[CardConnection, Alive], Done],
        settle: Callable[[Done | CarddError], None] = lambda _: None,
    ) -> Done:
        """Run a job with the card in its reader's worker; return or raise what it does.

        `settle` hears of it too, even where nobody waits any more: the card has counted then.
        """
        future: asyncio.Future[Done | CarddError] = asyncio.get_running_loop().create_future()

        def done(result: Done | CarddError) -> None:
            settle(result)
            if not future.done():
                future.set_result(result)

        self._attendant.work(read.slot, read.visit, None, job, done)
        self._watchdog.expect(read.slot)
        result = await future
        if isinstance(result, CarddError):
            raise result
        return result


def has_cps(slot: Slot) -> bool:
    """Tell whether a reader holds what its ATR says may be a CPS, and that was not given up."""
    visit = slot.visit
    return visit is not None and not visit.void and family_of(visit.atr) is not None


def _examined(
    connection: CardConnection, alive: Alive, *, seen: CpsSeen
) -> tuple[tuple[str, ...], PinState | None]:
    with connection.transaction():
        alive()
        require_same_card(connection, seen)
        pin = run(connection, seen.card.pin())
        alive()
        return tuple(item.label for item in run(connection, seen.card.data_objects())), pin


def _with_pin(
    connection: CardConnection,
    alive: Alive,
    *,
    seen: CpsSeen,
    act: Callable[[CpsSeen], Exchange[None]],
) -> None:
    with connection.transaction():
        alive()
        require_same_card(connection, seen)
        with forgetting_pin(connection):
            run(connection, act(seen))


def _view(
    read: CpsRead, certificate: CpsCertificate, pin: PinState | None, labels: tuple[str, ...]
) -> CpsView:
    seen = read.seen
    return CpsView(
        card=read.visit.handle,
        reader=read.visit.reader,
        family=str(seen.card.family),
        number=seen.number,
        identity=None if seen.identity is None else seen.identity.claims(),
        not_before=int(certificate.not_before.timestamp()),
        not_after=int(certificate.not_after.timestamp()),
        certificate=certificate.x5t_s256,
        problem=seen.problem,
        pin=None
        if pin is None
        else PinStateView(pin.tries_left, pin.blocked, pin.min_length, pin.max_length),
        data_objects=labels,
    )
