"""A workstation that does what it likes: no sequence of requests gets it more than honest ones do.

It gives any answers to any handle in any order, on two badges at once. Each command that the key
service then makes is one that the same procedure makes for an honest card: instruction, length and
what is in clear (who changes a byte of that has left the procedure). A success is one of a card
that answered its authentication itself. And afterwards an honest workstation finishes the work, or
is refused: the registry never says of a badge what it is not.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.badges.states import RevocationReason
from cardd.errors import Code, Refused
from cardd.kms import messages as m
from cardd.kms.ports import KeyService
from simulators.desfire.picc import VirtualDesfire
from tests.examples import examples
from tests.kms.kms_world import (
    Cut,
    MovedClock,
    Relay,
    configuration,
    encoded,
    holder,
    key_service,
    new_generation,
)

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(300)]

PROCEDURES = ("prepare", "encode", "tap", "inspect", "rekey", "wipe")
SECOND_PART = 0xAF
CLEAR = {0x5A: 3, 0xC4: 1, 0x5C: 1, 0x3D: 7, 0x8D: 7, 0xBD: 7, 0xAD: 7, 0xCA: 5, 0xDA: 3, 0x64: 1}
CHOSEN = bytes.fromhex("C0FFEE00")
FORGED = (
    b"\x91\x00",
    b"\x91\xae",
    b"\x91\xaf",
    b"",
    CHOSEN * 4 + b"\x91\xaf",
    CHOSEN * 4 + b"\x91\x00",
    CHOSEN * 8 + b"\x91\x00",
    CHOSEN * 2 + b"\x91\x00",
)

Shape = tuple[int, int, bytes]


def shape(command: bytes) -> Shape:
    """Name a command without what is enciphered in it, which is another in each session."""
    return command[1], len(command), command[5 : 5 + CLEAR.get(command[1], 0)]


@dataclass
class Site:
    """A key service, and badges in the state in which each procedure begins."""

    service: KeyService
    product: str
    made: int = 0
    honest: dict[str, set[Shape]] = field(default_factory=dict)

    def badge(self, procedure: str) -> VirtualDesfire:
        """Return a new badge in that state."""
        self.made += 1
        badge = VirtualDesfire.factory(self.product)
        if procedure == "prepare":
            return badge
        Relay(self.service, badge).run(m.Prepare(badge.uid))
        if procedure == "encode":
            return badge
        receipt = encoded(self.service, badge, holder(self.service, f"S{self.made}").id)
        if procedure == "wipe":
            self.service.revoke_badge(receipt.badge, RevocationReason.LOST.value)
        return badge

    def learn(self, procedure: str) -> None:
        """Remember what an honest card is sent, also where the work was cut and goes on."""
        shapes = self.honest[procedure] = set()
        length = 60
        for cut_at in (None, *range(1, 60, 3)):
            if cut_at is not None and cut_at >= length:
                break
            badge = self.badge(procedure)
            relay = Relay(self.service, badge)
            if cut_at is not None:
                with pytest.raises(Cut):
                    relay.run(request(procedure, badge), cut_at=cut_at, executed=True)
                shapes |= set(map(shape, relay.sent))
            with suppress(Refused):
                relay.run(request(procedure, badge))
            shapes |= set(map(shape, relay.sent))
            length = length if cut_at is not None else len(relay.sent)


def request(procedure: str, badge: VirtualDesfire) -> m.Procedure:
    return {
        "prepare": m.Prepare(badge.uid),
        "encode": m.Encode(badge.uid),
        "tap": m.Tap(badge.uid),
        "inspect": m.Inspect(badge.uid),
        "rekey": m.Rekey(badge.uid, generation=1),
        "wipe": m.Wipe(badge.uid),
    }[procedure]


@dataclass
class Exchange:
    """A handle under way. `proved` says that the right card answered its last authentication."""

    badge: VirtualDesfire
    step: m.Step
    proved: bool = False


class Hostile:
    """Plays moves, and checks after each what it got."""

    def __init__(self, site: Site, procedure: str) -> None:
        self.site, self.procedure = site, procedure
        self.badges = [site.badge(procedure) for _ in range(2)]
        self.open: list[Exchange] = []
        self.spent: list[str] = []
        self.seen: list[tuple[bytes, ...]] = [(b"\x91\x00",)]

    def begin(self, which: int) -> None:
        badge = self.badges[which % 2]
        badge.reset()
        with suppress(Refused):
            step = self.site.service.begin(request(self.procedure, badge))
            self.check(step)
            self.open.append(Exchange(badge, step))

    def answer(self, which: int, answers: tuple[bytes, ...], *, honest: bool) -> None:
        """Answer one handle; whatever is refused must be gone afterwards."""
        exchange = self.open.pop(which % len(self.open))
        if any(command[1] == SECOND_PART for command in exchange.step.commands):
            exchange.proved = honest
        self.spent.append(exchange.step.handle)
        try:
            result = self.site.service.next(exchange.step.handle, answers)
        except Refused:
            return
        if isinstance(result, m.Step):
            self.check(result)
            exchange.step = result
            self.open.append(exchange)
        else:
            assert exchange.proved, f"{type(result).__name__} without the card"

    def check(self, step: m.Step) -> None:
        assert set(map(shape, step.commands)) <= self.site.honest[self.procedure]

    def move(self, kind: str, which: int, number: int) -> None:
        if kind == "begin" or not self.open:
            self.begin(which)
            return
        exchange = self.open[which % len(self.open)]
        commands = exchange.step.commands
        if kind in {"honest", "pretend"}:
            self.go_on(exchange, number, honest=kind == "honest")
        elif kind == "other card":
            (other,) = (badge for badge in self.badges if badge is not exchange.badge)
            self.answer(which, tuple(map(other.transmit, commands)), honest=False)
        elif kind == "replay":
            self.answer(which, self.seen[number % len(self.seen)], honest=False)
        elif kind == "forge":
            count = len(commands) + (number % 7 == 0)
            self.answer(which, (FORGED[number % len(FORGED)],) * count, honest=False)
        elif kind == "abort":
            self.site.service.abort(exchange.step.handle)
            self.spent.append(exchange.step.handle)
            self.open.remove(exchange)
        elif kind == "spent" and self.spent:
            with pytest.raises(Refused) as caught:
                self.site.service.next(self.spent[number % len(self.spent)], (b"\x91\x00",))
            assert caught.value.code is Code.TIMEOUT

    def go_on(self, exchange: Exchange, steps: int, *, honest: bool) -> None:
        """Answer as the badge does, or as something that has its form and none of its keys."""
        answer = exchange.badge.transmit if honest else self.pretended
        for _ in range(steps):
            if exchange not in self.open:
                return
            answers = tuple(map(answer, exchange.step.commands))
            if honest:
                self.seen.append(answers)
            self.answer(self.open.index(exchange), answers, honest=honest)

    def pretended(self, command: bytes) -> bytes:
        if command[1] in {0x71, 0xAA}:
            return CHOSEN * 4 + b"\x91\xaf"
        if command[1] == SECOND_PART:
            return CHOSEN * (8 if self.site.product == "ev2" else 4) + b"\x91\x00"
        return b"\x91\x00"

    def settle(self) -> None:
        """Let an honest workstation go on with both badges; what it is told is then true."""
        for exchange in self.open:
            self.site.service.abort(exchange.step.handle)
        for badge in self.badges:
            relay = Relay(self.site.service, badge)
            with suppress(Refused):
                relay.run(request(self.procedure, badge))
            if self.procedure in {"prepare", "wipe"}:
                with suppress(Refused):
                    relay.run(m.Encode(badge.uid))
            found = self.site.service.badges(m.Page(q=badge.uid.hex())).items
            if not found or found[0].state not in {"active", "stock"}:
                continue
            seen = relay.run(m.Inspect(badge.uid))
            assert isinstance(seen, m.Inspected)
            if seen.registry.unfinished is None:
                assert seen.card.differences == ()
                keys = (seen.card.picc_key, seen.card.master_key, seen.card.authenticate_key)
                assert keys == ("own",) * 3


MOVES = st.lists(
    st.tuples(
        st.sampled_from(
            (
                "begin",
                "honest",
                "honest",
                "pretend",
                "other card",
                "replay",
                "forge",
                "abort",
                "spent",
            )
        ),
        st.integers(0, 3),
        st.integers(1, 40),
    ),
    min_size=2,
    max_size=14,
)


@pytest.fixture(params=[("ev1", "stored"), ("ev2", "diversified")], ids="-".join)
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    product, mode = request.param
    config = configuration(tmp_path, "transport", keys=mode)
    with key_service(config, MovedClock()):
        pass
    assert new_generation(config) == 2
    with key_service(config, MovedClock()) as service:
        yield Site(service, product)


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_a_hostile_workstation_gets_nothing_that_an_honest_one_does_not(
    site: Site, procedure: str
) -> None:
    site.learn(procedure)

    @examples(5)
    @given(MOVES)
    def play(moves: list[tuple[str, int, int]]) -> None:
        hostile = Hostile(site, procedure)
        for move in moves:
            hostile.move(*move)
        hostile.settle()

    run: Callable[[], None] = play
    run()
