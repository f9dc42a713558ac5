"""Answers that arrive wrong on their way from a virtual card."""

import time

import pytest

from simulators.desfire import VirtualDesfire
from simulators.faults import DELAY_SECONDS, Disturbance, Fault, Faults
from simulators.link import insert
from tests.simulators.virtual_reader import VirtualReader

pytestmark = pytest.mark.unit


def answers(*disturbances: Disturbance, count: int = 5, seed: int = 0) -> list[bytes]:
    """Return what arrives of the answers 0000.., 0101.., each with its status word."""
    faults = Faults(disturbances=disturbances, seed=seed)
    return [faults.transmit(answer_of, bytes((number,))) for number in range(count)]


def answer_of(command: bytes) -> bytes:
    return command * 8 + b"\x91\x00"


WHOLE = [answer_of(bytes((number,))) for number in range(5)]


def test_without_faults_answers_arrive_as_they_are() -> None:
    assert answers() == WHOLE


def test_a_corrupted_answer_differs_in_one_bit() -> None:
    for seed in range(20):
        got = answers(Disturbance(Fault.CORRUPT, 3), seed=seed)
        assert got[:2] + got[3:] == WHOLE[:2] + WHOLE[3:]
        flipped = int.from_bytes(got[2]) ^ int.from_bytes(WHOLE[2])
        assert flipped.bit_count() == 1
        assert len(got[2]) == len(WHOLE[2])


def test_a_truncated_answer_lacks_the_end_of_its_data() -> None:
    for seed in range(20):
        got = answers(Disturbance(Fault.TRUNCATE, 2), seed=seed)[1]
        data = got[:-2]
        assert got[-2:] == b"\x91\x00"
        assert len(data) < 8
        assert WHOLE[1].startswith(data)


def test_a_truncated_answer_without_data_lacks_half_its_status_word() -> None:
    faults = Faults(disturbances=(Disturbance(Fault.TRUNCATE, 1),))
    assert faults.transmit(lambda _command: b"\x91\x00", b"x") == b"\x91"


def test_a_repeated_answer_is_the_one_before() -> None:
    got = answers(Disturbance(Fault.REPEAT, 3))
    assert got == [WHOLE[0], WHOLE[1], WHOLE[1], WHOLE[3], WHOLE[4]]


def test_a_reordered_answer_arrives_in_place_of_the_next() -> None:
    got = answers(Disturbance(Fault.REORDER, 3))
    assert got == [WHOLE[0], WHOLE[1], WHOLE[1], WHOLE[2], WHOLE[4]]


@pytest.mark.parametrize("fault", [Fault.REPEAT, Fault.REORDER])
def test_the_first_answer_has_none_before_it(fault: Fault) -> None:
    assert answers(Disturbance(fault, 1)) == WHOLE


def test_a_delayed_answer_is_whole_and_late() -> None:
    faults = Faults(disturbances=(Disturbance(Fault.DELAY, 2),))
    pauses = []
    for number in range(3):
        assert faults.transmit(answer_of, bytes((number,))) == WHOLE[number]
        pauses.append(faults.pause_seconds)
    assert pauses == [0, DELAY_SECONDS, 0]


def test_the_card_has_carried_every_command_out() -> None:
    seen: list[bytes] = []

    def transmit(command: bytes) -> bytes:
        seen.append(command)
        return answer_of(command)

    faults = Faults(disturbances=tuple(Disturbance(fault) for fault in Fault), seed=1)
    for number in range(20):
        faults.transmit(transmit, bytes((number,)))
    assert seen == [bytes((number,)) for number in range(20)]


@pytest.mark.parametrize("fault", [Fault.CORRUPT, Fault.TRUNCATE, Fault.REPEAT])
def test_without_a_number_a_seed_decides_which_answers(fault: Fault) -> None:
    first, again = (answers(Disturbance(fault), count=200, seed=7) for _ in range(2))
    other = answers(Disturbance(fault), count=200, seed=8)
    assert first == again != other
    spoilt = sum(got != answer_of(bytes((place,))) for place, got in enumerate(first))
    assert 20 < spoilt < 100


def test_two_faults_may_strike_one_answer() -> None:
    got = answers(Disturbance(Fault.REPEAT, 2), Disturbance(Fault.TRUNCATE, 2))[1]
    assert len(got) < len(WHOLE[0])
    assert WHOLE[0].startswith(got[:-2])


@pytest.mark.parametrize(
    ("text", "disturbance"),
    [
        ("corrupt", Disturbance(Fault.CORRUPT)),
        ("reorder:12", Disturbance(Fault.REORDER, 12)),
    ],
)
def test_a_fault_is_read_from_text(text: str, disturbance: Disturbance) -> None:
    assert Disturbance.parse(text) == disturbance


@pytest.mark.parametrize(
    "text", ["", "lose", ":1", "corrupt:", "corrupt:0", "corrupt:-1", "delay:x", "delay:9999999"]
)
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no fault|counted from 1"):
        Disturbance.parse(text)


def test_a_command_is_counted_from_1() -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        Disturbance(Fault.DELAY, 0)


def test_a_reader_sees_the_fault_and_after_it_whole_answers() -> None:
    card = VirtualDesfire.factory("ev3")
    get_uid = bytes.fromhex("FFCA000000")
    faults = Faults(disturbances=(Disturbance(Fault.TRUNCATE, 2),))
    with VirtualReader() as reader, insert(card, reader.address, faults=faults):
        reader.accept()
        assert reader.transmit(get_uid) == card.uid + b"\x90\x00"
        assert len(reader.transmit(get_uid)) < 9
        assert reader.transmit(get_uid) == card.uid + b"\x90\x00"


def test_a_late_answer_comes_all_the_same() -> None:
    card = VirtualDesfire.factory("ev3")
    faults = Faults(disturbances=(Disturbance(Fault.DELAY, 1),))
    with VirtualReader() as reader, insert(card, reader.address, faults=faults):
        reader.accept()
        started = time.monotonic()
        assert reader.transmit(bytes.fromhex("FFCA000000")) == card.uid + b"\x90\x00"
        assert time.monotonic() - started >= DELAY_SECONDS
