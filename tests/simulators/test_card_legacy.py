"""AuthenticateLegacy and its messaging, as D40 readers and old libraries use them."""

import pytest

from simulators.desfire import VirtualDesfire
from simulators.desfire.crypto import KeyType
from simulators.desfire.keys import Key, zero_key
from tests.simulators.reader_side import (
    APP,
    ZEROS,
    D40Reader,
    Ev1Reader,
    Rejected,
    exchange,
    native,
    status,
)

pytestmark = pytest.mark.unit

TWO_KEYS = Key(KeyType.DES, bytes(range(0, 32, 2)))
SPAN_4 = bytes.fromhex("01 000000 040000")


@pytest.fixture(params=["ev1", "ev2"])
def card(request: pytest.FixtureRequest) -> VirtualDesfire:
    """Give a card with a DES application, selected."""
    card = VirtualDesfire.factory(request.param)
    exchange(card, b"\xca" + APP + b"\x0f\x03")
    exchange(card, b"\x5a" + APP)
    return card


def create_file(card: VirtualDesfire, mode: int, rights: str = "0000", size: int = 32) -> None:
    frame = bytes((0xCD, 1, mode)) + bytes.fromhex(rights) + size.to_bytes(3, "little")
    exchange(card, frame)


def content(card: VirtualDesfire) -> bytes:
    return card.chip.applications[APP].files[1].content


def test_the_card_answers_the_sequence_of_nfc_pcsc(card: VirtualDesfire) -> None:
    """That example enciphers where a D40 reader deciphers: the same under a key of zeros."""
    create_file(card, 0, "EEEE", 14)
    select = card.transmit(bytes.fromhex("905A000003") + APP + b"\0")
    assert select == bytes.fromhex("9100")
    challenge = card.transmit(bytes.fromhex("900A0000010000"))
    assert challenge[-2:] == bytes.fromhex("91AF")
    key = zero_key(KeyType.DES).cipher
    rnd_b = key.decrypt(challenge[:-2], bytes(8))
    token = key.encrypt(bytes(range(8)) + rnd_b[1:] + rnd_b[:1], bytes(8))
    answer = card.transmit(bytes.fromhex("90AF000010") + token + b"\0")
    assert answer[-2:] == bytes.fromhex("9100")
    assert key.decrypt(answer[:-2], bytes(8)) == bytes((1, 2, 3, 4, 5, 6, 7, 0))
    read = card.transmit(bytes.fromhex("90BD000007 01 000000 0E0000 00"))
    assert read == bytes(14) + bytes.fromhex("9100")


@pytest.mark.parametrize("key", [zero_key(KeyType.DES), TWO_KEYS], ids=["DES", "2K3DES"])
def test_a_full_file_is_written_and_read(card: VirtualDesfire, key: Key) -> None:
    create_file(card, 3)
    if key is TWO_KEYS:
        D40Reader.authenticate(card).change_key(0, key.value)
    reader = D40Reader.authenticate(card, 0, key)
    assert reader.send_full(b"\x3d" + SPAN_4, b"abcd") == b""
    assert reader.read_full(b"\xbd" + SPAN_4, 4) == b"abcd"
    assert content(card)[:5] == b"abcd\0"


def test_a_read_to_the_end_is_padded_as_such(card: VirtualDesfire) -> None:
    create_file(card, 3)
    reader = D40Reader.authenticate(card)
    plain = reader.cipher.decrypt(exchange(card, bytes.fromhex("BD01000000000000")), bytes(8))
    assert plain[:32] == bytes(32)
    assert plain[34:] == b"\x80" + bytes(5)


def test_a_mac_covers_the_data_alone(card: VirtualDesfire) -> None:
    create_file(card, 1)
    reader = D40Reader.authenticate(card)
    assert exchange(card, b"\x3d" + SPAN_4 + b"abcd" + reader.mac(b"abcd")) == b""
    assert exchange(card, b"\xbd" + SPAN_4) == b"abcd" + reader.mac(b"abcd")


def test_a_wrong_mac_keeps_the_content_and_ends_the_session(card: VirtualDesfire) -> None:
    create_file(card, 1)
    D40Reader.authenticate(card)
    assert status(card, "3D" + SPAN_4.hex() + "61626364" + "00000000") == 0x1E
    assert content(card) == bytes(32)
    assert status(card, "BD" + SPAN_4.hex()) == 0xAE


@pytest.mark.parametrize("place", range(8))
def test_a_damaged_cryptogram_keeps_the_content(card: VirtualDesfire, place: int) -> None:
    create_file(card, 3)
    reader = D40Reader.authenticate(card)
    transmit = card.transmit

    def damaged(command: bytes) -> bytes:
        flipped = bytearray(command)
        flipped[12 + place] ^= 0x10
        return transmit(bytes(flipped))

    card.transmit = damaged  # type: ignore[method-assign]
    with pytest.raises(Rejected) as wrong:
        reader.send_full(b"\x3d" + SPAN_4, b"abcd")
    assert wrong.value.code == 0x1E
    assert content(card) == bytes(32)


def test_what_is_no_file_data_goes_in_clear(card: VirtualDesfire) -> None:
    D40Reader.authenticate(card)
    assert exchange(card, b"\x45") == bytes.fromhex("0F03")
    assert exchange(card, b"\x64\x00") == b"\0"
    assert len(exchange(card, b"\x60")) == 28
    assert exchange(card, bytes.fromhex("CD0200EEEE200000")) == b""


def test_key_0_changes_another_key_and_itself(card: VirtualDesfire) -> None:
    reader = D40Reader.authenticate(card)
    reader.change_key(1, TWO_KEYS.value, old=ZEROS)
    assert exchange(card, b"\x64\x01") == b"\0"
    reader.change_key(0, bytes.fromhex("0100010001000101") * 2)
    assert status(card, "C401" + "00" * 24) == 0xAE
    assert exchange(card, b"\x64\x00") == b"\xab"
    assert card.chip.applications[APP].keys[1] == TWO_KEYS


def test_a_wrong_old_key_changes_nothing(card: VirtualDesfire) -> None:
    with pytest.raises(Rejected) as wrong:
        D40Reader.authenticate(card).change_key(1, TWO_KEYS.value, old=b"\x02" * 16)
    assert wrong.value.code == 0x1E
    assert card.chip.applications[APP].keys[1] == zero_key(KeyType.DES)


def test_the_picc_key_goes_to_aes_under_a_d40_session(card: VirtualDesfire) -> None:
    exchange(card, b"\x5a\0\0\0")
    D40Reader.authenticate(card).send_full(b"\xc4\x80", bytes(range(16)) + b"\x42")
    assert card.chip.master == Key(KeyType.AES, bytes(range(16)), 0x42)
    assert status(card, "0A00") == 0xAE
    Ev1Reader.authenticate(card, 0, card.chip.master)


def test_key_settings_change(card: VirtualDesfire) -> None:
    reader = D40Reader.authenticate(card)
    assert reader.send_full(b"\x54", b"\x0b") == b""
    assert exchange(card, b"\x45") == bytes.fromhex("0B03")


def test_a_session_goes_on_after_a_refusal_but_not_after_a_failed_authentication(
    card: VirtualDesfire,
) -> None:
    create_file(card, 0)
    D40Reader.authenticate(card)
    assert status(card, "BD02" + SPAN_4.hex()[2:]) == 0xF0
    assert status(card, "BD" + SPAN_4.hex()) == 0
    with pytest.raises(Rejected) as wrong:
        D40Reader.authenticate(card, 1, TWO_KEYS)
    assert wrong.value.code == 0xAE
    assert status(card, "BD" + SPAN_4.hex()) == 0xAE


@pytest.mark.parametrize("kind", ["41", "81"])
def test_other_keys_do_not_authenticate_this_way(card: VirtualDesfire, kind: str) -> None:
    card.reset()
    exchange(card, bytes.fromhex(f"CA0200000F{kind}"))
    exchange(card, bytes.fromhex("5A020000"))
    assert status(card, "0A00") == 0xAE


def test_a_selection_ends_the_session(card: VirtualDesfire) -> None:
    create_file(card, 0)
    D40Reader.authenticate(card)
    exchange(card, b"\x5a" + APP)
    assert native(card, b"\xbd" + SPAN_4)[0] == 0xAE


def test_the_real_uid_comes_enciphered(card: VirtualDesfire) -> None:
    assert D40Reader.authenticate(card).read_full(b"\x51", 7) == card.uid
