"""That no try of a card is used which nobody wants, or which the limit of wrong PINs forbids."""

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from cardd.errors import CarddError, Code
from cardd.presence.cps_login import PinGiven
from cardd.presence.model import AuthenticationRequest
from cardd.presence.operations import Operation
from cardd.presence.workstation import Workstation
from cardd.readers.virtual_connection import VirtualCard
from cardd.secret import Secret
from simulators.cps import Face, VirtualCps
from simulators.link import insert
from simulators.pinpad import press
from simulators.pki import Pki
from tests.presence.cps_world import AUDIENCE, Away, station, until
from tests.presence.world import LIMIT_S, NONCE, limited

pytestmark = pytest.mark.unit

WRONG = Secret(b"9999")
NEW = Secret(b"2468")
WRONG_CODE = Secret(b"00000000")


class Held(VirtualCps):
    """A card that waits before every command that `holds` names, once it is `armed`."""

    armed = False
    holds = -1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reached, self.released = threading.Event(), threading.Event()

    def transmit(self, command: bytes) -> bytes:
        if self.armed and self.holds in {-1, command[1]}:
            self.reached.set()
            assert self.released.wait(LIMIT_S)
        return super().transmit(command)


def asked(made: Workstation) -> Operation:
    request = AuthenticationRequest(audience=AUDIENCE, nonce=NONCE, methods=("cps",))
    return made.authenticate("me", request)


@contextlib.asynccontextmanager
async def shown(made: Workstation, card: VirtualCps, folder: Path) -> AsyncIterator[str]:
    """Put a card in the reader, wait until it is known, and give its handle."""
    with insert(card, f"unix:{folder}/desk"):
        operation = asked(made)
        await until(operation, "pin_required")
        assert operation.pin is not None
        handle = operation.pin.card
        made.cancel(operation.id)
        yield handle


def tries(card: VirtualCps, reference: int) -> int:
    return card.chip.codes[reference].tries_left


def pins(card: VirtualCps) -> int:
    """Count the PINs that reached the card to be verified."""
    return sum(command[1] == 0x20 and len(command) > 5 for command in card.commands)


async def failure(call: Any) -> str:
    try:
        await call
    except CarddError as error:
        return str(error.code)
    return "none"


@pytest.mark.parametrize("act", ["unblock_pin", "change_pin"])
def test_guesses_at_the_same_time_are_as_limited_as_one_after_the_other(
    pki: Pki, content: dict[str, Any], tmp_path: Path, act: str
) -> None:
    @limited
    async def run() -> None:
        card = VirtualCps.from_json(content)
        before = {reference: code.tries_left for reference, code in card.chip.codes.items()}
        wrong = WRONG_CODE if act == "unblock_pin" else WRONG
        async with station(tmp_path, pki, Away()) as made, shown(made, card, tmp_path) as handle:
            give = getattr(made.cps, act)
            said = await asyncio.gather(
                *(failure(give("me", handle, wrong, NEW, use_last_try=False)) for _ in range(12))
            )
        assert said.count("rate_limited") == 10
        assert all(code in {"pin_incorrect", "puk_incorrect", "rate_limited"} for code in said)
        lost = [left - tries(card, reference) for reference, left in before.items()]
        assert max(lost) == sum(lost) == 2

    run()


def test_a_guess_counts_also_where_nobody_waits_for_its_answer(
    pki: Pki, content: dict[str, Any], tmp_path: Path
) -> None:
    @limited
    async def run() -> None:
        card = Held.from_json(content)
        async with station(tmp_path, pki, Away()) as made, shown(made, card, tmp_path) as handle:
            card.armed = True
            guesses = [
                asyncio.ensure_future(
                    made.cps.change_pin("me", handle, WRONG, NEW, use_last_try=False)
                )
                for _ in range(2)
            ]
            assert await asyncio.to_thread(card.reached.wait, LIMIT_S)
            for guess in guesses:
                guess.cancel()
            card.released.set()
            await made.cps.show(handle)
            again = made.cps.change_pin("me", handle, WRONG, NEW, use_last_try=True)
            assert await failure(again) == "rate_limited"

    run()


def test_a_login_that_is_cancelled_while_its_pin_is_queued_uses_no_try(
    pki: Pki, content: dict[str, Any], tmp_path: Path
) -> None:
    @limited
    async def run() -> None:
        card = VirtualCps.from_json(content)
        goes_on = threading.Event()
        async with station(tmp_path, pki, Away()) as made, shown(made, card, tmp_path) as handle:
            operation = await until(asked(made), "pin_required")
            (read,) = made.cps._at.values()
            busy = threading.Event()
            read.slot.worker.submit(lambda: (busy.set(), goes_on.wait(LIMIT_S)))
            assert await asyncio.to_thread(busy.wait, LIMIT_S)
            giving = asyncio.ensure_future(made.cps.give_pin(operation, handle, PinGiven(WRONG)))
            await asyncio.sleep(0)
            assert operation.verifying
            made.cancel(operation.id)
            sent = len(card.commands)
            goes_on.set()
            await giving
            assert str(operation.state) == "cancelled"
            assert len(card.commands) == sent
        assert pins(card) == 0

    run()


def test_a_login_that_is_cancelled_right_before_its_verify_uses_no_try(
    pki: Pki, content: dict[str, Any], tmp_path: Path
) -> None:
    """GET DATA, which asks for the tries left, is what the driver sends before it."""

    @limited
    async def run() -> None:
        card = Held.from_json(content)
        card.holds = 0xCB
        async with station(tmp_path, pki, Away()) as made, shown(made, card, tmp_path) as handle:
            operation = await until(asked(made), "pin_required")
            card.armed = True
            giving = asyncio.ensure_future(made.cps.give_pin(operation, handle, PinGiven(WRONG)))
            assert await asyncio.to_thread(card.reached.wait, LIMIT_S)
            made.cancel(operation.id)
            card.released.set()
            await giving
            assert str(operation.state) == "cancelled"
        assert pins(card) == 0
        assert tries(card, 1) == 3

    run()


@contextlib.contextmanager
def held_by_another(keys: Away) -> Iterator[None]:
    """Have another program take the card when a challenge is fetched."""
    other = object()

    def take() -> None:
        assert keys.source is not None
        card = keys.source._card
        assert isinstance(card, VirtualCard)
        card.acquire(other)

    keys.asked = take
    yield


def test_a_card_without_a_pin_that_another_program_holds_ends_the_login(
    pki: Pki, content: dict[str, Any], tmp_path: Path
) -> None:
    @limited
    async def run() -> None:
        keys = Away(challenges=1)
        card = VirtualCps.from_json(content)
        card.turn(Face.CONTACTLESS)
        async with station(tmp_path, pki, keys) as made:
            with held_by_another(keys), insert(card, f"unix:{tmp_path}/desk"):
                ended = await until(asked(made), "succeeded", "failed")
            assert ended.problem is not None
            assert ended.problem.code == Code.CARD_BUSY

    run()


def test_a_reader_with_a_keypad_does_not_ask_for_a_peer_that_has_to_wait(
    pki: Pki, content: dict[str, Any], tmp_path: Path
) -> None:
    @limited
    async def run() -> None:
        card = VirtualCps.from_json(content)
        address = f"unix:{tmp_path}/desk"
        async with station(tmp_path, pki, Away(), has_pinpad=True) as made:
            with insert(card, address):
                for _ in range(2):
                    card.chip.codes[1] = dataclasses.replace(card.chip.codes[1], tries_left=3)
                    guessed = await until(asked(made), "pin_required")
                    assert guessed.pin is not None
                    assert guessed.pin.asked
                    await asyncio.to_thread(press, address, ("9999",), wait_seconds=LIMIT_S)
                    while guessed.pin.asked:
                        await guessed.changed(LIMIT_S)
                    made.cancel(guessed.id)
                card.chip.codes[1] = dataclasses.replace(card.chip.codes[1], tries_left=3)
                sent = pins(card)
                limited_one = await until(asked(made), "pin_required")
                assert limited_one.pin is not None
                assert limited_one.problem is not None
                assert limited_one.problem.code == Code.RATE_LIMITED
                assert not limited_one.pin.asked
                again = made.cps.give_pin(limited_one, limited_one.pin.card, PinGiven())
                assert await failure(again) == "rate_limited"
                assert pins(card) == sent == 2

    run()
