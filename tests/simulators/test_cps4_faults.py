"""The virtual CPS4 against hostile bytes, in a card file, and torn in the middle."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulators import card as card_files
from simulators.cps.chipdoc import VirtualCps4, storage
from simulators.cps.chipdoc.card import COMMANDS
from simulators.cps.chipdoc.chip import Chip
from simulators.faults import Faults, TearMoment
from simulators.link import insert
from simulators.stay import Fixed
from tests.simulators.cps4_side import (
    RAW_ENVIRONMENT,
    SELECT_APPLICATION,
    SELECT_CHIPDOC,
    SELECT_CPS2TER,
    SELECT_DOMAIN,
    TRIES,
    VERIFY,
    VERIFY_PUK,
    WRONG,
    ask,
    started,
)
from tests.simulators.virtual_reader import VirtualReader

pytestmark = pytest.mark.unit

KNOWN = [
    bytes.fromhex(text)
    for text in (
        SELECT_CHIPDOC,
        SELECT_CPS2TER,
        SELECT_DOMAIN,
        SELECT_APPLICATION,
        RAW_ENVIRONMENT,
        "012281B60491022890",
        "01A4080C02D003",
        "01A4080002D00300",
        "01B0000000",
        "01C0000000",
        "A0A40000023F00",
        "A0C0000000",
        "112A8086FF" + "00" * 255,
        "012A8086010000",
    )
]
commands = st.builds(
    lambda cla, ins, p1, p2, data, le: (
        bytes((cla, ins, p1, p2)) + (bytes((len(data),)) + data if data else b"") + le
    ),
    st.sampled_from([0x00, 0x01, 0x11, 0xA0]) | st.integers(0, 255),
    st.sampled_from([*COMMANDS, 0xC0, 0x88]) | st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 255),
    st.binary(max_size=255),
    st.binary(max_size=1),
)
frames = st.lists(st.sampled_from(KNOWN) | st.binary(max_size=300) | commands, max_size=15)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hostile=frames, verified=st.booleans(), is_t0=st.booleans())
def test_any_bytes_get_a_status_and_leave_a_card_that_can_be_stored(
    cps4_chip: Chip, cps4_t0_chip: Chip, hostile: list[bytes], verified: bool, is_t0: bool
) -> None:
    card = started(VirtualCps4(cps4_t0_chip if is_t0 else cps4_chip))
    if verified:
        ask(card, VERIFY)
    for frame in hostile:
        answer = card.transmit(frame)
        assert 2 <= len(answer) <= 258
        assert answer[-2] in {
            0x90, 0x61, 0x63, 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6C, 0x6D, 0x6E, 0x94, 0x9F,
        }  # fmt: skip
    assert storage.load(storage.dump(card.chip)) == card.chip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames)
def test_without_a_code_nothing_is_written_and_no_key_is_used(
    cps4_chip: Chip, hostile: list[bytes]
) -> None:
    card = started(VirtualCps4(cps4_chip))
    for frame in hostile:
        if frame[1:2] == b"\x20" and len(frame) > 5:
            continue
        answer = card.transmit(frame)
        assert len(answer) < 258 or frame[1] in {0xB0, 0xC0}
    assert card.chip.files == cps4_chip.files
    assert card.chip.codes == cps4_chip.codes


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from([WRONG, VERIFY, TRIES, VERIFY_PUK, "012C0381"]), max_size=20))
def test_tries_fall_by_one_for_each_wrong_pin_and_for_nothing_else(
    cps4_chip: Chip, sent: list[str]
) -> None:
    card = started(VirtualCps4(cps4_chip))
    left, puk_given = 3, False
    for command in sent:
        ask(card, command)
        if command == VERIFY_PUK:
            puk_given = True
        elif command == WRONG:
            left = max(0, left - 1)
        elif (command == VERIFY and left) or (command == "012C0381" and puk_given):
            left = 3
        assert card.chip.codes[1].tries_left == left


@pytest.fixture
def path(tmp_path: Path, cps4_chip: Chip) -> Path:
    path = tmp_path / "cps4.json"
    card_files.create(path, VirtualCps4(cps4_chip))
    return path


def stored(path: Path) -> Chip:
    card = card_files.load(path)
    assert isinstance(card, VirtualCps4)
    return card.chip


def test_everything_on_the_chip_is_in_its_file(path: Path, cps4_chip: Chip) -> None:
    assert stored(path) == cps4_chip
    assert json.loads(path.read_text())["card"]["kind"] == "cps4"


def test_tries_persist_between_insertions(path: Path) -> None:
    for expected in ("63C2", "63C1", "63C0", "6983"):
        with card_files.hold(path) as held:
            held.power_on()
            held.transmit(bytes.fromhex(SELECT_CHIPDOC))
            assert held.transmit(bytes.fromhex(WRONG)).hex().upper() == expected
    assert stored(path).codes[1].tries_left == 0


def test_a_new_pin_persists_and_is_not_verified_next_time(path: Path) -> None:
    change = "0124010104" + b"5678".hex()
    with card_files.hold(path) as held:
        for command in (SELECT_CHIPDOC, VERIFY, change):
            assert held.transmit(bytes.fromhex(command)) == b"\x90\x00"
    card = started(VirtualCps4(stored(path)))
    assert ask(card, VERIFY) == "63C2"
    assert ask(card, "0120000104" + b"5678".hex()) == "9000"


@pytest.mark.parametrize(("tear", "left"), [("before", 3), ("after", 2)])
def test_a_torn_wrong_pin_has_cost_a_try_or_never_came(
    path: Path, tear: TearMoment, left: int
) -> None:
    with (
        VirtualReader() as reader,
        card_files.hold(path) as held,
        insert(held, reader.address, faults=Faults(tear_after=2, tear=tear)),
    ):
        reader.accept()
        reader.send(b"\x01")
        assert reader.transmit(bytes.fromhex(SELECT_CHIPDOC)) == b"\x90\x00"
        reader.send(bytes.fromhex(WRONG))
        assert reader.card_is_gone()
    assert stored(path).codes[1].tries_left == left


def test_a_card_that_falls_silent_keeps_its_tries(path: Path) -> None:
    with (
        VirtualReader() as reader,
        card_files.hold(path) as held,
        insert(held, reader.address, faults=Faults(mute_after=1), stay=Fixed(0.3)),
    ):
        reader.accept()
        reader.send(b"\x01")
        assert reader.transmit(bytes.fromhex(SELECT_CHIPDOC)) == b"\x90\x00"
        reader.send(bytes.fromhex(WRONG))
        assert reader.card_is_gone()
    assert stored(path).codes[1].tries_left == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "cps3"),
        ("product", "t9"),
        ("codes", []),
        ("codes", [{"reference": 1, "digits": "1234", "tries_left": 4, "tries": 3}]),
        ("codes", [{"reference": 1, "digits": "12", "tries_left": 3, "tries": 3}]),
        ("keys", [{"reference": 32, "pkcs8": "3000"}]),
        ("keys", [{"reference": 32, "pkcs8": ""}]),
        ("files", [{"path": "D0", "content": "", "read": "free", "update": "never"}]),
        ("files", [{"path": "D003", "content": "", "read": "free", "update": "never"}] * 2),
        ("extra", 1),
    ],
)
def test_a_card_with_a_field_that_cannot_be_is_refused(
    cps4_chip: Chip, field: str, value: object
) -> None:
    with pytest.raises(ValueError, match=r".+"):
        storage.load({**storage.dump(cps4_chip), field: value})


def test_a_key_of_another_length_is_refused(cps4_chip: Chip) -> None:
    whole = storage.dump(cps4_chip)
    other = "30820276020100300D06092A864886F70D0101010500"
    with pytest.raises(ValueError, match="RSA key"):
        storage.load({**whole, "keys": [{"reference": 32, "pkcs8": other}]})


def test_no_code_and_no_key_shows(cps4_chip: Chip) -> None:
    lines = "\n".join(VirtualCps4(cps4_chip).describe())
    assert "PIN  3 of 3 tries left" in lines
    for shown in (lines, repr(cps4_chip.codes), repr(cps4_chip)):
        assert str(cps4_chip.keys[0x20].d) not in shown
    assert "1234" not in repr(cps4_chip.codes)
