"""Commands on files, values, records and transactions: how they travel, and what is refused."""

from collections.abc import Callable
from typing import Any

import pytest
from Crypto.Cipher import AES, DES
from Crypto.Hash import CMAC
from hypothesis import given
from hypothesis import strategies as st

from cardd.desfire.card import DesfireCard
from cardd.desfire.channel import Session
from cardd.desfire.command import CommunicationMode
from cardd.desfire.crc import crc16, crc32
from cardd.desfire.files import (
    FREE,
    AccessRights,
    DataFileSettings,
    RecordFileSettings,
    ValueFileSettings,
)
from cardd.errors import CardProtocolError, CardStatusError
from cardd.iso7816.exchange import Exchange
from tests.desfire.odd_answers import odd_answers
from tests.desfire.recorded_card import (
    Playback,
    call,
    card_of,
    frames_of,
    load,
    messaging_of,
    play,
    recording_name,
    shown,
    unwrapped,
    wrapped,
)
from tests.examples import examples

pytestmark = pytest.mark.unit

PLAIN, MAC, FULL = CommunicationMode.PLAIN, CommunicationMode.MAC, CommunicationMode.FULL
ACCESS = AccessRights(read=1, write=2, read_write=3, change=0)
OK = unwrapped("00")
KEY = bytes(range(16))
SINGLE_DES = bytes(range(0, 16, 2))
ENCRYPTION, MAC_KEY = b"\x11" * 16, b"\x22" * 16
D40 = {"kind": "d40", "type": "TDEA2", "key": (SINGLE_DES * 2).hex()}
EV1 = {"kind": "ev1", "type": "AES", "key": KEY.hex()}
EV2 = {
    "kind": "ev2",
    "encryption": ENCRYPTION.hex(),
    "mac": MAC_KEY.hex(),
    "transaction": "01020304",
    "counter": 7,
}
PLAIN_RECORDINGS = load("desfire_reader_plain.json")


def card_in(session: dict[str, Any] | None) -> DesfireCard:
    card = DesfireCard()
    card.selected = 1
    card.session = Session(0, messaging_of(session)) if session else None
    return card


def sent_by(exchange: Exchange[Any]) -> bytes:
    (command,) = next(exchange)
    return command


def native(ins: int, body: bytes) -> bytes:
    return wrapped((bytes((ins,)) + body).hex())


def ev1_mac(message: bytes, iv: bytes = bytes(16)) -> bytes:
    """Return the CMAC that moves EV1's vector: NIST's, whose first block takes the vector in."""
    first = bytes(a ^ b for a, b in zip(message.ljust(16, b"\x00"), iv, strict=False))
    if any(iv):
        assert len(message) > 16, "a short message is padded before the vector is taken in"
    return CMAC.new(KEY, first + message[16:] if any(iv) else message, ciphermod=AES).digest()


def ev2_mac(first: int, body: bytes, *, counter: int) -> bytes:
    message = bytes((first,)) + counter.to_bytes(2, "little") + bytes.fromhex("01020304") + body
    return CMAC.new(MAC_KEY, message, ciphermod=AES).digest()[1::2]


def ev2_cipher(label: str, counter: int) -> Any:
    block = bytes.fromhex(label + "01020304") + counter.to_bytes(2, "little") + bytes(8)
    iv = AES.new(ENCRYPTION, AES.MODE_ECB).encrypt(block)
    return AES.new(ENCRYPTION, AES.MODE_CBC, iv)


@pytest.mark.parametrize("recording", PLAIN_RECORDINGS, ids=recording_name)
def test_what_is_published_without_a_session_is_sent_and_understood(recording: dict[str, Any]):
    for exchange in recording["exchanges"]:
        playback = Playback(frames_of(exchange))
        result = shown(play(call(card_of(recording), exchange), playback.transmit))
        assert result == exchange.get("result")
        assert playback.position == len(playback.frames)


CHANGES = {
    0x0C: lambda card, mode: card.credit(4, 0x01020304, mode),
    0xDC: lambda card, mode: card.debit(4, 0x01020304, mode),
    0x1C: lambda card, mode: card.limited_credit(4, 0x01020304, mode),
}
AMOUNT = bytes.fromhex("04030201")


@pytest.mark.parametrize("ins", CHANGES)
def test_d40_protects_the_amount_alone(ins: int):
    des = DES.new(SINGLE_DES, DES.MODE_ECB)  # noqa: S304 - what D40 is
    change = CHANGES[ins]
    assert sent_by(change(card_in(D40), PLAIN)) == native(ins, b"\x04" + AMOUNT)
    mac = des.encrypt(AMOUNT + bytes(4))[:4]
    assert sent_by(change(card_in(D40), MAC)) == native(ins, b"\x04" + AMOUNT + mac)
    enciphered = des.decrypt(AMOUNT + crc16(AMOUNT) + bytes(2))
    assert sent_by(change(card_in(D40), FULL)) == native(ins, b"\x04" + enciphered)


@pytest.mark.parametrize("ins", CHANGES)
def test_ev1_protects_the_amount_with_its_command(ins: int):
    head, change = bytes((ins, 4)), CHANGES[ins]
    assert sent_by(change(card_in(EV1), PLAIN)) == native(ins, b"\x04" + AMOUNT)
    mac = ev1_mac(head + AMOUNT)[:8]
    assert sent_by(change(card_in(EV1), MAC)) == native(ins, b"\x04" + AMOUNT + mac)
    plaintext = AMOUNT + crc32(head + AMOUNT) + bytes(8)
    enciphered = AES.new(KEY, AES.MODE_CBC, bytes(16)).encrypt(plaintext)
    assert sent_by(change(card_in(EV1), FULL)) == native(ins, b"\x04" + enciphered)


@pytest.mark.parametrize("ins", CHANGES)
def test_ev2_protects_the_amount_with_its_command_and_counter(ins: int):
    change = CHANGES[ins]
    assert sent_by(change(card_in(EV2), PLAIN)) == native(ins, b"\x04" + AMOUNT)
    body = b"\x04" + AMOUNT
    mac = ev2_mac(ins, body, counter=7)
    assert sent_by(change(card_in(EV2), MAC)) == native(ins, body + mac)
    body = b"\x04" + ev2_cipher("A55A", 7).encrypt(AMOUNT + b"\x80" + bytes(11))
    mac = ev2_mac(ins, body, counter=7)
    assert sent_by(change(card_in(EV2), FULL)) == native(ins, body + mac)


@pytest.mark.parametrize("value", [0, 1, -1, -(2**31), 2**31 - 1])
def test_a_value_is_read_in_each_mechanism(value: int):
    data = value.to_bytes(4, "little", signed=True)
    assert play(card_in(None).get_value(4, PLAIN), lambda _: data + OK) == value

    des = DES.new(SINGLE_DES, DES.MODE_ECB)  # noqa: S304 - what D40 is
    answer = des.encrypt(data + crc16(data) + bytes(2)) + OK
    assert play(card_in(D40).get_value(4, FULL), lambda _: answer) == value

    # The command's CMAC, though not sent, is the vector of the answer.
    cipher = AES.new(KEY, AES.MODE_CBC, ev1_mac(b"\x6c\x04"))
    answer = cipher.encrypt(data + crc32(data + b"\x00") + bytes(8)) + OK
    assert play(card_in(EV1).get_value(4, FULL), lambda _: answer) == value

    enciphered = ev2_cipher("5AA5", 8).encrypt(data + b"\x80" + bytes(11))
    answer = enciphered + ev2_mac(0, enciphered, counter=8) + OK
    assert play(card_in(EV2).get_value(4, FULL), lambda _: answer) == value


def test_plain_data_in_an_ev1_session_still_answers_with_a_mac():
    card, data = card_in(EV1), bytes(range(20))
    exchange = card.read_data(1, 0, 20, PLAIN)
    assert sent_by(exchange) == wrapped("BD 01 000000 140000")
    iv = ev1_mac(bytes.fromhex("BD 01 000000 140000"))
    with pytest.raises(StopIteration) as stop:
        exchange.send((data + ev1_mac(data + b"\x00", iv)[:8] + OK,))
    assert stop.value.value == data
    exchange = card_in(EV1).read_data(1, 0, 20, PLAIN)
    next(exchange)
    with pytest.raises(CardProtocolError):
        exchange.send((data + OK,))


@pytest.mark.parametrize("session", [None, D40, EV2], ids=["none", "d40", "ev2"])
def test_plain_data_answers_without_a_mac_otherwise(session: dict[str, Any] | None):
    card = card_in(session)
    assert play(card.read_data(1, 0, 3, PLAIN), lambda _: b"abc" + OK) == b"abc"


def test_the_end_of_a_transaction_carries_a_mac_under_ev2():
    for ins, end in (
        (0xC7, DesfireCard.commit_transaction),
        (0xA7, DesfireCard.abort_transaction),
    ):
        command = sent_by(end(card_in(EV2)))
        assert command == native(ins, ev2_mac(ins, b"", counter=7))
        assert sent_by(end(card_in(EV1))) == native(ins, b"")


def test_nothing_to_commit_is_told_from_success():
    with pytest.raises(CardStatusError) as refusal:
        play(card_in(None).commit_transaction(), lambda _: unwrapped("0C"))
    assert refusal.value.facts["name"] == "NO_CHANGES"


@pytest.mark.parametrize("session", [D40, EV1, EV2], ids=["d40", "ev1", "ev2"])
def test_settings_are_changed_enciphered_but_where_the_right_is_free(session: dict[str, Any]):
    clear = wrapped("5F 03 01 3012")
    enciphered = sent_by(card_in(session).change_file_settings(3, MAC, ACCESS))
    assert enciphered[:2] + enciphered[5:6] == clear[:2] + clear[5:6]
    assert clear[6:9] not in enciphered
    free = card_in(session).change_file_settings(3, MAC, ACCESS, change_is_free=True)
    assert sent_by(free) == clear


def test_settings_travel_enciphered_under_ev1_with_a_crc_over_the_command():
    command = sent_by(card_in(EV1).change_file_settings(3, MAC, ACCESS))
    plaintext = AES.new(KEY, AES.MODE_CBC, bytes(16)).decrypt(command[6:-1])
    data = bytes.fromhex("01 3012")
    assert plaintext == data + crc32(b"\x5f\x03" + data) + bytes(9)


def test_settings_travel_enciphered_under_d40_with_a_crc_over_themselves():
    command = sent_by(card_in(D40).change_file_settings(3, MAC, ACCESS))
    data = bytes.fromhex("01 3012")
    des = DES.new(SINGLE_DES, DES.MODE_ECB)  # noqa: S304 - what D40 is
    assert command == native(0x5F, b"\x03" + des.decrypt(data + crc16(data) + bytes(3)))


def test_further_access_rights_follow_their_count():
    change = card_in(None).change_file_settings(
        3, MAC, ACCESS, additional=(ACCESS, AccessRights(4, 5, 6, 7)), change_is_free=True
    )
    assert sent_by(change) == wrapped("5F 03 81 3012 02 3012 6745")


FILES = {
    0xCD: DataFileSettings(PLAIN, ACCESS, 32),
    0xCB: DataFileSettings(PLAIN, ACCESS, 32, backup=True),
    0xC1: RecordFileSettings(PLAIN, ACCESS, 32, 4),
    0xC0: RecordFileSettings(PLAIN, ACCESS, 32, 4, cyclic=True),
}


@pytest.mark.parametrize("ins", FILES)
def test_an_iso_identifier_follows_the_file_number(ins: int):
    command = sent_by(card_in(None).create_file(3, FILES[ins], iso_file_id=0x1234))
    assert command == native(ins, bytes.fromhex("03 3412") + FILES[ins].encode())


def test_iso_identifiers_are_listed():
    answer = unwrapped("00 3412 4523 5634 6745")
    expected = (0x1234, 0x2345, 0x3456, 0x4567)
    assert play(card_in(None).get_iso_file_ids(), lambda _: answer) == expected


@pytest.mark.parametrize("session", [None, EV2], ids=["none", "ev2"])
def test_records_are_cut_where_they_end_and_the_oldest_comes_first(session: dict[str, Any] | None):
    records = (b"oldest..", b"middle..", b"newest..")
    data, mode = b"".join(records), FULL if session else PLAIN
    answer = data
    if session:
        enciphered = ev2_cipher("5AA5", 8).encrypt(data + b"\x80" + bytes(7))
        answer = enciphered + ev2_mac(0, enciphered, counter=8)
    card = card_in(session)
    assert play(card.read_records(2, 0, 3, 8, mode), lambda _: answer + OK) == records


@pytest.mark.parametrize("length", [0, 15, 17, 32])
def test_records_of_another_length_are_refused(length: int):
    card = card_in(EV2)
    answer = bytes(length) + ev2_mac(0, bytes(length), counter=8) + OK
    with pytest.raises(CardProtocolError):
        play(card.read_records(2, 0, 2, 8, MAC), lambda _: answer)
    assert card.session is None


def test_a_record_is_updated_by_its_number():
    command = sent_by(card_in(None).update_record(2, 1, 3, b"\xaa\xbb", PLAIN))
    assert command == wrapped("DB 02 010000 030000 020000 AABB")


def test_a_long_record_travels_in_frames():
    data, sent = bytes(range(200)), []

    def answer(apdu: bytes) -> bytes:
        sent.append(apdu)
        return unwrapped("AF") if len(b"".join(part[5:-1] for part in sent)) < 207 else OK

    play(card_in(None).write_record(2, 0, data, PLAIN), answer)
    assert [part[1] for part in sent] == [0x3B] + [0xAF] * (len(sent) - 1)
    body = b"".join(part[5:-1] for part in sent)
    assert body == bytes.fromhex("02 000000 C80000") + data


MISTAKES: dict[str, Callable[[DesfireCard], Exchange[Any]]] = {
    "a protected value without a session": lambda card: card.get_value(1, FULL),
    "a MACed write without a session": lambda card: card.write_data(1, 0, b"x", MAC),
    "a protected change without a session": lambda card: card.change_file_settings(
        1, PLAIN, ACCESS
    ),
    "a negative amount": lambda card: card.credit(1, -1, PLAIN),
    "an amount of 32 bits": lambda card: card.debit(1, 2**31, PLAIN),
    "a file of a value file that is none": lambda card: card.get_value(32, PLAIN),
    "a record of nothing": lambda card: card.write_record(1, 0, b"", PLAIN),
    "an update by nothing": lambda card: card.update_record(1, 0, 0, b"", PLAIN),
    "no record": lambda card: card.read_records(1, 0, 0, 16, PLAIN),
    "records without bytes": lambda card: card.read_records(1, 0, 1, 0, PLAIN),
    "more than a file holds": lambda card: card.read_records(1, 0, 2**16, 2**16, PLAIN),
    "a record number of four bytes": lambda card: card.read_records(1, 2**24, 1, 16, PLAIN),
    "a value file with an ISO identifier": lambda card: card.create_file(
        1, ValueFileSettings(PLAIN, ACCESS, 0, 1, 0), iso_file_id=0x1234
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_callers_mistake_on_a_file_sends_nothing(mistake: str):
    with pytest.raises((ValueError, RuntimeError)):
        next(MISTAKES[mistake](DesfireCard()))


COMMANDS: dict[str, Callable[[DesfireCard, CommunicationMode], Exchange[Any]]] = {
    "get_value": lambda card, mode: card.get_value(1, mode),
    "credit": lambda card, mode: card.credit(1, 5, mode),
    "read_records": lambda card, mode: card.read_records(1, 0, 3, 10, mode),
    "write_record": lambda card, mode: card.write_record(1, 0, bytes(100), mode),
    "update_record": lambda card, mode: card.update_record(1, 0, 0, bytes(100), mode),
    "clear_record_file": lambda card, _: card.clear_record_file(1),
    "commit_transaction": lambda card, _: card.commit_transaction(),
    "abort_transaction": lambda card, _: card.abort_transaction(),
    "get_iso_file_ids": lambda card, _: card.get_iso_file_ids(),
    "change_file_settings": lambda card, mode: card.change_file_settings(
        1, PLAIN, ACCESS, change_is_free=mode is PLAIN
    ),
    "create_file": lambda card, _: card.create_file(
        1, ValueFileSettings(FULL, AccessRights(FREE, FREE, FREE, FREE), 0, 9, 0)
    ),
}
SESSIONS: dict[str, dict[str, Any] | None] = {"none": None, "d40": D40, "ev1": EV1, "ev2": EV2}


@pytest.mark.fuzz
@given(
    answers=odd_answers(8),
    session=st.sampled_from(sorted(SESSIONS)),
    name=st.sampled_from(sorted(COMMANDS)),
    mode=st.sampled_from(CommunicationMode),
    last=st.sampled_from([b"\x00\x91\xaf", b"\x91\xaf", b"\x91\x00", b"\x00\x91\x00"]),
)
@examples(1000)
def test_arbitrary_answers_on_files_give_a_result_or_a_documented_error(
    answers: list[bytes], session: str, name: str, mode: CommunicationMode, last: bytes
):
    card, remaining, sent = card_in(SESSIONS[session]), iter(answers), 0
    mode = mode if card.session else PLAIN

    def transmit(_: bytes) -> bytes:
        nonlocal sent
        sent += 1
        assert sent < 100, "the exchange does not end"
        return next(remaining, last)

    try:
        play(COMMANDS[name](card, mode), transmit)
    except (CardStatusError, CardProtocolError):
        assert card.session is None
    else:
        # Nobody guesses a MAC, and EV1 has one on every answer.
        assert session != "ev1"
