"""What a session needs, and what ends it."""

import pytest

from simulators.desfire import VirtualDesfire
from simulators.desfire.crypto import KeyType
from simulators.desfire.keys import Key, zero_key
from tests.simulators.reader_side import (
    APP,
    ZEROS,
    Ev1Reader,
    Ev2Reader,
    Rejected,
    exchange,
    make_application,
    native,
    status,
)

pytestmark = pytest.mark.unit


@pytest.fixture(params=["ev1", "ev2"])
def card(request: pytest.FixtureRequest) -> VirtualDesfire:
    return VirtualDesfire.factory(request.param)


@pytest.fixture
def ev2() -> VirtualDesfire:
    card = VirtualDesfire.factory("ev2")
    make_application(card)
    return card


def test_a_tap_is_four_commands() -> None:
    card = VirtualDesfire.factory("ev1")
    make_application(card)
    card.commands.clear()
    assert card.transmit(bytes.fromhex("FFCA000000")) == card.uid + b"\x90\x00"
    exchange(card, b"\x5a" + APP)
    Ev1Reader.authenticate(card, 1)
    assert [command[1] for command in card.commands] == [0xCA, 0x5A, 0xAA, 0xAF]


def test_the_factory_picc_key_authenticates_with_1a(card: VirtualDesfire) -> None:
    session = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    assert session.read_full(b"\x51", 7) == card.uid


@pytest.mark.parametrize("settings", ["02", "42", "82"])
def test_every_key_type_opens_a_session(card: VirtualDesfire, settings: str) -> None:
    exchange(card, bytes.fromhex(f"CA5634120F{settings}"))
    exchange(card, b"\x5a" + APP)
    key = zero_key(KeyType(int(settings, 16) & 0xC0))
    session = Ev1Reader.authenticate(card, 1, key)
    assert session.send(b"\x45") == bytes.fromhex("0F" + settings)


def test_two_different_des_halves_make_a_two_key_session(card: VirtualDesfire) -> None:
    key = Key(KeyType.DES, bytes(range(0, 32, 2)))
    session = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    session.send_full(b"\xc4\x00", key.value, bare=True)
    again = Ev1Reader.authenticate(card, 0, key)
    assert again.cipher.key[:8] != again.cipher.key[8:]
    assert again.send(b"\x45") == bytes.fromhex("0F01")


def test_a_wrong_key_is_an_authentication_error(card: VirtualDesfire) -> None:
    make_application(card)
    with pytest.raises(Rejected) as wrong:
        Ev1Reader.authenticate(card, 1, Key(KeyType.AES, b"\x01" * 16))
    assert wrong.value.code == 0xAE


def test_rnd_b_is_new_each_time(card: VirtualDesfire) -> None:
    make_application(card)
    challenges = set()
    for _ in range(8):
        challenges.add(native(card, b"\xaa\x00"))
        card.reset()
        exchange(card, b"\x5a" + APP)
    assert len(challenges) == 8


@pytest.mark.parametrize(
    ("frame", "expected"),
    [("AA05", 0x40), ("AA", 0x7E), ("AA0000", 0x7E), ("1A00", 0xAE), ("77 00", 0xAE)],
)
def test_an_authentication_that_cannot_be_is_refused(
    ev2: VirtualDesfire, frame: str, expected: int
) -> None:
    assert status(ev2, frame) == expected


@pytest.mark.parametrize("frame", ["71", "7100", "710007" + "00" * 7, "71000200"])
def test_malformed_ev2_capabilities_are_a_length_error(ev2: VirtualDesfire, frame: str) -> None:
    assert status(ev2, frame) == 0x7E


def test_pcd_capabilities_come_back(ev2: VirtualDesfire) -> None:
    assert status(ev2, "7100020300") == 0xAF


def test_an_ev1_knows_no_ev2_authentication() -> None:
    card = VirtualDesfire.factory("ev1")
    make_application(card)
    assert status(card, "710000") == 0x1C
    assert status(card, "7700") == 0x1C


@pytest.mark.parametrize("token", ["", "00" * 16, "00" * 33])
def test_a_second_frame_of_another_length_is_a_length_error(
    card: VirtualDesfire, token: str
) -> None:
    make_application(card)
    assert status(card, "AA00") == 0xAF
    assert status(card, "AF" + token) == 0x7E


def test_a_command_between_two_frames_is_aborted_and_forgets_the_first(
    card: VirtualDesfire,
) -> None:
    make_application(card)
    assert status(card, "AA00") == 0xAF
    assert status(card, "45") == 0xCA
    assert status(card, "AF" + "00" * 32) == 0x1C


def test_the_readers_own_uid_command_does_not_disturb_a_handshake(card: VirtualDesfire) -> None:
    assert status(card, "60") == 0xAF
    card.transmit(bytes.fromhex("FFCA000000"))
    assert status(card, "AF") == 0xAF


def test_a_selection_ends_the_session(card: VirtualDesfire) -> None:
    make_application(card)
    Ev1Reader.authenticate(card)
    exchange(card, b"\x5a" + APP)
    assert status(card, "51") == 0xAE


@pytest.mark.parametrize("error", ["64 0E", "3F", "DF 07"])
def test_any_error_ends_the_session(card: VirtualDesfire, error: str) -> None:
    make_application(card)
    Ev1Reader.authenticate(card)
    assert status(card, error) in {0x40, 0x1C, 0xF0}
    assert status(card, "51") == 0xAE


@pytest.mark.parametrize("leave", ["reset", "power_on", "power_off"])
def test_power_ends_the_session_and_the_selection(card: VirtualDesfire, leave: str) -> None:
    make_application(card)
    Ev1Reader.authenticate(card)
    getattr(card, leave)()
    assert status(card, "51") == 0xAE
    assert exchange(card, b"\x6a") == APP


def test_an_ev2_session_counts_its_commands(ev2: VirtualDesfire) -> None:
    session = Ev2Reader.authenticate(ev2)
    assert session.send(b"\x45") == bytes.fromhex("0F83")
    assert session.send(b"\x64\x01") == b"\x00"
    assert session.send(b"\x51", full=True) == ev2.uid
    session.counter -= 1
    with pytest.raises(Rejected) as replayed:
        session.send(b"\x45")
    assert replayed.value.code == 0x1E


def test_an_ev2_command_without_its_mac_is_a_length_error(ev2: VirtualDesfire) -> None:
    Ev2Reader.authenticate(ev2)
    assert status(ev2, "45") == 0x7E


def test_an_ev2_counter_at_its_end_refuses(ev2: VirtualDesfire) -> None:
    session = Ev2Reader.authenticate(ev2)
    session.counter = ev2._activation.session.counter = 0xFFFF  # type: ignore[union-attr]
    with pytest.raises(Rejected) as over:
        session.send(b"\x45")
    assert over.value.code == 0xAE


def test_an_ev2_card_speaks_ev1_too(ev2: VirtualDesfire) -> None:
    session = Ev1Reader.authenticate(ev2, 2, Key(KeyType.AES, ZEROS))
    assert session.read_full(b"\x51", 7) == ev2.uid
