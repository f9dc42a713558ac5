"""The commands of ISO 7816-4 on a virtual DESFire."""

import pytest

from simulators.desfire import VirtualDesfire
from simulators.desfire.crypto import Cipher, KeyType
from simulators.desfire.keys import Key, ev1_session_cipher, zero_key
from tests.simulators.reader_side import (
    APP,
    RND_A,
    ZEROS,
    D40Reader,
    Ev1Reader,
    Ev2Reader,
    exchange,
    native,
    status,
)

pytestmark = pytest.mark.unit

MASTER_FILE = "00A4040007D2760000850100"
NAME = b"cardd.test"
AES = Key(KeyType.AES, ZEROS)
CONTENT = bytes(range(40))


def iso(card: VirtualDesfire, apdu: str) -> str:
    return card.transmit(bytes.fromhex(apdu)).hex().upper()


def named_card(product: str = "ev1", *, rights: str = "EEEE", mode: int = 0) -> VirtualDesfire:
    """Return a card with an AES application 1110, a data file 0201, records in file 0202."""
    card = VirtualDesfire.factory(product)
    exchange(card, b"\xca" + APP + bytes.fromhex("0FA21011") + NAME)
    exchange(card, b"\x5a" + APP)
    exchange(card, bytes.fromhex(f"CD01 0102 {mode:02X} {rights} 280000"))
    exchange(card, bytes.fromhex("C102 0202 00 EEEE 040000 030000"))
    return card


def filled_card(product: str = "ev1") -> VirtualDesfire:
    card = named_card(product)
    exchange(card, bytes.fromhex("3D01 000000 280000") + CONTENT)
    for record in (b"aaaa", b"bbbb"):
        exchange(card, bytes.fromhex("3B02 000000 040000") + record)
        exchange(card, b"\xc7")
    return card


@pytest.mark.parametrize("le", ["", "00"])
def test_libfreefare_selects_the_master_file_by_its_name(le: str) -> None:
    card = named_card()
    assert iso(card, MASTER_FILE + le) == "9000"
    assert exchange(card, b"\x6a") == APP


@pytest.mark.parametrize(
    "select",
    [
        "00A404000A" + NAME.hex() + "00",
        "00A4040C0A" + NAME.hex(),
        "00A40000021110",
        "00A4010C021110",
    ],
)
def test_an_application_is_selected_by_name_or_identifier(select: str) -> None:
    card = filled_card()
    iso(card, MASTER_FILE)
    assert iso(card, select) == "9000"
    assert exchange(card, b"\x6f") == b"\x01\x02"


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ("00A40400026161", "6A82"),
        ("00A4040000", "6A82"),
        ("00A40000022222", "6A82"),
        ("00A40200021110", "6A82"),
        ("00A4010002 0201", "6A82"),
        ("00A40000 01 11", "6700"),
        ("00A40500", "6A86"),
        ("00A40004021110", "6A86"),
        ("00A4040003D276", "6700"),
        ("00A404", "6700"),
        ("00A40300 01 00", "6700"),
    ],
)
def test_a_selection_that_cannot_be_is_refused(select: str, expected: str) -> None:
    assert iso(named_card(), select) == expected


def test_the_parent_of_an_application_is_the_master_file() -> None:
    card = named_card()
    assert iso(card, "00A40300") == "9000"
    assert exchange(card, b"\x6a") == APP


def test_selecting_a_file_keeps_the_session_and_selecting_an_application_ends_it() -> None:
    card = named_card()
    session = Ev1Reader.authenticate(card, 0, AES)
    assert iso(card, "00A40200020201") == "9000"
    assert session.send(b"\x64\x00") == b"\0"
    assert iso(card, "00A40000021110") == "9000"
    assert status(card, "51") == 0xAE


def test_read_binary_reads_the_selected_file_or_one_by_its_short_identifier() -> None:
    card = filled_card()
    iso(card, "00A40000020201")
    assert iso(card, "00B0000000") == CONTENT.hex().upper() + "9000"
    assert iso(card, "00B0000804") == "08090A0B9000"
    assert iso(card, "00B0812602") == "26279000"
    assert iso(card, "00B0812604") == "26276282"


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ("00B0002800", "6B00"),
        ("00B07FFF00", "6B00"),
        ("00B0830000", "6A82"),
        ("00B0820000", "6985"),
        ("00B0A10000", "6A86"),
        ("00B00000", "6700"),
        ("00B00000020102", "6700"),
    ],
)
def test_a_read_that_cannot_be_is_refused(read: str, expected: str) -> None:
    card = filled_card()
    iso(card, "00A40000020201")
    assert iso(card, read) == expected


def test_without_a_file_or_an_application_there_is_nothing_to_read() -> None:
    card = filled_card()
    assert iso(card, "00B0000000") == "6985"
    iso(card, MASTER_FILE)
    assert iso(card, "00B0810000") == "6985"


def test_update_binary_writes_within_the_file() -> None:
    card = filled_card()
    assert iso(card, "00D6810204AABBCCDD") == "9000"
    assert iso(card, "00B0810008") == "0001AABBCCDD06079000"
    assert iso(card, "00D6812702AABB") == "6B00"
    assert iso(card, "00D68100") == "6700"


def test_access_rights_hold_and_enciphered_files_do_not_speak_so() -> None:
    card = named_card(rights="0000")
    assert iso(card, "00B0810000") == "6982"
    Ev1Reader.authenticate(card, 0, AES)
    assert iso(card, "00B0810004") == "000000009000"
    assert iso(card, "00D681000161") == "9000"
    enciphered = named_card(rights="0000", mode=3)
    Ev1Reader.authenticate(enciphered, 0, AES)
    assert iso(enciphered, "00B0810004") == "6982"
    assert status(enciphered, "51") == 0xAE


def test_a_mac_file_is_read_with_the_sessions_mac() -> None:
    card = named_card(rights="0000", mode=1)
    reader = Ev1Reader.authenticate(card, 0, AES)
    answer = bytes.fromhex(iso(card, "00B0810004"))
    assert answer[:4] == bytes(4)
    assert answer[4:12] == reader._mac(bytes(4) + b"\0")
    assert iso(card, "00D681000161") == "6982"


def test_a_mac_file_is_read_with_the_short_mac_of_d40() -> None:
    card = VirtualDesfire.factory("ev1")
    exchange(card, b"\xca" + APP + bytes.fromhex("0F01"))
    exchange(card, b"\x5a" + APP)
    exchange(card, bytes.fromhex("CD01 01 0000 040000"))
    reader = D40Reader.authenticate(card)
    assert iso(card, "00B0810004") == "00000000" + reader.mac(bytes(4)).hex().upper() + "9000"


def test_ev2_messaging_has_no_mac_for_these_commands() -> None:
    card = named_card("ev2", rights="0000", mode=1)
    Ev2Reader.authenticate(card)
    assert iso(card, "00B0810004") == "6982"


def test_a_backup_file_waits_for_the_native_commit() -> None:
    card = named_card()
    exchange(card, bytes.fromhex("CB03 0302 00 EEEE 040000"))
    assert iso(card, "00D683000461626364") == "9000"
    assert iso(card, "00B0830000") == "000000009000"
    exchange(card, b"\xc7")
    assert iso(card, "00B0830000") == "616263649000"


def test_records_are_read_from_the_newest_on_and_together_in_their_order() -> None:
    card = filled_card()
    iso(card, "00A40200020202")
    assert iso(card, "00B2010400") == b"bbbb".hex() + "9000"
    assert iso(card, "00B2021404") == b"aaaa".hex() + "9000"
    assert iso(card, "00B2020500") == b"aaaabbbb".hex() + "9000"
    assert iso(card, "00B2000500") == b"aaaabbbb".hex() + "9000"


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ("00B2031400", "6A83"),
        ("00B2031500", "6A83"),
        ("00B2011403", "6C04"),
        ("00B2011405", "6C04"),
        ("00B2011600", "6A86"),
        ("00B2010C00", "6985"),
        ("00B2011404 61626364", "6700"),
    ],
)
def test_records_that_cannot_be_read(read: str, expected: str) -> None:
    assert iso(filled_card(), read) == expected


def test_append_record_waits_for_the_native_commit_and_for_room() -> None:
    card = filled_card()
    assert iso(card, "00E2001004" + b"cccc".hex()) == "9000"
    exchange(card, b"\xc7")
    assert iso(card, "00B2011400") == b"cccc".hex() + "9000"
    assert iso(card, "00E2001004" + b"dddd".hex()) == "6A84"
    assert iso(card, "00E20010036161 61") == "6700"
    assert iso(card, "00E2011004" + b"dddd".hex()) == "6A86"


KEYS = [
    (zero_key(KeyType.DES), "01", 8, "02"),
    (zero_key(KeyType.TRIPLE_DES), "41", 16, "04"),
    (zero_key(KeyType.AES), "81", 16, "09"),
]


def authenticate(card: VirtualDesfire, key: Key, size: int, p1: str, p2: str = "80") -> Cipher:
    """Authenticate as proxmark3 does, and return the session's cipher."""
    challenge = bytes.fromhex(iso(card, f"00840000{size:02X}"))
    assert challenge[size:] == b"\x90\x00"
    rnd_a, block = RND_A[:size], key.type.block_bytes
    token = key.cipher.encrypt(rnd_a + challenge[:size], bytes(block))
    assert iso(card, f"0082{p1}{p2}{2 * size:02X}{token.hex()}") == "9000"
    again = RND_A[::-1][:size]
    answer = bytes.fromhex(iso(card, f"0088{p1}{p2}{size:02X}{again.hex()}{2 * size:02X}"))
    plain = key.cipher.decrypt(answer[:-2], token[-block:])
    assert plain[size:] == again
    return ev1_session_cipher(key, rnd_a, plain[:size])


@pytest.mark.parametrize(("key", "kind", "size", "p1"), KEYS, ids=["DES", "3K3DES", "AES"])
def test_every_key_type_opens_an_ev1_session(key: Key, kind: str, size: int, p1: str) -> None:
    card = VirtualDesfire.factory("ev1")
    exchange(card, b"\xca" + APP + bytes.fromhex("0F" + kind))
    exchange(card, b"\x5a" + APP)
    for algorithm in (p1, "00"):
        cipher = authenticate(card, key, size, algorithm)
        session = Ev1Reader(card, cipher, bytes(key.type.block_bytes))
        assert session.read_full(b"\x51", 7) == card.uid


def test_the_picc_key_is_named_without_the_application_bit() -> None:
    card = VirtualDesfire.factory("ev1")
    authenticate(card, zero_key(KeyType.DES), 8, "02", "00")
    assert status(card, "FC") == 0


def test_a_wrong_cryptogram_is_a_security_status_and_ends_the_authentication() -> None:
    card = named_card()
    iso(card, "0084000010")
    assert iso(card, "0082098020" + "00" * 32) == "6982"
    assert iso(card, "0082098020" + "00" * 32) == "6985"


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (["0084000010", "0082028020" + "00" * 32], "6A86"),
        (["0084000010", "0082098920" + "00" * 32], "6A86"),
        (["0084000010", "0082090020" + "00" * 32], "6A86"),
        (["0084000010", "0082098010" + "00" * 16], "6700"),
        (["0084000008", "0082098020" + "00" * 32], "6700"),
        (["0084000010", "00A4000C021110", "0082098020" + "00" * 32], "6985"),
        (["0084000010", "9064000001 00 00", "0082098020" + "00" * 32], "6985"),
        (["0088098010" + "00" * 16], "6985"),
        (["0084000007"], "6700"),
        (["0084010010"], "6A86"),
    ],
)
def test_an_authentication_that_cannot_be_is_refused(commands: list[str], expected: str) -> None:
    card = named_card()
    answers = [iso(card, command) for command in commands]
    assert answers[-1] == expected


def test_a_command_of_class_00_between_two_frames_is_refused_and_ends_the_first() -> None:
    card = named_card()
    assert native(card, b"\x60")[0] == 0xAF
    assert iso(card, MASTER_FILE) == "6985"
    assert status(card, "AF") == 0x1C
