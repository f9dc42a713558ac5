"""UIDs of every length, the signature, and what SetConfiguration sends."""

from typing import Any

import pytest
from Crypto.Cipher import AES, DES3
from Crypto.Hash import CMAC

from cardd.desfire.card import DesfireCard
from cardd.desfire.channel import Session
from cardd.desfire.crc import crc16, crc32
from cardd.desfire.version import Product, Version, parse_uid
from cardd.errors import CardProtocolError, CardStatusError
from tests.desfire.recorded_card import load, messaging_of, play, unwrapped, wrapped
from tests.desfire.test_d40 import received_by_a_card

pytestmark = pytest.mark.unit

AES_KEY = bytes(range(16))
TDEA_KEY = bytes(range(0, 32, 2))
EV1 = {"kind": "ev1", "type": "AES", "key": AES_KEY.hex()}
D40 = {"kind": "d40", "type": "TDEA2", "key": TDEA_KEY.hex()}
UIDS = [bytes.fromhex("04112233"), bytes.fromhex("04112233445566"), bytes(range(4, 14))]


def authenticated(session: dict[str, Any]) -> DesfireCard:
    card = DesfireCard()
    card.session = Session(0, messaging_of(session))
    return card


def field_of(uid: bytes) -> bytes:
    return uid if len(uid) == 7 else bytes((0, len(uid))) + uid


@pytest.mark.parametrize("uid", UIDS, ids=len)
def test_the_version_tells_a_uid_of_each_length(uid: bytes):
    parts = ["AF 04010112001805", "AF 04010102011805", f"00 {field_of(uid).hex()} CEECD35D60 2119"]
    answers = iter([unwrapped(part) for part in parts])
    version = play(DesfireCard().get_version(), lambda _: next(answers))
    assert version.uid == uid
    assert version.batch == bytes.fromhex("CEECD35D60")
    assert (version.production_week, version.production_year) == (0x21, 0x19)
    assert version.product is Product.EV2


@pytest.mark.parametrize("uid", UIDS, ids=len)
def test_an_ev1_session_deciphers_a_uid_of_each_length(uid: bytes):
    card = authenticated(EV1)
    exchange = card.get_card_uid()
    assert next(exchange) == (wrapped("51"),)
    iv = card_mac(b"\x51")
    field = field_of(uid)
    plaintext = (field + crc32(field + b"\x00")).ljust(16, b"\x00")
    answer = AES.new(AES_KEY, AES.MODE_CBC, iv).encrypt(plaintext) + unwrapped("00")
    with pytest.raises(StopIteration) as stop:
        exchange.send((answer,))
    assert stop.value.value == uid


def card_mac(message: bytes) -> bytes:
    return CMAC.new(AES_KEY, message, ciphermod=AES).digest()


@pytest.mark.parametrize("uid", UIDS, ids=len)
def test_a_d40_session_deciphers_a_uid_of_each_length(uid: bytes):
    field = field_of(uid)
    plaintext = field + crc16(field)
    ciphertext = DES3.new(TDEA_KEY, DES3.MODE_CBC, bytes(8)).encrypt(
        plaintext + bytes(-len(plaintext) % 8)
    )
    answer = ciphertext + unwrapped("00")
    assert play(authenticated(D40).get_card_uid(), lambda _: answer) == uid


@pytest.mark.parametrize("field", ["000511223344", "0007" + "11" * 7, "000B" + "11" * 10, "00", ""])
def test_a_field_that_is_no_uid_is_refused(field: str):
    with pytest.raises(CardProtocolError, match="UID"):
        parse_uid(bytes.fromhex(field))


def test_a_uid_that_means_nothing_ends_the_session():
    field = bytes.fromhex("000511223344")
    ciphertext = DES3.new(TDEA_KEY, DES3.MODE_CBC, bytes(8)).encrypt(field + crc16(field))
    card = authenticated(D40)
    with pytest.raises(CardProtocolError, match="UID"):
        play(card.get_card_uid(), lambda _: ciphertext + unwrapped("00"))
    assert card.session is None


@pytest.mark.parametrize("status", ["90", "00"])
def test_the_signature_may_come_with_either_status(status: str):
    signature = bytes.fromhex(load("desfire_originality.json")[0]["signature"])

    def answer(command: bytes) -> bytes:
        assert command == wrapped("3C 00")
        return signature + unwrapped(status)

    assert play(DesfireCard().read_signature(), answer) == signature


def test_no_other_command_succeeds_with_the_signatures_status():
    with pytest.raises(CardStatusError) as refusal:
        play(DesfireCard().free_memory(), lambda _: bytes(3) + unwrapped("90"))
    assert refusal.value.status == 0x9190


@pytest.mark.parametrize("length", [0, 55, 57])
def test_a_signature_of_another_length_is_refused(length: int):
    with pytest.raises(CardProtocolError):
        play(DesfireCard().read_signature(), lambda _: bytes(length) + unwrapped("90"))


def test_the_signature_is_read_outside_of_a_session():
    card = authenticated(EV1)
    with pytest.raises(RuntimeError, match="before authentication"):
        next(card.read_signature())
    assert card.session is not None


def sent_in_clear(exchange: Any, session: dict[str, Any]) -> tuple[int, bytes]:
    """Return the option and the deciphered plaintext of a SetConfiguration."""
    (command,) = next(exchange)
    assert command[1] == 0x5C
    body = command[5:-1]
    if session is D40:
        return body[0], received_by_a_card(body[1:], DES3.new(TDEA_KEY, DES3.MODE_ECB))
    return body[0], AES.new(AES_KEY, AES.MODE_CBC, bytes(16)).decrypt(body[1:])


@pytest.mark.parametrize(
    ("settings", "byte"),
    [
        ({"format_disabled_for_ever": True}, 0x01),
        ({"random_uid_for_ever": True}, 0x02),
        ({"format_disabled_for_ever": True, "random_uid_for_ever": True}, 0x03),
    ],
)
def test_what_is_for_ever_is_sent_enciphered(settings: dict[str, bool], byte: int):
    data = bytes((byte,))
    ev1 = sent_in_clear(authenticated(EV1).set_picc_configuration(**settings), EV1)
    assert ev1 == (0, (data + crc32(b"\x5c\x00" + data)).ljust(16, b"\x00"))
    d40 = sent_in_clear(authenticated(D40).set_picc_configuration(**settings), D40)
    assert d40 == (0, (data + crc16(data)).ljust(8, b"\x00"))


def test_nothing_is_set_for_ever_by_accident():
    with pytest.raises(ValueError, match="for ever"):
        next(authenticated(EV1).set_picc_configuration())
    with pytest.raises(TypeError):
        authenticated(EV1).set_picc_configuration(True)  # type: ignore[misc]


ATS = bytes.fromhex("067577810280")


def test_an_ats_is_sent_with_a_marked_end():
    option, plaintext = sent_in_clear(authenticated(EV1).set_ats(ATS), EV1)
    assert (option, plaintext) == (2, ATS + crc32(b"\x5c\x02" + ATS) + b"\x80" + bytes(5))
    option, plaintext = sent_in_clear(authenticated(D40).set_ats(ATS), D40)
    assert (option, plaintext) == (2, ATS + crc16(ATS) + b"\x80" + bytes(7))


@pytest.mark.parametrize(
    "ats", ["", "01", "077577810280", "0275", "0375FF", "06F577810280", "12" + "05" + "00" * 16]
)
def test_a_malformed_ats_is_never_sent(ats: str):
    with pytest.raises(ValueError, match="ATS"):
        next(authenticated(EV1).set_ats(bytes.fromhex(ats)))


@pytest.mark.parametrize("ats", ["0205", "0575778102", "1475778102" + "00" * 15])
def test_an_ats_without_or_with_all_historical_bytes_is_sent(ats: str):
    assert next(authenticated(EV1).set_ats(bytes.fromhex(ats)))


@pytest.mark.parametrize("length", [0, 26, 34])
def test_a_version_of_another_length_is_refused(length: int):
    with pytest.raises(CardProtocolError, match="GET_VERSION"):
        Version.parse(bytes(length))
