"""A workstation with a clock, readers, cards and a key service that a test moves by hand."""

import asyncio
import contextlib
import functools
import hashlib
import queue
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from cardd.assurance.levels import Acr
from cardd.badges.inspection.case import Policy
from cardd.badges.model import Scheme
from cardd.config import PresenceSettings, Trust
from cardd.cps.trust import TrustStore
from cardd.errors import CardRemoved, Code, KmsUnavailable, Refused
from cardd.kms import messages as m
from cardd.presence.events import Subscription
from cardd.presence.inspecting import Inspector
from cardd.presence.model import AuthenticationRequest, EnrolmentRequest, Event
from cardd.presence.operations import Operation
from cardd.presence.workstation import Workstation
from cardd.readers.ports import (
    CardInserted,
    CardWithdrawn,
    Listener,
    ReaderAdded,
    ReaderEvent,
    ReaderFault,
    ReaderRemoved,
    SourceLost,
    SourceRestored,
)

LIMIT_S = 25.0
OK = b"\x90\x00"
NONCE = "n" * 22
UID = bytes.fromhex("04112233445566")
OTHER_UID = bytes.fromhex("04998877665544")

Call = Callable[[], Any]


def limited(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test, with a time limit."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 30))

    return run


class HandClock:
    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time


def proof(uid: bytes, command: bytes) -> bytes:
    """Return what the badge with this UID, and no other, answers."""
    return hashlib.sha256(uid + command).digest()[:8] + OK


@dataclass
class Card:
    """A badge. It leaves the reader before the command number `pulled_at` (0: on connecting).

    `held` makes it wait before that command until `released` is set; `reached` is then set.
    """

    uid: bytes = UID
    pulled_at: int | None = None
    held_at: int | None = None
    genuine: bool = True
    uid_answer: bytes | None = None
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    commands: list[bytes] = field(default_factory=list)
    at: int = 0

    def pass_point(self) -> None:
        point, self.at = self.at, self.at + 1
        if self.held_at == point:
            self.reached.set()
            assert self.released.wait(LIMIT_S)
        if self.pulled_at == point:
            self.pulled_at = None
            raise CardRemoved("the card is gone")

    def answer(self, command: bytes) -> bytes:
        self.pass_point()
        self.commands.append(command)
        if command == bytes.fromhex("FFCA000000"):
            return self.uid + OK if self.uid_answer is None else self.uid_answer
        return proof(self.uid if self.genuine else b"another", command)


class Connection:
    def __init__(self, card: Card) -> None:
        self.card = card
        self.atr = bytes.fromhex("3B8180018080")
        self.closed = False
        self.locked = False

    def transmit(self, command: bytes) -> bytes:
        assert self.locked
        assert not self.closed
        return self.card.answer(command)

    def control(self, code: int, data: bytes) -> bytes:
        raise AssertionError("nothing asks for a control code")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        assert not self.locked
        self.locked = True
        try:
            yield
        finally:
            self.locked = False

    def reset(self) -> None:
        raise AssertionError("nothing asks for a reset")

    def close(self) -> None:
        assert not self.locked
        self.closed = True


class Source:
    """Readers that a test adds and fills. It reports from a thread of its own."""

    def __init__(self, name: str = "desk", readers: tuple[str, ...] = ("one", "two")) -> None:
        self.name = name
        self.cards: dict[str, Card | None] = {}
        self.connections: list[Connection] = []
        self._first = readers
        self._reports: queue.SimpleQueue[ReaderEvent | threading.Event | None]
        self._reports = queue.SimpleQueue()
        self.stop_waits_for = threading.Event()
        self.stop_waits_for.set()

    def start(self, listener: Listener) -> None:
        def report() -> None:
            while (event := self._reports.get()) is not None:
                if isinstance(event, threading.Event):
                    event.set()
                else:
                    listener(event)

        self._thread = threading.Thread(target=report, name=f"source {self.name}", daemon=True)
        self._thread.start()
        for reader in self._first:
            self.add(reader)

    def stop(self) -> None:
        self.stop_waits_for.wait(LIMIT_S)
        self._reports.put(None)
        self._thread.join(2)
        assert not self._thread.is_alive()

    def connect(self, reader: str) -> Connection:
        card = self.cards.get(reader)
        if card is None:
            raise CardRemoved("there is no card")
        card.at = 0
        card.pass_point()
        self.connections.append(Connection(card))
        return self.connections[-1]

    def heartbeat(self) -> float:
        return time.monotonic()

    async def drained(self) -> None:
        """Wait until everything so far has been reported."""
        drained = threading.Event()
        self._reports.put(drained)
        await in_thread(drained.wait)

    def add(self, reader: str) -> None:
        self.cards[reader] = None
        self._reports.put(ReaderAdded(reader))

    def remove(self, reader: str) -> None:
        del self.cards[reader]
        self._reports.put(ReaderRemoved(reader))

    def insert(self, reader: str, card: Card, *, shown: bool = True) -> None:
        self.cards[reader] = card
        self._reports.put(CardInserted(reader, b"\x3b\x00", shown))

    def withdraw(self, reader: str) -> None:
        self.cards[reader] = None
        self._reports.put(CardWithdrawn(reader))

    def fault(self, reader: str, why: str) -> None:
        self._reports.put(ReaderFault(reader, why))

    def lose(self, why: str) -> None:
        for reader in tuple(self.cards):
            if self.cards[reader] is not None:
                self.withdraw(reader)
            self.remove(reader)
        self._reports.put(SourceLost(self.name, why))

    def restore(self) -> None:
        self._reports.put(SourceRestored(self.name))
        for reader in self._first:
            self.add(reader)


@dataclass
class _Exchange:
    procedure: m.Procedure
    step: int
    command: bytes


class Keys:
    """A key service that keeps badges in memory, and believes a badge that answers with `proof`.

    A tap takes two commands; an encoding five, each remembered, so that a cut one goes on.
    """

    TAP_STEPS = 2
    ENCODE_STEPS = 5

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.lock = threading.Lock()
        self.holders: dict[bytes, str] = {UID: "alice", OTHER_UID: "bob"}
        self.refusals: dict[bytes, Code] = {}
        self.encoded: dict[bytes, int] = {}
        self.exchanges: dict[str, _Exchange] = {}
        self.aborted: list[str] = []
        self.ended: dict[str, str] = {}
        self.opened: list[str] = []
        self.taps: list[m.Tap] = []
        self.calls: Counter[str] = Counter()
        self.down: str | None = None
        self.health_waits_for = threading.Event()
        self.health_waits_for.set()
        self.health_asked = threading.Event()
        self.listeners: list[Callable[[m.Notice], None]] = []

    def _available(self) -> None:
        if self.down is not None:
            raise KmsUnavailable(self.down)

    def begin(self, procedure: m.Procedure) -> m.Step:
        self._available()
        with self.lock:
            self.calls["begin"] += 1
            step = 0
            if isinstance(procedure, m.Tap):
                self.taps.append(procedure)
                self._admit(procedure)
            else:
                step = self.encoded.get(procedure.uid, 0)
            handle = f"handle-{self.calls['begin']}"
            return self._step(handle, procedure, step)

    def _admit(self, tap: m.Tap) -> None:
        if tap.uid in self.refusals:
            raise Refused(self.refusals[tap.uid], "refused by the test")
        if tap.uid not in self.holders:
            raise Refused(Code.BADGE_UNKNOWN, "no badge has this UID")
        if tap.expect_holder not in {None, self.holders[tap.uid]}:
            raise Refused(Code.WRONG_PERSON, "another person's badge")

    def _step(self, handle: str, procedure: m.Procedure, step: int) -> m.Step:
        command = f"{handle} {step}".encode()
        self.exchanges[handle] = _Exchange(procedure, step, command)
        progress = None if isinstance(procedure, m.Tap) else (step, self.ENCODE_STEPS)
        return m.Step(handle, (command,), progress)

    def next(self, handle: str, answers: tuple[bytes, ...]) -> m.Step | m.Outcome:
        self._available()
        with self.lock:
            exchange = self.exchanges.pop(handle)
            procedure, step = exchange.procedure, exchange.step + 1
            if answers != (proof(procedure.uid, exchange.command),):
                raise Refused(Code.BADGE_NOT_GENUINE, "the cryptogram is wrong")
            tap = isinstance(procedure, m.Tap)
            if not tap:
                self.encoded[procedure.uid] = step
            if step < (self.TAP_STEPS if tap else self.ENCODE_STEPS):
                return self._step(handle, procedure, step)
            return self._outcome(procedure)

    def _outcome(self, procedure: m.Procedure) -> m.Outcome:
        match procedure:
            case m.Prepare():
                return m.Prepared("badge-" + procedure.uid.hex())
            case m.Encode(uid, holder):
                self.holders[uid] = holder or "nobody"
                return m.Encoded("badge-" + uid.hex(), "N0", None, "ev2-aes", 1, 2**31, False)
            case m.Rekey(uid, generation):
                new = generation or 2
                return m.Rekeyed("badge-" + uid.hex(), "N0", None, "ev2-aes", new, 1, 2**31)
            case m.Wipe(uid):
                return m.Wiped("badge-" + uid.hex(), "N0", 1, formatted=True)
            case m.Tap(uid, requests, presence):
                sid = f"sid-{len(self.opened) + 1}" if presence else None
                self.opened += [sid] if sid else []
                now = int(self.clock.now())
                return m.Authenticated(
                    self.claims(uid),
                    "badge-" + uid.hex(),
                    Acr.ONE_FACTOR,
                    ("hwk",),
                    now,
                    sid,
                    now + 4 * 3600 if presence else None,
                    tuple(f"jws {request.audience}" for request in requests),
                )

    def claims(self, uid: bytes) -> m.HolderClaims:
        return m.HolderClaims(self.holders[uid], "S-" + self.holders[uid])

    def abort(self, handle: str) -> None:
        self.aborted.append(handle)
        self.exchanges.pop(handle, None)

    def assertions(self, sid: str, requests: tuple[m.AssertionRequest, ...]) -> tuple[str, ...]:
        self._available()
        self.calls["assertions"] += 1
        if sid in self.ended:
            raise Refused(Code.NOT_FOUND, "this presence has ended")
        return tuple(f"jws {sid} {request.audience}" for request in requests)

    def end_presence(self, sid: str, reason: str) -> None:
        self._available()
        self.ended[sid] = reason

    def watch(self, listener: Callable[[m.Notice], None]) -> Callable[[], None]:
        self._available()
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def push(self, sid: str, reason: str) -> None:
        """End a presence as a revocation does: noticed from another thread."""
        self.ended[sid] = reason
        self.tell(m.PresenceEnded(sid, reason))

    def tell(self, notice: m.Notice) -> None:
        """Call the listeners from threads of their own."""
        calls = [threading.Thread(target=call, args=(notice,)) for call in self.listeners]
        for call in calls:
            call.start()
        for call in calls:
            call.join(LIMIT_S)

    def add_holder(self, holder: m.NewHolder) -> m.HolderView:
        raise NotImplementedError

    def badges(self, page: m.Page) -> m.BadgeList:
        self._available()
        return m.BadgeList((), None)

    def revoke_badge(self, badge: str, reason: str) -> m.BadgeView:
        raise NotImplementedError

    def jwks(self) -> dict[str, Any]:
        return {"keys": []}

    def health(self) -> m.Health:
        self.calls["health"] += 1
        self.health_asked.set()
        self.health_waits_for.wait(LIMIT_S)
        return m.Health(self.down is None, self.down)


class World:
    """The workstation of a test and what stands around it."""

    def __init__(self, *sources: Source, debounce_ms: int = 500) -> None:
        self.clock = HandClock()
        self.keys = Keys(self.clock)
        self.sources = sources or (Source(),)
        self.source = self.sources[0]
        self.station = Workstation(
            service=self.keys,
            inspector=Inspector(self.keys, Policy("F5CA4D", Scheme.EV1_AES)),  # type: ignore[arg-type]
            sources=self.sources,
            settings=PresenceSettings(),
            debounce_ms=debounce_ms,
            clock=self.clock,
            trust=TrustStore(Trust()),
        )
        self.seen: list[Event] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["World"]:
        await self.station.start()
        self.events: Subscription = self.station.events.subscribe()
        await self.until("snapshot")
        count = len(self.source._first)
        while len(self.station.readers()) < count:
            await self.until("reader.added")
        try:
            yield self
        finally:
            await self.station.stop()

    async def until(self, *types: str) -> Event:
        """Wait for the next event of one of these types."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                event = await anext(self.events)
                self.seen.append(event)
                if event.type in types:
                    return event

    async def tap(self, card: Card | None = None, reader: str = "one") -> Event:
        """Show a card, wait for what comes of it, and take it away a second later."""
        self.source.insert(reader, card or Card())
        event = await self.until("tap")
        await self.take_away(reader)
        return event

    async def take_away(self, reader: str = "one") -> None:
        self.source.withdraw(reader)
        await self.until("card.removed")
        self.advance(1)

    def advance(self, seconds: float) -> None:
        self.clock.time += seconds
        self.station.tick()

    def authenticate(self, **fields: Any) -> Operation:
        request = AuthenticationRequest(audience="app", nonce=NONCE, **fields)
        return self.station.authenticate("me", request)

    def enrol(self, **fields: Any) -> Operation:
        fields = {"action": "encode", "holder": "carol", **fields}
        return self.station.enrol("me", EnrolmentRequest(**fields))

    async def ended(self, operation: Operation) -> Operation:
        async with asyncio.timeout(LIMIT_S):
            while not operation.ended:
                await operation.changed(LIMIT_S)
        return operation

    async def settled(self) -> None:
        """Wait until all that was shown has been reported, served and taken note of."""
        for source in self.sources:
            await source.drained()
        for slot in self.station._slots.all():
            await slot.worker.call(lambda: None)
        await self.errands_done()

    async def errands_done(self) -> None:
        """Wait until what was queued for the key service has been done."""
        await self.station._link._errands.call(lambda: None)
        await asyncio.sleep(0)


async def in_thread(call: Call) -> Any:
    """Run a blocking call of a test beside the loop."""
    return await asyncio.get_running_loop().run_in_executor(None, call)
