"""Any bytes get a status word, and never an exception or a change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.desfire import VirtualDesfire, storage
from simulators.desfire.interpreter import COMMANDS
from tests.examples import examples
from tests.simulators.reader_side import (
    APP,
    D40Reader,
    Ev1Reader,
    Ev2Reader,
    exchange,
    make_application,
)

pytestmark = pytest.mark.unit

INSTRUCTIONS = [*COMMANDS, 0xAF, 0x0A, 0x1A, 0xAA, 0x71, 0x77]

wrapped = st.builds(
    lambda ins, data: (
        b"\x90" + bytes((ins, 0, 0)) + (bytes((len(data),)) + data if data else b"") + b"\0"
    ),
    st.sampled_from(INSTRUCTIONS) | st.integers(0, 255),
    st.binary(max_size=255),
)
iso = st.builds(
    lambda ins, p1, p2, data: (
        bytes((0, ins, p1, p2)) + (bytes((len(data),)) + data if data else b"") + b"\0"
    ),
    st.sampled_from([0x82, 0x84, 0x88, 0xA4, 0xB0, 0xB2, 0xD6, 0xE2]) | st.integers(0, 255),
    st.sampled_from([0, 1, 4, 9, 0x80, 0x81]) | st.integers(0, 255),
    st.sampled_from([0, 4, 0x0C, 0x80]) | st.integers(0, 255),
    st.binary(max_size=40),
)
frames = st.lists(st.binary(max_size=300) | wrapped | iso, max_size=12)


def card_with_everything(product: str) -> VirtualDesfire:
    card = VirtualDesfire.factory(product, uid=b"\x04" + bytes(6))
    make_application(card)
    for number, mode in enumerate((0, 1, 3)):
        exchange(
            card,
            bytes((0xCD, number, mode))
            + bytes.fromhex("EE00" if not mode else "0000")
            + b"\x40\0\0",
        )
    return card


@pytest.mark.fuzz
@examples(200)
@given(
    frames, st.sampled_from(["ev1", "ev2", "ev3"]), st.sampled_from(["none", "d40", "ev1", "ev2"])
)
def test_any_bytes_get_a_status_and_leave_a_card_that_can_be_stored(
    hostile: list[bytes], product: str, session: str
) -> None:
    card = card_with_everything(product)
    if session == "ev1":
        Ev1Reader.authenticate(card)
    elif session == "d40":
        exchange(card, b"\x5a\0\0\0")
        D40Reader.authenticate(card)
    elif session == "ev2" and product != "ev1":
        Ev2Reader.authenticate(card)
    for frame in hostile:
        answer = card.transmit(frame)
        assert 2 <= len(answer) <= 258
        assert answer[-2] in {0x91, 0x90, 0x62, 0x67, 0x69, 0x6A, 0x6B, 0x6C, 0x6D, 0x6E}
    assert storage.load(storage.dump(card.chip)) == card.chip


@pytest.mark.fuzz
@examples(100)
@given(st.sampled_from([0x3D, 0xC4, 0x54, 0x8D]), st.binary(max_size=120), st.booleans())
def test_no_forged_command_changes_what_a_session_protects(
    ins: int, body: bytes, is_ev2: bool
) -> None:
    card = card_with_everything("ev2")
    _ = Ev2Reader.authenticate(card) if is_ev2 else Ev1Reader.authenticate(card)
    before = card.chip.applications[APP]
    frame = bytes((ins,)) + body
    card.transmit(b"\x90" + frame[:1] + b"\0\0" + bytes((len(body),)) * bool(body) + body + b"\0")
    after = card.chip.applications[APP]
    assert after.keys == before.keys
    assert after.settings == before.settings
    assert (after.files[1], after.files[2]) == (before.files[1], before.files[2])


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("", "6700"),
        ("90", "6700"),
        ("906000", "6700"),
        ("00A4040007D276000085010000", "9000"),
        ("00A4040007D276000085010100", "6A82"),
        ("00B0000000", "6985"),
        ("00C0000000", "6D00"),
        ("80A40000", "6E00"),
        ("9060010000", "6A86"),
        ("905A0000FF00", "6700"),
        ("905A000000112233", "6700"),
        ("FFCA0000", "6700"),
        ("FFCA000004", "6C07"),
        ("FFCA020000", "6A81"),
        ("FFB0000010", "6A81"),
        ("FFCA010000", "0675778102809000"),
        ("90600000", "0401010100180591AF"),
    ],
)
def test_malformed_apdus_get_the_status_of_iso_7816(command: str, expected: str) -> None:
    card = VirtualDesfire.factory("ev1")
    assert card.transmit(bytes.fromhex(command)).hex().upper() == expected


def test_a_longer_le_than_the_uid_is_answered_with_a_warning() -> None:
    card = VirtualDesfire.factory("ev1")
    assert card.transmit(bytes.fromhex("FFCA00000A")) == card.uid + b"\x62\x82"


def test_a_malformed_apdu_ends_the_session() -> None:
    card = card_with_everything("ev1")
    Ev1Reader.authenticate(card)
    card.transmit(b"\x90")
    assert card.transmit(bytes.fromhex("9051000000")) == b"\x91\xae"
