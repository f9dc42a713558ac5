"""Whatever a card answers, the driver ends with a result or a documented error, within bounds."""

import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardd.cps.card import CardMemory
from cardd.cps.chipdoc import ChipDocCard
from cardd.cps.family import Family
from cardd.cps.iasecc import IasEccCard
from cardd.cps.recognition import recognise
from cardd.errors import CarddError, CardError, Refused
from cardd.secret import Secret
from tests.cps.facts_card import FactsCard, play
from tests.cps.test_cps_driver import (
    CONTACTLESS_ATR,
    CPS3_ATR,
    CPS4_ATR,
    DIGEST,
    contactless,
    cps3,
    cps4,
    recognised,
)

pytestmark = pytest.mark.unit

ATRS = {"cps3": CPS3_ATR, "contactless": CONTACTLESS_ATR, "cps4": CPS4_ATR}
CARDS: dict[str, Callable[[], FactsCard]] = {"cps3": cps3, "contactless": contactless, "cps4": cps4}
DRIVERS: dict[str, Callable[[], Any]] = {
    "cps3": lambda: IasEccCard(Family.CPS3_CONTACT),
    "contactless": lambda: IasEccCard(Family.CPS3_CONTACTLESS),
    "cps4": ChipDocCard,
}
CALLS: dict[str, Callable[[Any], Any]] = {
    "recognise": lambda driver: driver.recognise(),
    "number": lambda driver: driver.number(),
    "update_stamp": lambda driver: driver.update_stamp(),
    "remember": lambda driver: driver.remember(CardMemory()),
    "certificates": lambda driver: driver.certificates(),
    "data_objects": lambda driver: driver.data_objects(protected=True),
    "pin": lambda driver: driver.pin(),
    "pin_request": lambda driver: driver.pin_request(),
    "verify_pin": lambda driver: driver.verify_pin(Secret(b"1234")),
    "sign": lambda driver: driver.sign(DIGEST),
    "change_pin": lambda driver: driver.change_pin(Secret(b"1234"), Secret(b"5678")),
    "unblock_pin": lambda driver: driver.unblock_pin(Secret(b"12345678"), Secret(b"5678")),
}
MOST_COMMANDS = 20_000
PIN_COMMANDS = frozenset({0x20, 0x24, 0x2C})


class Counted:
    """Passes commands on, and fails the test where there are too many."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer = answer
        self.commands: list[bytes] = []

    def transmit(self, command: bytes) -> bytes:
        self.commands.append(command)
        assert len(self.commands) <= MOST_COMMANDS
        return self.answer(command)

    def tries_used(self) -> int:
        return sum(each[1] in PIN_COMMANDS and len(each) > 5 for each in self.commands)


def attempt(driver: Any, name: str, card: Counted) -> None:
    # Anything but a documented error, such as IndexError, fails the test.
    said = ""
    try:
        play(CALLS[name](driver), card)
    except (CardError, Refused) as error:
        said = f"{error!r} {error.facts}"
    assert "1234" not in said


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("family", DRIVERS)
@given(answers=st.lists(st.binary(max_size=270), min_size=1, max_size=12))
@settings(max_examples=25)
def test_any_answers_end_in_a_documented_error(
    family: str, name: str, answers: list[bytes]
) -> None:
    turn = iter(range(MOST_COMMANDS + 1))
    card = Counted(lambda _: answers[next(turn) % len(answers)])
    attempt(DRIVERS[family](), name, card)
    assert card.tries_used() <= 3


@pytest.mark.parametrize(
    "answer",
    ["9000", "6100", "6101", "6C00", "6C10", "6282", "6985", "6881", "6E00", "6A82", "63C3", "63C0",
     "6983", "6300", "FF" * 256 + "9000", "00" * 256 + "9000", "30" * 256 + "9000",
     "00" * 256 + "6100", "3082FFFF9000", "6F0480027FFF9000", "62048002FFFF9000", "620080019000"],
)  # fmt: skip
@pytest.mark.parametrize("family", DRIVERS)
def test_one_answer_for_ever_ends_in_a_documented_error(family: str, answer: str) -> None:
    for name in CALLS:
        card = Counted(lambda _: bytes.fromhex(answer))
        attempt(DRIVERS[family](), name, card)
        assert card.tries_used() <= 1


@pytest.mark.parametrize("family", CARDS)
def test_a_good_card_with_any_one_answer_damaged_ends_in_a_documented_error(family: str) -> None:
    source = random.Random(7)  # noqa: S311 - reproducible damage
    for name in CALLS:
        whole = Counted(CARDS[family]().transmit)
        attempt(DRIVERS[family](), name, whole)
        for index in range(len(whole.commands)):
            for damage in (_flip, _cut, _other_status, _longer):
                good = CARDS[family]()
                card = Counted(_damaging(good.transmit, index, damage, source))
                attempt(DRIVERS[family](), name, card)
                assert card.tries_used() <= 2


def _damaging(
    answer: Callable[[bytes], bytes],
    index: int,
    damage: Callable[[bytes, random.Random], bytes],
    source: random.Random,
) -> Callable[[bytes], bytes]:
    turn = iter(range(MOST_COMMANDS + 1))
    return lambda command: (
        damage(answer(command), source) if next(turn) == index else answer(command)
    )


def _flip(answer: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(answer))
    return answer[:at] + bytes((answer[at] ^ 1 << source.randrange(8),)) + answer[at + 1 :]


def _cut(answer: bytes, source: random.Random) -> bytes:
    return answer[: source.randrange(len(answer))]


def _other_status(answer: bytes, source: random.Random) -> bytes:
    return answer[:-2] + bytes((source.choice(range(0x60, 0xA0)), source.randrange(256)))


def _longer(answer: bytes, source: random.Random) -> bytes:
    return source.randbytes(300) + answer


def test_a_card_of_endless_files_costs_little_memory() -> None:
    template = "6F048002" + "1FF0" + "9000"
    endless = Counted(
        lambda command: (
            bytes.fromhex(template) if command[1] == 0xA4 else b"\x30" * 256 + b"\x90\x00"
        )
    )
    tracemalloc.start()
    try:
        attempt(ChipDocCard(), "certificates", endless)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("family", CARDS)
def test_an_exchange_given_up_anywhere_leaves_a_driver_that_works(family: str) -> None:
    for stop in range(12):
        card = CARDS[family]()
        driver = recognised(card, ATRS[family])
        exchange = driver.login_certificate()
        commands = next(exchange)
        for _ in range(stop):
            commands = exchange.send(tuple(card.transmit(each) for each in commands))
        exchange.close()
        assert play(driver.login_certificate(), card).der


@pytest.mark.parametrize("family", ATRS)
def test_recognition_of_a_mute_card_is_an_error_of_the_card(family: str) -> None:
    with pytest.raises(CarddError):
        play(recognise(ATRS[family]), Counted(lambda _: b""))
