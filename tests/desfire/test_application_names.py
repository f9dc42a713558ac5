"""Applications with ISO 7816-4 identifiers and names, and two of them selected at once."""

from typing import Any

import pytest
from Crypto.Cipher import AES
from Crypto.Hash import CMAC

from cardd.desfire.applications import ApplicationSettings, DfName, KeySettings
from cardd.desfire.card import DesfireCard
from cardd.desfire.channel import Session
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.errors import CardProtocolError, CardStatusError
from tests.desfire.recorded_card import messaging_of, play, unwrapped, wrapped

pytestmark = pytest.mark.unit

EV1 = {"kind": "ev1", "type": "AES", "key": "00" * 16}
OK = unwrapped("00")
SETTINGS = ApplicationSettings(KeySettings.parse(0x0F), 3, KeyType.AES, iso_file_ids=True)


@pytest.mark.parametrize(
    ("names", "sent"),
    [
        ({}, "CA 563412 0F A3"),
        ({"iso_file_id": 0xE110}, "CA 563412 0F A3 10E1"),
        ({"iso_file_id": 0xE110, "df_name": b"badge"}, "CA 563412 0F A3 10E1 6261646765"),
    ],
)
def test_an_application_is_created_with_its_names(names: dict[str, Any], sent: str):
    (command,) = next(DesfireCard().create_application(0x123456, SETTINGS, **names))
    assert command == wrapped(sent)


@pytest.mark.parametrize(
    "names",
    [
        {"df_name": b"badge"},
        {"iso_file_id": 0xE110, "df_name": b""},
        {"iso_file_id": 0xE110, "df_name": b"a" * 17},
        {"iso_file_id": 0x3F00},
        {"iso_file_id": 0x10000},
    ],
)
def test_names_that_no_application_has_are_not_sent(names: dict[str, Any]):
    with pytest.raises(ValueError, match=r"DF name|identifier"):
        next(DesfireCard().create_application(0x123456, SETTINGS, **names))


@pytest.mark.parametrize("byte", [0x23, 0x03, 0x63, 0x43, 0xA3, 0x83, 0x8E])
def test_the_second_byte_of_the_settings_is_read_and_written_alike(byte: int):
    settings = ApplicationSettings.parse(bytes((0x0F, byte)))
    assert settings.encode() == bytes((0x0F, byte))
    assert settings.iso_file_ids is bool(byte & 0x20)


@pytest.mark.parametrize("byte", [0x93, 0xC3, 0x80, 0x8F, 0xE3])
def test_settings_that_mean_nothing_known_are_refused(byte: int):
    with pytest.raises(CardProtocolError):
        ApplicationSettings.parse(bytes((0x0F, byte)))


FRAMES = [bytes.fromhex("563412 10E1") + b"badge", bytes.fromhex("010000 0100") + b"a" * 16]
NAMES = (DfName(0x123456, 0xE110, b"badge"), DfName(1, 1, b"a" * 16))


def test_the_names_of_applications_come_one_a_frame():
    answers = iter([FRAMES[0] + unwrapped("AF"), FRAMES[1] + OK])
    assert play(DesfireCard().get_df_names(), lambda _: next(answers)) == NAMES


@pytest.mark.parametrize("apart", [False, True], ids=["mac behind the last", "mac alone"])
def test_in_a_session_the_mac_of_all_frames_is_no_name(apart: bool):
    iv = CMAC.new(bytes(16), b"\x6d", ciphermod=AES).digest()
    padded = b"".join(FRAMES) + b"\x00"
    mac = ev1_mac(padded, iv)
    frames = [*FRAMES, mac] if apart else [FRAMES[0], FRAMES[1] + mac]
    answers = iter([frame + unwrapped("AF") for frame in frames[:-1]] + [frames[-1] + OK])
    card = DesfireCard()
    card.session = Session(0, messaging_of(EV1))
    assert play(card.get_df_names(), lambda _: next(answers)) == NAMES
    assert card.session is not None


def ev1_mac(message: bytes, iv: bytes) -> bytes:
    """CMAC from an initialisation vector: the same as a CMAC whose first block is mixed with it."""
    first = bytes(a ^ b for a, b in zip(message[:16], iv, strict=True))
    return CMAC.new(bytes(16), first + message[16:], ciphermod=AES).digest()[:8]


def test_a_card_without_named_applications_tells_none():
    assert play(DesfireCard().get_df_names(), lambda _: OK) == ()


@pytest.mark.parametrize("length", [1, 4, 22])
def test_a_frame_that_is_no_application_is_refused(length: int):
    with pytest.raises(CardProtocolError, match="GET_DF_NAMES"):
        play(DesfireCard().get_df_names(), lambda _: bytes(length) + OK)


def test_two_applications_are_selected_at_once():
    card = DesfireCard()
    exchange = card.select_application(0x123456, 0x010203)
    assert next(exchange) == (wrapped("5A 563412 030201"),)
    with pytest.raises(StopIteration):
        exchange.send((OK,))
    assert card.selected == 0x123456


def test_a_card_that_does_not_take_a_second_application_leaves_none_selected():
    card = DesfireCard()
    with pytest.raises(CardStatusError):
        play(card.select_application(1, 2), lambda _: unwrapped("7E"))
    assert card.selected is None


def test_a_second_application_that_cannot_be_is_not_sent():
    card = DesfireCard()
    with pytest.raises(ValueError, match="three bytes"):
        next(card.select_application(1, 0x01000000))
    assert card.selected == 0


@pytest.mark.parametrize("length", [0, 1, 3])
def test_settings_of_another_length_are_refused(length: int):
    with pytest.raises(CardProtocolError, match="2 bytes"):
        ApplicationSettings.parse(bytes(length))


@pytest.mark.parametrize("change_key", [-1, 16])
def test_settings_that_no_byte_holds_are_the_callers_mistake(change_key: int):
    with pytest.raises(ValueError, match="four bits"):
        KeySettings(change_key=change_key).encode()


def test_keys_of_an_application_do_not_change_their_type():
    card = DesfireCard()
    card.selected, card.session = 1, Session(0, messaging_of(EV1))
    with pytest.raises(ValueError, match="one type"):
        next(
            card.change_key(1, DesfireKey.zero(KeyType.AES), old_key=DesfireKey.zero(KeyType.TDEA3))
        )
    assert card.session is not None
