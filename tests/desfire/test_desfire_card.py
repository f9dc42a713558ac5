"""What the card's methods put on the air, and how they end."""

from typing import Any

import pytest
from Crypto.Cipher import AES, DES
from Crypto.Hash import CMAC

from cardd.desfire.applications import ApplicationSettings, KeySettings
from cardd.desfire.authentication import AuthenticationScheme, Ev2FirstHandshake
from cardd.desfire.card import DesfireCard
from cardd.desfire.channel import Session
from cardd.desfire.command import CommunicationMode
from cardd.desfire.crc import crc32
from cardd.desfire.file_settings import parse_file_settings
from cardd.desfire.files import NEVER, AccessRights, DataFileSettings
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.desfire.status import Status
from cardd.desfire.version import Product
from cardd.errors import CardProtocolError, CardStatusError
from cardd.iso7816.exchange import Exchange
from cardd.secret import Secret
from tests.desfire.recorded_card import load, messaging_of, play, unwrapped, wrapped

pytestmark = pytest.mark.unit

AES_ZERO = DesfireKey.zero(KeyType.AES)
OK = unwrapped("00")
EV1_DES = {"kind": "ev1", "type": "TDEA2", "key": "00" * 16}
EV1_AES = {"kind": "ev1", "type": "AES", "key": "00" * 16}
EV2 = {
    "kind": "ev2",
    "encryption": "11" * 16,
    "mac": "22" * 16,
    "transaction": "01020304",
    "counter": 7,
}


def authenticated(session: dict[str, Any], *, selected: int = 0, key_number: int = 0):
    card = DesfireCard()
    card.selected = selected
    card.session = Session(key_number, messaging_of(session))
    return card


def steps_of(exchange: Exchange[Any], *answers: bytes) -> list[tuple[bytes, ...]]:
    """Drive an exchange with answers in order and return what it yielded, step by step."""
    remaining, steps = iter(answers), []
    try:
        commands = next(exchange)
        while True:
            steps.append(commands)
            commands = exchange.send(tuple(next(remaining) for _ in commands))
    except StopIteration:
        return steps


@pytest.mark.parametrize(
    ("scheme", "file", "source"),
    [
        (AuthenticationScheme.AES, "desfire_reader_ev1.json", "AN0945 table 22"),
        (AuthenticationScheme.EV2_FIRST, "desfire_reader_ev2.json", "AN12343 table 16"),
    ],
)
def test_a_tap_is_three_commands_in_two_steps(scheme: AuthenticationScheme, file: str, source: str):
    (exchange,) = next(each for each in load(file) if each["source"] == source)["exchanges"]
    (first, challenge), (second, proof) = exchange["frames"]
    card = DesfireCard()
    rnd_a = bytes.fromhex(exchange["arguments"]["rnd_a"])
    steps = steps_of(
        card.select_and_authenticate(0xF58A3C, 0, AES_ZERO, scheme, rnd_a=rnd_a),
        OK,
        unwrapped(challenge),
        unwrapped(proof),
    )
    assert steps == [(wrapped("5A 3C8AF5"), wrapped(first)), (wrapped(second),)]
    assert card.selected == 0xF58A3C
    assert card.session is not None


def test_a_card_that_does_not_share_the_key_is_told_from_a_malformed_answer():
    card = DesfireCard()
    with pytest.raises(CardStatusError) as refusal:
        steps_of(card.authenticate_aes(1, AES_ZERO), unwrapped("AF" + "00" * 16), unwrapped("AE"))
    assert refusal.value.status == Status.AUTHENTICATION_ERROR.word == 0x91AE
    assert refusal.value.facts["command"] == "AUTHENTICATE_AES"
    with pytest.raises(CardProtocolError):
        steps_of(card.authenticate_aes(1, AES_ZERO), unwrapped("AF" + "00" * 15))


def test_a_failed_selection_stops_a_tap_and_leaves_no_selection():
    card = DesfireCard()
    exchange = card.select_and_authenticate(1, 0, AES_ZERO, AuthenticationScheme.AES)
    with pytest.raises(CardStatusError) as refusal:
        steps_of(exchange, unwrapped("A0"), unwrapped("AF" + "00" * 16))
    assert refusal.value.status == Status.APPLICATION_NOT_FOUND.word
    assert card.selected is None
    with pytest.raises(RuntimeError, match="select"):
        next(card.authenticate_aes(0, AES_ZERO))


@pytest.mark.parametrize(
    ("answer", "name"),
    [("919D", "PERMISSION_DENIED"), ("9142", "9142"), ("6E00", "6E00"), ("00006700", "6700")],
)
def test_an_error_status_says_its_name_and_the_command(answer: str, name: str):
    with pytest.raises(CardStatusError, match="FREE_MEM") as refusal:
        steps_of(DesfireCard().free_memory(), bytes.fromhex(answer))
    assert refusal.value.facts["name"] == name
    assert refusal.value.status == int(answer[-4:], 16)


@pytest.mark.parametrize("answer", ["9000", "0000009000", "6D", "", "FFFF", "1234"])
def test_an_answer_that_no_desfire_gives_is_malformed(answer: str):
    with pytest.raises(CardProtocolError):
        steps_of(DesfireCard().free_memory(), bytes.fromhex(answer))


def test_the_version_comes_in_three_frames():
    # The hardware and software parts are those of a real EV1 (Elmue); the rest is invented.
    card, result = DesfireCard(), None

    def read() -> Exchange[None]:
        nonlocal result
        result = yield from card.get_version()

    steps = steps_of(
        read(),
        unwrapped("AF 04010101001A05"),
        unwrapped("AF 04010101041A05"),
        unwrapped("00 04DE5F1EACC040 BA53A60D20 1826"),
    )
    assert steps == [(wrapped("60"),), (wrapped("AF"),), (wrapped("AF"),)]
    assert result is not None
    assert result.product is Product.EV1
    assert (result.hardware.storage, result.software.minor) == (0x1A, 4)
    assert result.uid == bytes.fromhex("04DE5F1EACC040")
    assert (result.production_week, result.production_year) == (0x18, 0x26)


def test_a_long_write_travels_in_frames_that_the_smallest_product_takes():
    data = bytes(range(120))
    steps = steps_of(
        DesfireCard().write_data(1, 2, data, CommunicationMode.PLAIN),
        unwrapped("AF"),
        unwrapped("AF"),
        OK,
    )
    header = bytes.fromhex("01 020000 780000")
    sent = [command for (command,) in steps]
    assert [command[1] for command in sent] == [0x3D, 0xAF, 0xAF]
    assert b"".join(command[5:-1] for command in sent) == header + data
    assert all(len(command) <= 60 for command in sent)


@pytest.mark.parametrize("answer", ["00", "AF 00", "7E"])
def test_a_long_write_that_the_card_interrupts_is_refused(answer: str):
    with pytest.raises((CardProtocolError, CardStatusError)):
        steps_of(
            DesfireCard().write_data(1, 0, bytes(120), CommunicationMode.PLAIN), unwrapped(answer)
        )


def test_ev2_enciphers_the_default_key_and_its_version():
    card = authenticated(EV2)
    value = bytes(range(16))
    exchange = card.set_default_key(DesfireKey(KeyType.AES, Secret(value), 9))
    ((command,),) = steps_of(exchange, ev2_answer(b"", counter=8))
    assert command[1:6] == bytes.fromhex("5C 00 00 29 01")
    ecb = AES.new(b"\x11" * 16, AES.MODE_ECB)
    iv = ecb.encrypt(bytes.fromhex("A55A 01020304 0700") + bytes(8))
    plaintext = AES.new(b"\x11" * 16, AES.MODE_CBC, iv).decrypt(command[6:38])
    assert plaintext == value + bytes(8) + b"\x09\x80" + bytes(6)


def test_ev1_enciphers_the_default_key_its_version_and_a_crc():
    card = authenticated(EV1_DES)
    value = bytes(range(16))
    exchange = card.set_default_key(DesfireKey(KeyType.AES, Secret(value), 9))
    (command,) = next(exchange)
    assert command[1:6] == bytes.fromhex("5C 00 00 21 01")
    session_cipher = DES.new(bytes(8), DES.MODE_CBC, bytes(8))  # noqa: S304 - what a blank has
    plaintext = session_cipher.decrypt(command[6:-1])
    body = value + bytes(8) + b"\x09"
    assert plaintext == body + crc32(b"\x5c\x01" + body) + bytes(3)


def test_plain_ev2_data_carries_no_mac_but_counts():
    card = authenticated(EV2, selected=1)
    steps = steps_of(card.read_data(1, 0, 2, CommunicationMode.PLAIN), unwrapped("00 ABCD"))
    assert steps == [(wrapped("BD 01 000000 020000"),)]
    ((command,),) = steps_of(card.get_file_ids(), ev2_answer(b"", counter=9))
    assert command == wrapped("6F" + ev2_mac(b"\x6f", counter=8).hex())


def ev2_mac(first: bytes, *, counter: int, data: bytes = b"") -> bytes:
    message = first + counter.to_bytes(2, "little") + bytes.fromhex(EV2["transaction"]) + data
    return CMAC.new(b"\x22" * 16, message, ciphermod=AES).digest()[1::2]


def ev2_answer(data: bytes, *, counter: int) -> bytes:
    return data + ev2_mac(b"\x00", counter=counter, data=data) + OK


def test_an_ev2_answer_of_the_wrong_length_is_refused_though_its_mac_is_right():
    card = authenticated(EV2, selected=1)
    with pytest.raises(CardProtocolError, match="carries 3 bytes"):
        steps_of(card.read_data(1, 0, 2, CommunicationMode.MAC), ev2_answer(b"abc", counter=8))
    assert card.session is None


@pytest.mark.parametrize("plaintext", [bytes(16), b"\x01" * 16, b"\x80" + bytes(14) + b"\x01"])
def test_an_ev2_answer_of_the_wrong_padding_is_refused_though_its_mac_is_right(plaintext: bytes):
    iv = AES.new(b"\x11" * 16, AES.MODE_ECB).encrypt(bytes.fromhex("5AA5 01020304 0800") + bytes(8))
    ciphertext = AES.new(b"\x11" * 16, AES.MODE_CBC, iv).encrypt(plaintext)
    card = authenticated(EV2)
    with pytest.raises(CardProtocolError, match="padding"):
        steps_of(card.get_card_uid(), ev2_answer(ciphertext, counter=8))
    assert card.session is None


@pytest.mark.parametrize("length", [1, 15, 17])
def test_an_ev2_answer_that_is_not_whole_blocks_is_refused_though_its_mac_is_right(length: int):
    card = authenticated(EV2)
    with pytest.raises(CardProtocolError, match="whole blocks"):
        steps_of(card.get_card_uid(), ev2_answer(bytes(length), counter=8))


def test_a_spent_counter_ends_the_session_before_anything_is_sent():
    card = authenticated({**EV2, "counter": 0xFFFF})
    with pytest.raises(CardProtocolError, match="counter"):
        next(card.get_file_ids())
    assert card.session is None


def test_deleting_the_selected_application_selects_the_picc():
    card = authenticated(EV2, selected=0xF58A3C)
    steps_of(card.delete_application(0xF58A3C), ev2_answer(b"", counter=8))
    assert (card.selected, card.session) == (0, None)


def test_deleting_another_application_changes_nothing_here():
    card = authenticated(EV2)
    steps_of(card.delete_application(0xF58A3C), ev2_answer(b"", counter=8))
    assert card.selected == 0
    assert card.session is not None


def test_an_ev2_key_change_of_the_sessions_own_key_is_answered_without_mac():
    card = authenticated(EV2, selected=1, key_number=3)
    ((command,),) = steps_of(card.change_key(3, AES_ZERO), OK)
    assert command[5] == 3
    assert card.session is None


def test_pcd_capabilities_are_sent_and_must_come_back():
    # AN12196 table 14 with the longer form of its command: 9071000005 0003000000 00.
    recording = next(
        each for each in load("desfire_reader_ev2.json") if each["source"] == "AN12196 table 14"
    )
    (_, challenge), (_, proof) = recording["exchanges"][0]["frames"]
    rnd_a = bytes.fromhex(recording["exchanges"][0]["arguments"]["rnd_a"])
    handshakes = [
        Ev2FirstHandshake(0, AES_ZERO, rnd_a=rnd_a, capabilities=capabilities)
        for capabilities in (bytes(3), b"\x00\x00\x02")
    ]
    assert handshakes[0].first() == bytes.fromhex("00 03 000000")
    for handshake in handshakes:
        handshake.respond(bytes.fromhex(challenge)[1:])
    handshakes[0].finish(bytes.fromhex(proof)[1:])
    assert handshakes[0].picc_capabilities == bytes(6)
    with pytest.raises(CardProtocolError, match="capabilities"):
        handshakes[1].finish(bytes.fromhex(proof)[1:])


def test_each_authentication_draws_its_own_number():
    challenge = unwrapped("AF" + "00" * 16)
    answers = set()
    for _ in range(3):
        exchange = DesfireCard().authenticate_aes(0, AES_ZERO)
        next(exchange)
        answers.add(exchange.send((challenge,)))
    assert len(answers) == 3


def test_the_badges_settings_are_coded_as_the_data_sheet_codes_them():
    application = ApplicationSettings(KeySettings(), 2)
    assert application.encode() == bytes.fromhex("09 82")
    assert ApplicationSettings.parse(bytes.fromhex("09 82")) == application
    file = DataFileSettings(
        CommunicationMode.FULL,
        AccessRights(read=1, write=0, read_write=NEVER, change=0),
        size_bytes=32,
    )
    assert file.encode() == bytes.fromhex("03 F010 200000")
    assert parse_file_settings(b"\x00" + file.encode()) == file


def test_every_key_settings_byte_is_read_and_written_alike():
    assert [KeySettings.parse(byte).encode() for byte in range(256)] == list(range(256))


def test_every_access_right_is_read_and_written_alike():
    fields = [bytes((first, 0xFF - first)) for first in range(256)]
    assert [AccessRights.parse(field).encode() for field in fields] == fields


MISTAKES = {
    "a UID without a session": lambda card: card.get_card_uid(),
    "a protected read without a session": lambda card: card.read_data(
        1, 0, 1, CommunicationMode.MAC
    ),
    "a key change without a session": lambda card: card.change_key(0, AES_ZERO),
    "a continued authentication without a session": lambda card: card.authenticate_ev2_non_first(
        0, AES_ZERO
    ),
    "an AID of four bytes": lambda card: card.select_application(0x01000000),
    "a key number that is none": lambda card: card.authenticate_aes(14, AES_ZERO),
    "a file number that is none": lambda card: card.delete_file(32),
    "a read of nothing": lambda card: card.read_data(1, 0, 0, CommunicationMode.PLAIN),
    "a write of nothing": lambda card: card.write_data(1, 0, b"", CommunicationMode.PLAIN),
    "an AES key for DES": lambda card: card.authenticate_iso(0, AES_ZERO),
    "a DES key for AES": lambda card: card.authenticate_aes(0, DesfireKey.zero(KeyType.TDEA2)),
    "RndA of another length": lambda card: card.authenticate_aes(0, AES_ZERO, rnd_a=b"short"),
    "an application without keys": lambda card: card.create_application(
        1, ApplicationSettings(KeySettings(), 0)
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_callers_mistake_sends_nothing(mistake: str):
    with pytest.raises((ValueError, RuntimeError)):
        next(MISTAKES[mistake](DesfireCard()))


def test_another_key_is_not_changed_without_its_old_value():
    with pytest.raises(ValueError, match="old value"):
        next(authenticated(EV1_AES, selected=1).change_key(1, AES_ZERO))


def test_an_ev1_session_is_not_continued_by_ev2():
    with pytest.raises(RuntimeError, match="EV2"):
        next(authenticated(EV1_AES).authenticate_ev2_non_first(0, AES_ZERO))


def test_a_played_exchange_returns_its_result():
    assert play(DesfireCard().free_memory(), lambda _: unwrapped("00 001000")) == 0x1000
