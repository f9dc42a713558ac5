"""Record files, linear and cyclic: what is written, updated, read, cleared, and when it shows."""

import pytest

from simulators.desfire import VirtualDesfire
from tests.simulators.file_side import (
    COMMIT,
    EV2_PRODUCTS,
    PRODUCTS,
    card_with,
    data_file,
    read_records,
    record_file,
    span,
    three,
    update_record,
    value_file,
    write_record,
)
from tests.simulators.reader_side import Ev1Reader, Ev2Reader, exchange, native, status

pytestmark = pytest.mark.unit

CLEAR = b"\xeb"


@pytest.fixture(params=PRODUCTS)
def linear(request: pytest.FixtureRequest) -> VirtualDesfire:
    return card_with(request.param, record_file(1, 4, 3))


@pytest.fixture(params=PRODUCTS)
def cyclic(request: pytest.FixtureRequest) -> VirtualDesfire:
    return card_with(request.param, record_file(1, 4, 3, cyclic=True))


def append(card: VirtualDesfire, *records: bytes) -> None:
    """Write records, a transaction each."""
    for record in records:
        exchange(card, write_record(1, record))
        exchange(card, COMMIT)


def test_records_come_oldest_first_and_are_counted_from_the_newest(
    linear: VirtualDesfire,
) -> None:
    append(linear, b"one.", b"two.", b"thre")
    assert exchange(linear, read_records(1)) == b"one.two.thre"
    assert exchange(linear, read_records(1, 0, 1)) == b"thre"
    assert exchange(linear, read_records(1, 2, 1)) == b"one."
    assert exchange(linear, read_records(1, 1, 2)) == b"one.two."
    assert exchange(linear, read_records(1, 1, 0)) == b"one.two."
    assert exchange(linear, b"\xf5\x01")[-3:] == three(3)


@pytest.mark.parametrize(("first", "count"), [(3, 0), (2, 2), (0, 4), (0xFFFFFF, 0xFFFFFF)])
def test_records_that_are_not_there_are_beyond_the_boundary(
    linear: VirtualDesfire, first: int, count: int
) -> None:
    append(linear, b"one.", b"two.", b"thre")
    assert native(linear, read_records(1, first, count))[0] == 0xBE


def test_an_empty_file_has_no_record_to_read(linear: VirtualDesfire) -> None:
    assert native(linear, read_records(1))[0] == 0xBE


def test_a_full_linear_file_takes_no_more(linear: VirtualDesfire) -> None:
    append(linear, b"one.", b"two.", b"thre")
    assert native(linear, write_record(1, b"four"))[0] == 0xBE
    assert exchange(linear, read_records(1)) == b"one.two.thre"


def test_a_cyclic_file_keeps_one_record_less_than_it_was_made_for(
    cyclic: VirtualDesfire,
) -> None:
    append(cyclic, b"one.", b"two.", b"thre")
    assert exchange(cyclic, read_records(1)) == b"two.thre"
    assert exchange(cyclic, b"\xf5\x01")[-3:] == three(2)
    append(cyclic, b"four")
    assert exchange(cyclic, read_records(1)) == b"threfour"
    assert native(cyclic, read_records(1, 2, 1))[0] == 0xBE


def test_the_writes_of_one_transaction_make_one_record_that_begins_as_zeros(
    cyclic: VirtualDesfire,
) -> None:
    append(cyclic, b"XXXX", b"YYYY")
    exchange(cyclic, write_record(1, b"02", 2))
    assert exchange(cyclic, read_records(1)) == b"XXXXYYYY"
    exchange(cyclic, write_record(1, b"r"))
    exchange(cyclic, COMMIT)
    assert exchange(cyclic, read_records(1)) == b"YYYYr\x0002"


def test_a_cleared_file_is_empty_from_the_commit_on(linear: VirtualDesfire) -> None:
    append(linear, b"one.")
    exchange(linear, CLEAR + b"\x01")
    assert exchange(linear, read_records(1)) == b"one."
    exchange(linear, COMMIT)
    assert native(linear, read_records(1))[0] == 0xBE
    append(linear, b"two.")
    assert exchange(linear, read_records(1)) == b"two."


def test_clearing_takes_the_record_of_its_own_transaction_too(linear: VirtualDesfire) -> None:
    append(linear, b"one.")
    exchange(linear, write_record(1, b"two."))
    exchange(linear, CLEAR + b"\x01")
    exchange(linear, COMMIT)
    assert native(linear, read_records(1))[0] == 0xBE


def test_nothing_is_written_between_a_clearing_and_its_commit(linear: VirtualDesfire) -> None:
    """As libfreefare's test: the refusal is a permission error, and drops the clearing."""
    append(linear, b"one.")
    exchange(linear, CLEAR + b"\x01")
    assert native(linear, write_record(1, b"two."))[0] == 0x9D
    assert native(linear, COMMIT)[0] == 0x0C
    assert exchange(linear, read_records(1)) == b"one."


@pytest.mark.parametrize("product", EV2_PRODUCTS)
@pytest.mark.parametrize("is_cyclic", [False, True])
def test_a_record_is_updated_where_it_is(product: str, is_cyclic: bool) -> None:
    card = card_with(product, record_file(1, 4, 3, cyclic=is_cyclic))
    append(card, b"one.", b"two.")
    exchange(card, update_record(1, 1, b"N"))
    exchange(card, update_record(1, 1, b"!", 3))
    assert exchange(card, read_records(1)) == b"one.two."
    exchange(card, COMMIT)
    assert exchange(card, read_records(1)) == b"Nne!two."


@pytest.mark.parametrize("product", EV2_PRODUCTS)
def test_one_record_of_a_file_changes_in_a_transaction(product: str) -> None:
    card = card_with(product, record_file(1, 4, 3))
    append(card, b"one.", b"two.")
    for first, second in (
        (update_record(1, 0, b"x"), update_record(1, 1, b"x")),
        (update_record(1, 0, b"x"), write_record(1, b"x")),
        (write_record(1, b"x"), update_record(1, 0, b"x")),
        (CLEAR + b"\x01", update_record(1, 0, b"x")),
    ):
        exchange(card, first)
        assert native(card, second)[0] == 0x9D
    assert exchange(card, read_records(1)) == b"one.two."


@pytest.mark.parametrize("product", EV2_PRODUCTS)
def test_an_update_needs_its_record(product: str) -> None:
    card = card_with(product, record_file(1, 4, 3))
    assert native(card, update_record(1, 0, b"x"))[0] == 0xBE
    append(card, b"one.")
    for record, data, offset, expected in (
        (1, b"x", 0, 0xBE),
        (0, b"", 0, 0x9E),
        (0, b"xy", 3, 0xBE),
        (0, b"x", 4, 0xBE),
    ):
        assert native(card, update_record(1, record, data, offset))[0] == expected
    assert status(card, "DB 01 000000 000000 0100") == 0x7E


@pytest.mark.parametrize(
    ("rights", "granted"),
    [
        ("F01F", {"read"}),
        ("F0F1", {"write"}),
        ("10FF", {"read", "write", "update", "clear"}),
        ("F0FF", set()),
    ],
)
def test_each_record_command_takes_its_rights(rights: str, granted: set[str]) -> None:
    card = card_with("ev2", record_file(1))
    append(card, b"one.")
    exchange(card, bytes.fromhex("5F 01 00") + bytes.fromhex(rights))
    frames = {
        "read": read_records(1),
        "write": write_record(1, b"x"),
        "update": update_record(1, 0, b"x"),
        "clear": CLEAR + b"\x01",
    }
    refused = {}
    for name, frame in frames.items():
        Ev1Reader.authenticate(card, 1)
        answer = native(card, frame)[0]
        if answer:
            refused[name] = answer
        exchange(card, b"\xa7") if answer == 0 and name != "read" else None
    assert set(frames) - set(refused) == granted
    assert set(refused.values()) <= {0x9D}


def test_another_key_may_do_nothing_with_a_record_file() -> None:
    card = card_with("ev2", record_file(1, rights="2222"))
    for frame in (
        read_records(1),
        write_record(1, b"x"),
        update_record(1, 0, b"x"),
        CLEAR + b"\x01",
    ):
        Ev1Reader.authenticate(card, 1)
        assert native(card, frame)[0] == 0xAE


def test_records_travel_enciphered_under_ev1() -> None:
    card = card_with("ev1", record_file(1, mode=3, rights="1111"))
    session = Ev1Reader.authenticate(card, 1)
    for record in (b"one.", b"two."):
        session.send_full(b"\x3b" + span(1, 0, 4), record)
        session.send(COMMIT)
    assert session.read_full(read_records(1, 0, 2), 8) == b"one.two."
    assert session.read_full(read_records(1, 0, 0), 8) == b"one.two."


def test_records_travel_with_a_mac_under_ev1() -> None:
    card = card_with("ev1", record_file(1, mode=1, rights="1111"))
    session = Ev1Reader.authenticate(card, 1)
    session.send(write_record(1, b"one."), mac=True)
    session.send(COMMIT)
    assert session.send(read_records(1)) == b"one."
    session.send(CLEAR + b"\x01")
    session.send(COMMIT)
    assert session.send(b"\xf5\x01")[-3:] == three(0)


@pytest.mark.parametrize("product", EV2_PRODUCTS)
@pytest.mark.parametrize(
    ("write", "update", "read"), [(0x3B, 0xDB, 0xBB), (0x8B, 0xBA, 0xAB)], ids=["AF", "ISO"]
)
def test_records_travel_enciphered_under_ev2_in_both_sets_of_commands(
    product: str, write: int, update: int, read: int
) -> None:
    card = card_with(product, record_file(1, mode=3, rights="1111"))
    session = Ev2Reader.authenticate(card, 1)
    session.send(bytes((write,)) + span(1, 0, 4), b"one.")
    session.send(COMMIT)
    session.send(bytes((update, 1)) + three(0) + three(1) + three(2), b"NE")
    session.send(COMMIT)
    assert session.send(bytes((read,)) + span(1, 0, 1), full=True) == b"oNE."


def test_the_commands_of_ev2_are_none_on_ev1() -> None:
    card = card_with("ev1", record_file(1), data_file(2))
    append(card, b"one.")
    for frame in (
        "DB 01 000000 000000 010000 00",
        "BA 01 000000 000000 010000 00",
        "8B 01 000000 010000 00",
        "AB 01 000000 000000",
        "8D 02 000000 010000 00",
        "AD 02 000000 000000",
    ):
        assert status(card, frame) == 0x1C


def test_long_records_go_in_frames_both_ways() -> None:
    card = card_with("ev1", record_file(1, 100, 3))
    records = (bytes(range(100)), bytes(range(100, 200)))
    for record in records:
        frame = write_record(1, record)
        assert native(card, frame[:60]) == b"\xaf"
        assert native(card, b"\xaf" + frame[60:]) == b"\0"
        exchange(card, COMMIT)
    assert exchange(card, read_records(1)) == b"".join(records)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("3B 01 000000 000000", 0x9E),
        ("3B 01 000000 050000 0000000000", 0xBE),
        ("3B 01 040000 010000 00", 0xBE),
        ("3B 01 FFFFFF FFFFFF 00", 0xBE),
        ("3B 01 000000", 0x7E),
        ("3B 02 000000 010000 00", 0xF0),
        ("3B 05 000000 010000 00", 0x9E),
        ("BB 01 000000", 0x7E),
        ("BB 06 000000 000000", 0x9E),
        ("EB", 0x7E),
        ("EB 01 00", 0x7E),
        ("EB 02", 0xF0),
        ("EB 06", 0x9E),
        ("6C 01", 0x9E),
        ("BD 01 000000 000000", 0x9E),
    ],
)
def test_what_a_record_command_refuses(linear: VirtualDesfire, frame: str, expected: int) -> None:
    exchange(linear, data_file(5))
    exchange(linear, value_file(6))
    assert status(linear, frame) == expected
