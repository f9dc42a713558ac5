"""Applications with ISO identifiers and names, how many there may be, and which is selected."""

import pytest

from simulators.desfire import VirtualDesfire, storage
from simulators.desfire.crypto import KeyType
from simulators.desfire.keys import zero_key
from tests.simulators.reader_side import (
    APP,
    Ev1Reader,
    exchange,
    make_application,
    native,
    status,
)

pytestmark = pytest.mark.unit


@pytest.fixture(params=["ev1", "ev2", "ev3"])
def card(request: pytest.FixtureRequest) -> VirtualDesfire:
    return VirtualDesfire.factory(request.param)


def test_df_names_come_one_application_a_frame(card: VirtualDesfire) -> None:
    assert exchange(card, b"\x6d") == b""
    exchange(card, bytes.fromhex("CA 010000 0F 81"))
    exchange(card, bytes.fromhex("CA 020000 0F 81 0110") + b"one")
    exchange(card, bytes.fromhex("CA 030000 0F A1 0210"))
    exchange(card, bytes.fromhex("CA 040000 0F 81 0310") + b"0123456789abcdef")
    assert native(card, b"\x6d") == bytes.fromhex("AF 020000 0110") + b"one"
    assert native(card, b"\xaf") == bytes.fromhex("AF 030000 0210")
    assert native(card, b"\xaf") == bytes.fromhex("00 040000 0310") + b"0123456789abcdef"


def test_in_a_session_the_mac_over_all_df_names_comes_with_the_last(card: VirtualDesfire) -> None:
    exchange(card, bytes.fromhex("CA 020000 0F 81 0110") + b"one")
    exchange(card, bytes.fromhex("CA 030000 0F 81 0210") + b"two")
    session = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    names = bytes.fromhex("020000 0110") + b"one" + bytes.fromhex("030000 0210") + b"two"
    assert session.send(b"\x6d") == names


def test_df_names_are_guarded_like_the_list_of_applications(card: VirtualDesfire) -> None:
    make_application(card)
    assert status(card, "6D") == 0x9D
    exchange(card, b"\x5a\0\0\0")
    Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES)).send_full(b"\x54", b"\x0d")
    card.reset()
    assert status(card, "6D") == 0xAE
    assert status(card, "6D00") == 0x7E


@pytest.mark.parametrize(
    "second",
    [
        "020000 0F 81 0110 " + b"other".hex(),
        "020000 0F 81 0210 " + b"name".hex(),
        "020000 0F 81 0210 D2760000850100",
        "010000 0F 81 0210",
    ],
)
def test_identifiers_and_names_are_of_one_application_alone(
    card: VirtualDesfire, second: str
) -> None:
    exchange(card, bytes.fromhex("CA 010000 0F 81 0110") + b"name")
    assert status(card, "CA" + second) == 0xDE
    assert len(card.chip.applications) == 1


def test_key_settings_tell_key_type_iso_identifiers_and_number_of_keys(
    card: VirtualDesfire,
) -> None:
    exchange(card, bytes.fromhex("CA 010000 0B A3 0110"))
    exchange(card, bytes.fromhex("5A 010000"))
    assert exchange(card, b"\x45") == bytes.fromhex("0BA3")


def test_an_application_without_keys_can_be_used_and_stored(card: VirtualDesfire) -> None:
    """libfreefare's tests create one, with settings FF, and write into it freely."""
    exchange(card, bytes.fromhex("CA AAAAAA FF 00"))
    exchange(card, bytes.fromhex("5A AAAAAA"))
    assert exchange(card, b"\x45") == bytes.fromhex("FF00")
    exchange(card, bytes.fromhex("CD 0F 00 EEEE 640000"))
    assert status(card, "0A00") == 0x40
    assert storage.load(storage.dump(card.chip)) == card.chip


def test_since_ev2_memory_alone_limits_the_applications() -> None:
    card = VirtualDesfire.factory("ev2", storage_kib=8)
    created = 0
    while not (last := status(card, f"CA {created:02X}0001 0F 81")):
        created += 1
    assert last == 0x0E
    assert created == 8192 // 64
    listed = exchange(card, b"\x6a")
    assert listed == b"".join(bytes((number, 0, 1)) for number in range(created))
    assert len(native(card, b"\x6a")) == 1 + 117


@pytest.mark.parametrize(
    ("aids", "expected"),
    [
        ("563412 010000", 0x00),
        ("563412 020000", 0xA0),
        ("563412 563412", 0x9E),
        ("563412 000000", 0x9E),
        ("000000 563412", 0x9E),
        ("563412 01", 0x7E),
    ],
)
def test_since_ev2_a_second_application_may_come_along(aids: str, expected: int) -> None:
    for product in ("ev1", "ev2", "ev3"):
        card = VirtualDesfire.factory(product)
        make_application(card)
        exchange(card, b"\x5a\0\0\0")
        exchange(card, bytes.fromhex("CA 010000 0F 82"))
        assert status(card, "5A" + aids) == (0x7E if product == "ev1" else expected)
        if not expected and product != "ev1":
            assert exchange(card, b"\x45") == bytes.fromhex("0F83")
            assert card._activation.selected == APP


def test_a_deleted_application_gives_its_memory_back_with_format_alone(
    card: VirtualDesfire,
) -> None:
    def free() -> int:
        return int.from_bytes(exchange(card, b"\x6e"), "little")

    before = free()
    make_application(card)
    exchange(card, b"\x5a\0\0\0")
    taken = before - free()
    assert taken > 0
    assert taken % 32 == 0
    session = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    session.send(b"\xda" + APP)
    card.reset()
    assert free() == before - taken
    Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES)).send(b"\xfc")
    card.reset()
    assert free() == before
