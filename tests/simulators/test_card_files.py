"""Applications and files: rights, bounds, frames, memory."""

import zlib

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

KEY = Key(KeyType.AES, ZEROS)


def span(file: int, offset: int, length: int) -> bytes:
    return bytes((file,)) + offset.to_bytes(3, "little") + length.to_bytes(3, "little")


def create_file(card: VirtualDesfire, number: int, mode: int, rights: str, size: int = 32) -> None:
    frame = bytes((0xCD, number, mode)) + bytes.fromhex(rights) + size.to_bytes(3, "little")
    exchange(card, frame)


@pytest.fixture(params=["ev1", "ev2"])
def card(request: pytest.FixtureRequest) -> VirtualDesfire:
    card = VirtualDesfire.factory(request.param)
    make_application(card)
    return card


def picc_level(card: VirtualDesfire) -> None:
    exchange(card, b"\x5a\0\0\0")


def test_a_full_file_is_written_with_key_0_and_read_with_key_1() -> None:
    card = VirtualDesfire.factory("ev1")
    make_application(card)
    create_file(card, 1, 3, "F010")
    content = bytes(range(32))
    Ev1Reader.authenticate(card, 0).send_full(b"\x3d" + span(1, 0, 32), content)
    reader = Ev1Reader.authenticate(card, 1)
    assert reader.read_full(b"\xbd" + span(1, 0, 32), 32) == content
    assert reader.send(b"\xf5\x01") == bytes.fromhex("0003F010200000")


def test_a_full_file_under_ev2() -> None:
    card = VirtualDesfire.factory("ev2")
    make_application(card)
    create_file(card, 1, 3, "F010")
    content = bytes(range(32))
    Ev2Reader.authenticate(card, 0).send(b"\x8d" + span(1, 0, 32), content)
    reader = Ev2Reader.authenticate(card, 1)
    assert reader.send(b"\xad" + span(1, 0, 32), full=True) == content
    assert reader.send(b"\xbd" + span(1, 4, 4), full=True) == content[4:8]


@pytest.mark.parametrize(
    ("rights", "key", "read", "write"),
    [
        ("F010", 0, 0xAE, None),
        ("F010", 1, None, 0xAE),
        ("F010", 2, 0xAE, 0xAE),
        ("F010", None, 0xAE, 0xAE),
        ("20FF", 2, None, None),
        ("F0FF", 0, 0x9D, 0x9D),
        ("F0EF", None, None, 0x9D),
        ("E0FF", None, None, None),
    ],
)
def test_the_access_rights_say_who_reads_and_who_writes(
    card: VirtualDesfire, rights: str, key: int | None, read: int | None, write: int | None
) -> None:
    create_file(card, 1, 0, rights)
    for frame, expected in (
        (b"\xbd" + span(1, 0, 4), read),
        (b"\x3d" + span(1, 0, 4) + b"abcd", write),
    ):
        session = None if key is None else Ev1Reader.authenticate(card, key)
        if expected is None:
            exchange(card, frame) if session is None else session.send(frame)
            continue
        with pytest.raises(Rejected) as refused:
            exchange(card, frame)
        assert refused.value.code == expected


def test_a_free_right_speaks_in_plain_whatever_the_file_says(card: VirtualDesfire) -> None:
    create_file(card, 1, 3, "F0EE", 4)
    exchange(card, b"\x3d" + span(1, 0, 4) + b"abcd")
    assert exchange(card, b"\xbd" + span(1, 0, 4)) == b"abcd"


def test_a_mac_file_refuses_a_wrong_mac_and_keeps_its_content() -> None:
    card = VirtualDesfire.factory("ev1")
    make_application(card)
    create_file(card, 1, 1, "0000")
    frame = b"\x3d" + span(1, 0, 4) + b"abcd"
    Ev1Reader.authenticate(card)
    with pytest.raises(Rejected) as wrong:
        exchange(card, frame + bytes(8))
    assert wrong.value.code == 0x1E
    assert card.chip.applications[APP].files[1].content == bytes(32)
    Ev1Reader.authenticate(card).send(frame, mac=True)
    assert card.chip.applications[APP].files[1].content[:4] == b"abcd"


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, 33, 0xBE), (32, 1, 0xBE), (32, 0, 0xBE), (0xFFFFFF, 0xFFFFFF, 0xBE), (31, 1, 0)],
)
def test_a_read_stays_within_the_file(
    card: VirtualDesfire, offset: int, length: int, expected: int
) -> None:
    create_file(card, 1, 0, "EEEE")
    assert native(card, b"\xbd" + span(1, offset, length))[0] == expected


def test_length_0_reads_to_the_end(card: VirtualDesfire) -> None:
    create_file(card, 1, 0, "EEEE")
    exchange(card, b"\x3d" + span(1, 30, 2) + b"ok")
    assert exchange(card, b"\xbd" + span(1, 30, 0)) == b"ok"


@pytest.mark.parametrize("offset_length", [(0, 33), (31, 2), (0xFFFFFF, 1)])
def test_a_write_stays_within_the_file(
    card: VirtualDesfire, offset_length: tuple[int, int]
) -> None:
    create_file(card, 1, 0, "EEEE")
    assert native(card, b"\x3d" + span(1, *offset_length) + b"x")[0] == 0xBE


def test_a_long_file_goes_in_frames_both_ways(card: VirtualDesfire) -> None:
    create_file(card, 1, 0, "EEEE", 300)
    content = bytes(index % 251 for index in range(300))
    answer = native(card, b"\x3d" + span(1, 0, 300) + content[:52])
    for start in range(52, 300, 59):
        assert answer == b"\xaf"
        assert card.chip.applications[APP].files[1].content == bytes(300)
        answer = native(card, b"\xaf" + content[start : start + 59])
    assert answer == b"\0"
    assert exchange(card, b"\xbd" + span(1, 0, 300)) == content


def test_a_long_enciphered_file_goes_in_frames_both_ways() -> None:
    card = VirtualDesfire.factory("ev1")
    make_application(card)
    create_file(card, 1, 3, "0000", 100)
    reader = Ev1Reader.authenticate(card)
    content = bytes(range(100))
    plain = content + reader_crc(b"\x3d" + span(1, 0, 100) + content)
    cryptogram = reader.cipher.encrypt(plain.ljust(112, b"\0"), reader.iv)
    assert native(card, b"\x3d" + span(1, 0, 100) + cryptogram[:52]) == b"\xaf"
    assert native(card, b"\xaf" + cryptogram[52:111]) == b"\xaf"
    assert native(card, b"\xaf" + cryptogram[111:])[0] == 0
    again = Ev1Reader.authenticate(card)
    assert again.read_full(b"\xbd" + span(1, 0, 100), 100) == content


def reader_crc(data: bytes) -> bytes:
    return (~zlib.crc32(data) & 0xFFFFFFFF).to_bytes(4, "little")


@pytest.mark.parametrize("extra", [0, 60])
def test_a_frame_that_is_empty_or_too_long_ends_a_write(extra: int) -> None:
    card = VirtualDesfire.factory("ev1")
    make_application(card)
    create_file(card, 1, 0, "EEEE", 200)
    assert native(card, b"\x3d" + span(1, 0, 200) + bytes(52)) == b"\xaf"
    assert native(card, b"\xaf" + b"x" * extra)[0] == 0x7E
    assert card.chip.applications[APP].files[1].content == bytes(200)


def test_a_broken_off_write_changes_nothing(card: VirtualDesfire) -> None:
    create_file(card, 1, 0, "EEEE", 200)
    assert native(card, b"\x3d" + span(1, 0, 200) + b"x" * 52) == b"\xaf"
    card.reset()
    exchange(card, b"\x5a" + APP)
    assert exchange(card, b"\xbd" + span(1, 0, 200)) == bytes(200)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("CD 01 00 EEEE 200000", 0xDE),
        ("CD 20 00 EEEE 200000", 0x9E),
        ("CD 02 04 EEEE 200000", 0x9E),
        ("CD 02 00 E3EE 200000", 0x9E),
        ("CD 02 00 EEEE 000000", 0x9E),
        ("CD 02 00 EEEE FFFFFF", 0x0E),
        ("CD 02 00 EEEE 2000", 0x7E),
        ("DF 02", 0xF0),
        ("DF", 0x7E),
        ("F5 02", 0xF0),
        ("F5", 0x7E),
        ("6F 00", 0x7E),
        ("BD 01", 0x7E),
        ("BD 02 000000 010000", 0xF0),
        ("BD 01 000000 010000 00", 0x7E),
        ("3D 01 000000 000000", 0x9E),
        ("3D 01 000000 010000 AABB", 0x7E),
        ("5A 010203", 0xA0),
        ("5A 0102", 0x7E),
        ("64", 0x7E),
        ("60 00", 0x7E),
        ("6A", 0x9D),
        ("CA 010000 0F 81", 0x9D),
        ("FC", 0x9D),
        ("C4 03", 0xAE),
        ("54 09", 0xAE),
        ("0A 00", 0xAE),
        ("AF", 0x1C),
    ],
)
def test_what_cannot_be_ends_with_the_status_of_the_data_sheet(
    card: VirtualDesfire, frame: str, expected: int
) -> None:
    create_file(card, 1, 0, "EEEE")
    assert status(card, frame) == expected


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("CA 563412 0F 81", 0xDE),
        ("CA 000000 0F 81", 0x9E),
        ("CA 010000 0F 8F", 0x9E),
        ("CA 010000 0F C1", 0x9E),
        ("CA 010000 0F 91 0001", 0x9E),
        ("CA 010000 0F A1 003F", 0x9E),
        ("CA 010000 0F A1 00", 0x7E),
        ("CA 010000 0F A1 0110" + "41" * 17, 0x7E),
        ("CA 010000 0F", 0x7E),
        ("DA 010000", 0xA0),
        ("DA 563412", 0xAE),
        ("DA", 0x7E),
        ("FC", 0xAE),
        ("64 01", 0x40),
        ("AA 00", 0xAE),
        ("1A 01", 0x40),
        ("6F", 0x9D),
        ("BD 01 000000 010000", 0x9D),
    ],
)
def test_what_the_picc_level_refuses(card: VirtualDesfire, frame: str, expected: int) -> None:
    picc_level(card)
    assert status(card, frame) == expected


def test_without_free_listing_and_creation_key_0_is_needed() -> None:
    card = VirtualDesfire.factory("ev1")
    make_application(card, settings=0x09)
    for frame in ("6F", "CD0100EEEE200000"):
        assert status(card, frame) == 0xAE
    session = Ev1Reader.authenticate(card)
    session.send(bytes.fromhex("CD0100EEEE200000"))
    assert session.send(b"\x6f") == b"\x01"
    assert session.send(b"\xf5\x01") == bytes.fromhex("0000EEEE200000")
    session.send(b"\xdf\x01")
    assert session.send(b"\x6f") == b""
    Ev1Reader.authenticate(card, 1)
    assert status(card, "6F") == 0xAE


def test_the_picc_key_guards_applications_where_the_settings_say_so(card: VirtualDesfire) -> None:
    picc_level(card)
    Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES)).send_full(b"\x54", b"\x09")
    card.reset()
    for frame in ("6A", "CA0100000F81", "45"):
        assert status(card, frame) == 0xAE
    session = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    session.send(bytes.fromhex("CA0100000F81"))
    assert session.send(b"\x6a") == APP + bytes.fromhex("010000")
    session.send(b"\xda" + APP)
    assert session.send(b"\x6a") == bytes.fromhex("010000")


def test_an_application_deletes_itself_with_its_own_key_where_the_picc_lets_it(
    card: VirtualDesfire,
) -> None:
    Ev1Reader.authenticate(card, 0)
    assert status(card, "DA" + APP.hex()) == 0
    assert exchange(card, b"\x6a") == b""


def test_an_application_cannot_delete_itself_where_the_picc_keeps_that_to_its_own_key(
    card: VirtualDesfire,
) -> None:
    picc_level(card)
    Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES)).send_full(b"\x54", b"\x0b")
    exchange(card, b"\x5a" + APP)
    Ev1Reader.authenticate(card, 0)
    assert status(card, "DA" + APP.hex()) == 0x9D
    assert APP in card.chip.applications


def test_an_ev1_holds_28_applications() -> None:
    card = VirtualDesfire.factory("ev1")
    make_application(card)
    picc_level(card)
    for number in range(2, 29):
        exchange(card, bytes((0xCA, number, 0, 0, 0x0F, 0x81)))
    assert status(card, "CA 990000 0F 81") == 0xCE
    assert len(exchange(card, b"\x6a")) == 28 * 3


def test_memory_comes_back_with_format_alone(card: VirtualDesfire) -> None:
    free = int.from_bytes(exchange(card, b"\x6e"), "little")
    create_file(card, 1, 0, "EEEE", 33)
    assert int.from_bytes(exchange(card, b"\x6e"), "little") == free - 64
    exchange(card, b"\xdf\x01")
    assert int.from_bytes(exchange(card, b"\x6e"), "little") == free - 64
    picc_level(card)
    session = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    session.send(b"\xfc")
    assert session.send(b"\x6a") == b""
    assert int.from_bytes(session.send(b"\x6e"), "little") == 5120


@pytest.mark.parametrize(("product", "major"), [("ev1", 0x01), ("ev2", 0x12)])
def test_get_version_comes_in_three_frames(product: str, major: int) -> None:
    card = VirtualDesfire.factory(product, uid=bytes.fromhex("04AABBCCDDEEFF"))
    hardware, software, rest = (native(card, frame) for frame in (b"\x60", b"\xaf", b"\xaf"))
    assert hardware == bytes((0xAF, 4, 1, 1, major, 0, 0x18, 5))
    assert software[0] == 0xAF
    assert len(software) == 8
    assert rest[:8] == b"\0" + card.uid
    assert len(rest) == 15
