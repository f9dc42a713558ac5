"""Files of every type: created, told, changed, deleted, and the memory they take."""

import pytest

from simulators.desfire import VirtualDesfire
from simulators.desfire.files import DataFile, RecordFile, ValueFile
from tests.simulators.file_side import (
    COMMIT,
    EV2_PRODUCTS,
    PRODUCTS,
    card_with,
    data_file,
    record_file,
    value_file,
    write,
)
from tests.simulators.reader_side import (
    APP,
    Ev1Reader,
    Ev2Reader,
    Rejected,
    exchange,
    make_application,
    native,
    status,
)

pytestmark = pytest.mark.unit


@pytest.fixture(params=PRODUCTS)
def card(request: pytest.FixtureRequest) -> VirtualDesfire:
    return card_with(request.param)


def free_bytes(card: VirtualDesfire) -> int:
    return int.from_bytes(exchange(card, b"\x6e"), "little")


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (data_file(1, 32, backup=False, rights="1220"), "00 00 1220 200000"),
        (data_file(1, 300, mode=3, rights="F010"), "01 03 F010 2C0100"),
        (
            value_file(1, -5, 100, 7, 1, mode=1, rights="1F02"),
            "02 01 1F02 FBFFFFFF 64000000 00000000 01",
        ),
        (value_file(1, 0, 9, 0, 3), "02 00 EEEE 00000000 09000000 00000000 03"),
        (record_file(1, 25, 4, rights="EEEF"), "03 00 EEEF 190000 040000 000000"),
        (record_file(1, 4, 10, cyclic=True), "04 00 EEEE 040000 0A0000 000000"),
    ],
)
def test_the_settings_of_a_new_file_are_told_as_they_were_given(
    card: VirtualDesfire, frame: bytes, expected: str
) -> None:
    exchange(card, frame)
    assert exchange(card, b"\xf5\x01") == bytes.fromhex(expected)


CREATIONS = [
    data_file(1, backup=False),
    data_file(1),
    value_file(1),
    record_file(1),
    record_file(1, cyclic=True),
]


@pytest.mark.parametrize("frame", CREATIONS)
def test_every_creation_refuses_what_cannot_be(card: VirtualDesfire, frame: bytes) -> None:
    beyond = frame[:1] + b"\x20" + frame[2:]
    no_mode = frame[:2] + b"\x04" + frame[3:]
    no_such_key = frame[:3] + b"\xe3" + frame[4:]
    assert [native(card, wrong)[0] for wrong in (beyond, no_mode, no_such_key)] == [0x9E] * 3
    assert native(card, frame[:-1])[0] == 0x7E
    assert native(card, frame + b"\0")[0] == 0x7E
    exchange(card, frame)
    assert native(card, frame)[0] == 0xDE
    exchange(card, frame[:1] + b"\x1f" + frame[2:])
    assert exchange(card, b"\x6f") == b"\x01\x1f"


@pytest.mark.parametrize("frame", CREATIONS)
def test_creation_needs_an_application_and_its_key_where_it_is_not_free(frame: bytes) -> None:
    card = VirtualDesfire.factory("ev1")
    make_application(card, settings=0x09)
    assert native(card, frame)[0] == 0xAE
    Ev1Reader.authenticate(card).send(frame)
    exchange(card, b"\x5a\0\0\0")
    assert native(card, frame)[0] == 0x9D


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (data_file(1, 0), 0x9E),
        (value_file(1, 5, 4, 5), 0x9E),
        (value_file(1, 0, 9, 10), 0x9E),
        (value_file(1, 0, 9, -1), 0x9E),
        (value_file(1, options=4), 0x9E),
        (value_file(1, -(1 << 31), (1 << 31) - 1, -1), 0),
        (record_file(1, 0, 3), 0x9E),
        (record_file(1, 4, 0), 0x9E),
        (record_file(1, 4, 1), 0),
        (record_file(1, 4, 1, cyclic=True), 0x9E),
        (record_file(1, 4, 2, cyclic=True), 0),
        (record_file(1, 0xFFFFFF, 0xFFFFFF), 0x0E),
    ],
)
def test_the_parameters_of_each_type_have_their_bounds(
    card: VirtualDesfire, frame: bytes, expected: int
) -> None:
    assert native(card, frame)[0] == expected


@pytest.mark.parametrize(
    ("frame", "cost"),
    [
        (data_file(1, 1, backup=False), 32),
        (data_file(1, 33, backup=False), 64),
        (data_file(1, 33), 128),
        (value_file(1), 32),
        (record_file(1, 25, 4), 128),
        (record_file(1, 10, 3, cyclic=True), 32),
        (record_file(1, 10, 4, cyclic=True), 64),
    ],
)
def test_each_type_takes_its_pages(card: VirtualDesfire, frame: bytes, cost: int) -> None:
    before = free_bytes(card)
    exchange(card, frame)
    assert free_bytes(card) == before - cost
    exchange(card, b"\xdf\x01")
    assert free_bytes(card) == before - cost


def test_a_file_that_does_not_fit_is_refused_and_takes_nothing(card: VirtualDesfire) -> None:
    free = free_bytes(card)
    assert native(card, data_file(1, free // 2 + 1))[0] == 0x0E
    assert free_bytes(card) == free
    exchange(card, data_file(1, free // 2 // 32 * 32))
    assert free_bytes(card) < 64
    while free_bytes(card):
        exchange(card, value_file(2 + len(card.chip.applications[APP].files)))
    assert native(card, value_file(2))[0] == 0x0E


def test_a_free_right_to_change_takes_the_new_settings_in_plain(card: VirtualDesfire) -> None:
    exchange(card, data_file(1, backup=False))
    assert status(card, "5F 01 03 F010") == 0
    assert exchange(card, b"\xf5\x01") == bytes.fromhex("00 03 F010 200000")


def test_under_ev1_a_free_right_to_change_still_counts_in_the_macs() -> None:
    card = card_with("ev1", data_file(1))
    session = Ev1Reader.authenticate(card, 1)
    assert session.send(bytes.fromhex("5F 01 01 EE1E")) == b""
    assert session.send(b"\xf5\x01") == bytes.fromhex("01 01 EE1E 200000")


@pytest.mark.parametrize("product", EV2_PRODUCTS)
def test_under_ev2_a_free_right_to_change_needs_no_mac(product: str) -> None:
    card = card_with(product, data_file(1))
    session = Ev2Reader.authenticate(card, 1)
    assert exchange(card, bytes.fromhex("5F 01 01 EE1E")) == b""
    session.counter += 1
    assert session.send(b"\xf5\x01") == bytes.fromhex("01 01 EE1E 200000")


def test_a_key_with_the_right_to_change_sends_the_new_settings_enciphered() -> None:
    card = card_with("ev1", value_file(1, rights="E2EE"))
    session = Ev1Reader.authenticate(card, 2)
    session.send_full(b"\x5f\x01", bytes.fromhex("03 F2EE"))
    assert session.send(b"\xf5\x01")[:4] == bytes.fromhex("02 03 F2EE")


@pytest.mark.parametrize("product", EV2_PRODUCTS)
def test_the_new_settings_are_enciphered_under_ev2_too(product: str) -> None:
    card = card_with(product, record_file(1, rights="E2EE"))
    session = Ev2Reader.authenticate(card, 2)
    session.send(b"\x5f\x01", bytes.fromhex("03 F2EE"))
    assert session.send(b"\xf5\x01")[:4] == bytes.fromhex("03 03 F2EE")


@pytest.mark.parametrize(("key", "rights", "expected"), [(1, "E2EE", 0xAE), (2, "EFEE", 0x9D)])
def test_without_the_right_to_change_the_settings_stay(
    key: int, rights: str, expected: int
) -> None:
    card = card_with("ev1", data_file(1, rights=rights))
    session = Ev1Reader.authenticate(card, key)
    with pytest.raises(Rejected) as refused:
        session.send_full(b"\x5f\x01", bytes.fromhex("00 EEEE"))
    assert refused.value.code == expected
    assert exchange(card, b"\xf5\x01")[2:4] == bytes.fromhex(rights)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("5F 01 04 EEEE", 0x9E),
        ("5F 01 00 E3EE", 0x9E),
        ("5F 02 00 EEEE", 0xF0),
        ("5F 01 00 EE", 0x7E),
        ("5F 01 00 EEEE 00", 0x7E),
        ("5F", 0x7E),
        ("61", 0x9D),
        ("61 00", 0x7E),
    ],
)
def test_what_the_settings_cannot_be(card: VirtualDesfire, frame: str, expected: int) -> None:
    exchange(card, data_file(1))
    assert status(card, frame) == expected


def with_iso_files(product: str) -> VirtualDesfire:
    """Return a card whose application has ISO file identifiers."""
    card = card_with(product)
    stored = card.to_json()
    stored["applications"][0]["iso_file_ids"] = True
    card = VirtualDesfire.from_json(stored)
    exchange(card, b"\x5a" + APP)
    return card


def with_iso_id(frame: bytes, iso_id: int) -> bytes:
    return frame[:2] + iso_id.to_bytes(2, "little") + frame[2:]


@pytest.mark.parametrize("product", PRODUCTS)
def test_an_application_with_iso_identifiers_wants_one_for_every_file_but_values(
    product: str,
) -> None:
    card = with_iso_files(product)
    assert native(card, data_file(1))[0] == 0x7E
    exchange(card, with_iso_id(data_file(1), 0xE104))
    exchange(card, value_file(2))
    exchange(card, with_iso_id(record_file(3, cyclic=True), 0x1234))
    assert exchange(card, b"\x61") == bytes.fromhex("04E1 3412")
    assert exchange(card, b"\xf5\x01") == bytes.fromhex("01 00 EEEE 200000")


def test_iso_identifiers_are_unique_and_not_the_reserved_ones() -> None:
    card = with_iso_files("ev1")
    for reserved in (0x0000, 0x3F00, 0x3FFF, 0xFFFF):
        assert native(card, with_iso_id(data_file(1), reserved))[0] == 0x9E
    exchange(card, with_iso_id(data_file(1), 0xE104))
    assert native(card, with_iso_id(record_file(2), 0xE104))[0] == 0xDE


def test_files_of_every_type_survive_in_the_card_file() -> None:
    card = with_iso_files("ev2")
    exchange(card, with_iso_id(data_file(1, 4), 0xE101))
    exchange(card, with_iso_id(data_file(2, 4, backup=False), 0xE102))
    exchange(card, value_file(3, -5, 100, 7, 1))
    exchange(card, with_iso_id(record_file(4), 0xE104))
    exchange(card, with_iso_id(record_file(5, cyclic=True), 0xE105))
    exchange(card, bytes.fromhex("DC 03 02000000"))
    for number in (4, 5):
        exchange(card, write(number, 0, b"abc", 0x3B))
    exchange(card, COMMIT)
    files = card.chip.applications[APP].files
    assert files[3] == ValueFile(0, b"\xee\xee", -5, 100, 5, 1, 2)
    again = VirtualDesfire.from_json(card.to_json())
    assert again.chip == card.chip


def test_a_card_file_from_before_there_were_other_types_still_loads() -> None:
    card = card_with("ev1", data_file(1, 4, backup=False))
    stored = card.to_json()
    application = stored["applications"][0]
    for later in ("value_files", "record_files", "iso_file_ids"):
        del application[later]
    for later in ("backup", "iso_id"):
        del application["files"][0][later]
    assert VirtualDesfire.from_json(stored).chip == card.chip


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("value_files", "value", 1001),
        ("value_files", "upper", 1 << 31),
        ("value_files", "refundable", -1),
        ("value_files", "number", 5),
        ("record_files", "records", ["00"]),
        ("record_files", "records", ["00000000"] * 4),
        ("record_files", "record_bytes", 0),
        ("files", "number", 32),
        ("files", "rights", "EE"),
        ("files", "content", "0"),
    ],
)
def test_a_card_file_with_a_file_that_cannot_be_is_refused(
    kind: str, field: str, value: object
) -> None:
    card = card_with("ev1", data_file(1), value_file(2), record_file(5))
    stored = card.to_json()
    stored["applications"][0][kind][0][field] = value
    with pytest.raises(ValueError, match=r".+"):
        VirtualDesfire.from_json(stored)


def test_a_cyclic_file_without_room_for_a_record_is_refused() -> None:
    stored = card_with("ev1", record_file(1, cyclic=True)).to_json()
    stored["applications"][0]["record_files"][0]["max_records"] = 1
    with pytest.raises(ValueError, match="records"):
        VirtualDesfire.from_json(stored)


def test_the_listing_names_every_type() -> None:
    card = with_iso_files("ev1")
    exchange(card, with_iso_id(data_file(1), 0xE104))
    exchange(card, value_file(2, -5, 100, 7))
    exchange(card, with_iso_id(record_file(3), 1))
    exchange(card, with_iso_id(record_file(4, cyclic=True), 2))
    lines = [line.strip() for line in card.describe() if line.startswith("  file")]
    rights = "plain, read free, write free, read and write free, change free"
    assert lines == [
        f"file 1  32 bytes with backup, {rights}, ISO E104",
        f"file 2  value 7 of -5 to 100, {rights}",
        f"file 3  0 of 3 linear records of 4 bytes, {rights}, ISO 0001",
        f"file 4  0 of 2 cyclic records of 4 bytes, {rights}, ISO 0002",
    ]


def test_the_kinds_of_files_on_the_chip_are_plain_values() -> None:
    card = card_with("ev1", data_file(1, 2), record_file(2, cyclic=True))
    files = card.chip.applications[APP].files
    assert files[1] == DataFile(0, b"\xee\xee", b"\0\0", backup=True)
    assert files[2] == RecordFile(0, b"\xee\xee", 4, 3, cyclic=True)
