"""What tells one virtual DESFire from another: generation, storage, UID, ATS, signature."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from simulators.desfire import VirtualDesfire, originality
from simulators.desfire.answer_to_select import answer_to_reset, historical_bytes
from simulators.desfire.crypto import KeyType, crc32
from simulators.desfire.keys import Key, zero_key
from tests.simulators.reader_side import (
    APP,
    ZEROS,
    D40Reader,
    Ev1Reader,
    Ev2Reader,
    Rejected,
    exchange,
    make_application,
    native,
    status,
)

pytestmark = pytest.mark.unit

UIDS = {
    4: bytes.fromhex("3F112233"),
    7: bytes.fromhex("04112233445566"),
    10: bytes.fromhex("04112233445566778899"),
}
WRITTEN = {4: "00043F112233", 7: "04112233445566", 10: "000A04112233445566778899"}
NEW_ATS = bytes.fromhex("0875778102637264")


@pytest.mark.parametrize(
    ("product", "storage_kib", "versions"),
    [
        ("ev1", 2, "04010101001605 04010101041605"),
        ("ev1", 4, "04010101001805 04010101041805"),
        ("ev1", 8, "04010101001A05 04010101041A05"),
        ("ev2", 4, "04010112001805 04010102011805"),
        ("ev2", 16, "04010122001C05 04010102011C05"),
        ("ev2", 32, "04010122001E05 04010102011E05"),
        ("ev3", 8, "04010133001A05 04010103001A05"),
        ("ev3", 16, "04010133001C05 04010103001C05"),
    ],
)
def test_get_version_tells_product_and_storage(
    product: str, storage_kib: int, versions: str
) -> None:
    card = VirtualDesfire.factory(product, storage_kib=storage_kib)
    assert exchange(card, b"\x60")[:14] == bytes.fromhex(versions)


@pytest.mark.parametrize(("storage_kib", "free"), [(2, 2048), (4, 5120), (8, 8192), (16, 16384)])
def test_an_empty_card_has_free_what_its_storage_holds(storage_kib: int, free: int) -> None:
    card = VirtualDesfire.factory("ev3", storage_kib=storage_kib)
    assert exchange(card, b"\x6e") == free.to_bytes(3, "little")


@pytest.mark.parametrize(("product", "storage_kib"), [("ev1", 16), ("ev3", 32), ("ev2", 5)])
def test_a_storage_that_is_not_sold_is_refused(product: str, storage_kib: int) -> None:
    with pytest.raises(ValueError, match="storage"):
        VirtualDesfire.factory(product, storage_kib=storage_kib)


@pytest.mark.parametrize("size", [4, 7, 10])
@pytest.mark.parametrize("product", ["ev2", "ev3"])
def test_a_uid_of_every_length_is_shown_and_told(product: str, size: int) -> None:
    card = VirtualDesfire.factory(product, uid=UIDS[size])
    assert card.transmit(bytes.fromhex("FFCA000000")) == UIDS[size] + b"\x90\x00"
    written = bytes.fromhex(WRITTEN[size])
    assert exchange(card, b"\x60")[14:-7] == written
    session = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    assert session.read_full(b"\x51", len(written)) == written
    assert D40Reader.authenticate(card).read_full(b"\x51", len(written)) == written


@pytest.mark.parametrize(("product", "uid"), [("ev1", 4), ("ev1", 10), ("ev2", 8), ("ev3", 0)])
def test_a_uid_of_a_length_that_is_not_made_is_refused(product: str, uid: int) -> None:
    with pytest.raises(ValueError, match="UID"):
        VirtualDesfire.factory(product, uid=bytes(uid))


@pytest.mark.parametrize(("product", "frame"), [("ev1", 59), ("ev2", 119), ("ev3", 247)])
def test_a_product_has_frames_of_its_own_size_both_ways(product: str, frame: int) -> None:
    card = VirtualDesfire.factory(product)
    make_application(card)
    exchange(card, bytes.fromhex("CD01 00 EEEE 2C0100"))
    content = bytes(index % 251 for index in range(300))
    first = frame - 7
    header = bytes.fromhex("3D01 000000 2C0100")
    assert native(card, header + content[: first + 1])[0] == 0x7E
    answer = native(card, header + content[:first])
    for start in range(first, 300, frame):
        assert answer == b"\xaf"
        answer = native(card, b"\xaf" + content[start : start + frame])
    assert answer == b"\0"
    part = native(card, bytes.fromhex("BD01 000000 2C0100"))
    assert part == b"\xaf" + content[:frame]


@pytest.mark.parametrize(
    ("product", "reader_frame", "carried"),
    [("ev1", 256, 59), ("ev2", 64, 59), ("ev3", 64, 59), ("ev3", 128, 119), ("ev2", 256, 119)],
)
def test_a_reader_of_short_frames_makes_the_card_cut_its_answers_short(
    product: str, reader_frame: int, carried: int
) -> None:
    card = VirtualDesfire.factory(product)
    card.reader_frame_bytes = reader_frame
    card.power_on()
    make_application(card)
    exchange(card, bytes.fromhex("CD01 00 EEEE 2C0100"))
    assert native(card, bytes.fromhex("BD01 000000 2C0100")) == b"\xaf" + bytes(carried)


def test_a_signature_in_two_frames_ends_with_its_status() -> None:
    card = VirtualDesfire.factory("ev1")
    make_application(card)
    Ev1Reader.authenticate(card, 0, Key(KeyType.AES, ZEROS))
    first, last = native(card, bytes.fromhex("3C00")), native(card, b"\xaf")
    assert (first[0], len(first)) == (0xAF, 60)
    assert (last[0], len(last)) == (0x90, 6)


def test_the_originality_signature_verifies_under_the_cards_own_test_key() -> None:
    card = VirtualDesfire.factory("ev3", uid=UIDS[7])
    answer = native(card, bytes.fromhex("3C00"))
    assert answer[0] == 0x90
    signature = answer[1:]
    assert len(signature) == 56
    point = originality.public_key(card.chip.originality_key)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP224R1(), point)
    der = utils.encode_dss_signature(int.from_bytes(signature[:28]), int.from_bytes(signature[28:]))
    # A hash of 28 bytes is the same number: the UID with zeros before it.
    digest = UIDS[7].rjust(28, b"\0")
    key.verify(der, digest, ec.ECDSA(utils.Prehashed(hashes.SHA224())))
    assert native(card, bytes.fromhex("3C00"))[1:] == signature


def test_two_cards_have_two_test_keys() -> None:
    keys = {VirtualDesfire.factory("ev2").chip.originality_key for _ in range(4)}
    assert len(keys) == 4


def test_the_signature_comes_enciphered_in_a_session() -> None:
    card = VirtualDesfire.factory("ev2")
    plain = native(card, bytes.fromhex("3C00"))[1:]
    reader = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    reader._mac(bytes.fromhex("3C00"))
    answer = native(card, bytes.fromhex("3C00"))
    assert answer[0] == 0x90
    opened = reader.cipher.decrypt(answer[1:], reader.iv)
    assert opened[:60] == plain + crc32(plain + b"\x90")


@pytest.mark.parametrize(("frame", "expected"), [("3C", 0x7E), ("3C01", 0x9E), ("3C0000", 0x7E)])
def test_there_is_one_signature_alone(frame: str, expected: int) -> None:
    assert status(VirtualDesfire.factory("ev1"), frame) == expected


def test_a_card_that_shows_a_random_uid_keeps_its_signature_for_a_session() -> None:
    card = VirtualDesfire.factory("ev2")
    session = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    session.send_full(b"\x5c\x00", b"\x02")
    card.reset()
    assert status(card, "3C00") == 0xAE


def configured(card: VirtualDesfire, option: int, body: bytes) -> None:
    """Configure under the factory key; an ATS ends with a padding of 80 00.. (libfreefare)."""
    reader = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    frame = bytes((0x5C, option))
    mark = b"\x80" if option == 2 else b""
    plain = body + crc32(frame + body) + mark
    plain += bytes(-len(plain) % 8)
    exchange(card, frame + reader.cipher.encrypt(plain, reader.iv))


def test_a_new_ats_shows_in_the_readers_answers_from_the_next_reset_on() -> None:
    card = VirtualDesfire.factory("ev1")
    configured(card, 2, NEW_ATS)
    assert card.transmit(bytes.fromhex("FFCA010000")) == bytes.fromhex("0675778102809000")
    card.reset()
    assert card.transmit(bytes.fromhex("FFCA010000")) == NEW_ATS + b"\x90\x00"
    assert card.atr == answer_to_reset(NEW_ATS)
    assert card.atr[4:-1] == bytes.fromhex("637264")


def test_a_new_ats_is_taken_under_ev2_and_d40_too() -> None:
    first = VirtualDesfire.factory("ev2")
    session = Ev1Reader.authenticate(first, 0, zero_key(KeyType.DES))
    session.send_full(b"\xc4\x80", ZEROS + b"\x01", bare=True)
    Ev2Reader.authenticate(first).send(b"\x5c\x02", NEW_ATS)
    second = VirtualDesfire.factory("ev1")
    D40Reader.authenticate(second).send_full(b"\x5c\x02", NEW_ATS, b"\x80")
    assert first.chip.ats == second.chip.ats == NEW_ATS


@pytest.mark.parametrize("ats", ["05757781", "01", "", "03757F", "15" + "75" * 20])
def test_what_is_no_ats_is_a_parameter_error(ats: str) -> None:
    card = VirtualDesfire.factory("ev1")
    with pytest.raises(Rejected) as refused:
        configured(card, 2, bytes.fromhex(ats))
    assert refused.value.code == 0x9E
    assert historical_bytes(card.chip.ats) == b"\x80"


@pytest.mark.parametrize("cryptogram", ["", "00" * 8, "00" * 12, "00" * 16])
def test_a_cryptogram_of_an_ats_that_is_none_is_refused(cryptogram: str) -> None:
    card = VirtualDesfire.factory("ev1")
    Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    assert status(card, "5C02" + cryptogram) in {0x1E, 0x7E}
    assert historical_bytes(card.chip.ats) == b"\x80"


def test_the_sak_is_set_since_ev2() -> None:
    card = VirtualDesfire.factory("ev2")
    configured(card, 3, b"\x04\x28")
    assert card.chip.sak == b"\x04\x28"
    with pytest.raises(Rejected) as refused:
        configured(VirtualDesfire.factory("ev1"), 3, b"\x04\x28")
    assert refused.value.code == 0x9E


def test_an_unknown_bit_of_the_configuration_is_a_parameter_error() -> None:
    card = VirtualDesfire.factory("ev1")
    with pytest.raises(Rejected) as refused:
        configured(card, 0, b"\x04")
    assert refused.value.code == 0x9E


def test_an_ev3_speaks_all_three_mechanisms() -> None:
    card = VirtualDesfire.factory("ev3")
    make_application(card)
    assert Ev2Reader.authenticate(card).send(b"\x51", full=True) == card.uid
    key = Key(KeyType.AES, ZEROS)
    assert Ev1Reader.authenticate(card, 1, key).read_full(b"\x51", 7) == card.uid
    exchange(card, b"\x5a\0\0\0")
    assert D40Reader.authenticate(card).read_full(b"\x51", 7) == card.uid
    assert exchange(card, b"\x6a") == APP
