"""Whatever a card answers, the reader's side refuses it with a documented error and ends."""

from collections.abc import Iterator
from typing import Any

import pytest
from Crypto.Cipher import AES
from Crypto.Hash import CMAC
from hypothesis import given
from hypothesis import strategies as st

from cardd.desfire.applications import ApplicationSettings, KeySettings
from cardd.desfire.authentication import AuthenticationScheme
from cardd.desfire.card import DesfireCard
from cardd.desfire.channel import Session
from cardd.desfire.command import CommunicationMode
from cardd.desfire.crc import crc32
from cardd.desfire.files import FREE, AccessRights, DataFileSettings
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.errors import CardProtocolError, CardStatusError
from cardd.iso7816.exchange import Exchange
from tests.desfire.odd_answers import odd_answers
from tests.desfire.recorded_card import (
    Playback,
    call,
    card_of,
    frames_of,
    messaging_of,
    play,
    recording_name,
    recordings,
)
from tests.examples import examples

pytestmark = pytest.mark.unit

REFUSALS = (CardStatusError, CardProtocolError)
AES_ZERO = DesfireKey.zero(KeyType.AES)
TDEA = DesfireKey.zero(KeyType.TDEA2)


def bit_flips(answer: bytes) -> Iterator[bytes]:
    number = int.from_bytes(answer)
    for bit in range(8 * len(answer)):
        yield (number ^ 1 << bit).to_bytes(len(answer))


def truncations(answer: bytes) -> Iterator[bytes]:
    return (answer[:length] for length in range(len(answer)))


def cuts_before_the_status(answer: bytes) -> Iterator[bytes]:
    return (answer[:length] + answer[-2:] for length in range(len(answer) - 2))


def extensions(answer: bytes) -> Iterator[bytes]:
    for length in (1, 7, 8, 15, 16, 32, 300):
        for byte in (b"\x00", b"\x80", answer[:1]):
            yield answer[:-2] + byte * length + answer[-2:]
            yield byte * length + answer


@pytest.mark.parametrize(
    "damage", [bit_flips, truncations, cuts_before_the_status, extensions], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("recording", recordings(), ids=recording_name)
def test_a_damaged_answer_of_a_recorded_session_is_refused(recording: dict[str, Any], damage: Any):
    for step, exchange in enumerate(recording["exchanges"]):
        frames = frames_of(exchange)
        for index, (command, answer) in enumerate(frames):
            for damaged in damage(answer):
                card = _card_before(recording, step)
                frames[index] = (command, damaged)
                with pytest.raises(REFUSALS):
                    play(call(card, exchange), Playback(frames).transmit)
                assert card.session is None
            frames[index] = (command, answer)


# D40 has no freshness: test_d40.py shows that a recorded answer passes again there.
FRESH = [each for each in recordings() if each.get("start", {}).get("kind") != "d40"]


@pytest.mark.parametrize("recording", FRESH, ids=recording_name)
def test_an_answer_played_again_is_refused(recording: dict[str, Any]):
    for step, exchange in enumerate(recording["exchanges"]):
        card = _card_before(recording, step)
        play(call(card, exchange), Playback(frames_of(exchange)).transmit)
        if card.session is None or exchange["call"].startswith("authenticate"):
            continue
        answers = iter([answer for _, answer in frames_of(exchange)])
        with pytest.raises(REFUSALS):
            play(call(card, exchange), lambda _, answers=answers: next(answers))
        assert card.session is None


@pytest.mark.parametrize(
    "recording",
    [each for each in recordings() if each["exchanges"][0]["call"].startswith("authenticate")],
    ids=recording_name,
)
def test_a_recorded_authentication_does_not_open_a_session_for_another_number(
    recording: dict[str, Any],
):
    card = _card_before(recording, 0)
    exchange = recording["exchanges"][0]
    fresh = {**exchange, "arguments": {**exchange["arguments"]}}
    del fresh["arguments"]["rnd_a"]
    answers = iter([answer for _, answer in frames_of(exchange)])
    with pytest.raises(CardProtocolError, match="did not prove"):
        play(call(card, fresh), lambda _: next(answers))
    assert card.session is None


def _card_before(recording: dict[str, Any], step: int) -> DesfireCard:
    card = card_of(recording)
    for exchange in recording["exchanges"][:step]:
        play(call(card, exchange), Playback(frames_of(exchange)).transmit)
    return card


SESSIONS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "d40": {"kind": "d40", "type": "TDEA2", "key": "00" * 16},
    "ev1 des": {"kind": "ev1", "type": "TDEA2", "key": "00" * 16},
    "ev1 aes": {"kind": "ev1", "type": "AES", "key": "00" * 16},
    "ev2": {
        "kind": "ev2",
        "encryption": "00" * 16,
        "mac": "00" * 16,
        "transaction": "00" * 4,
        "counter": 0,
    },
}

FILE = DataFileSettings(CommunicationMode.FULL, AccessRights(FREE, FREE, FREE, FREE), 32)

UNPROTECTED = {
    "get_version": lambda card: card.get_version(),
    "select_application": lambda card: card.select_application(0xF51234),
    "select_application of two": lambda card: card.select_application(0xF51234, 1),
    "get_df_names": lambda card: card.get_df_names(),
    "get_application_ids": lambda card: card.get_application_ids(),
    "create_application": lambda card: card.create_application(
        1, ApplicationSettings(KeySettings(), 2)
    ),
    "create_application with a name": lambda card: card.create_application(
        1, ApplicationSettings(KeySettings(), 2), iso_file_id=0xE110, df_name=b"badge"
    ),
    "delete_application": lambda card: card.delete_application(1),
    "authenticate_legacy": lambda card: card.authenticate_legacy(0, TDEA),
    "authenticate_iso": lambda card: card.authenticate_iso(0, TDEA),
    "authenticate_aes": lambda card: card.authenticate_aes(0, AES_ZERO),
    "authenticate_ev2_first": lambda card: card.authenticate_ev2_first(0, AES_ZERO),
    "select_and_authenticate": lambda card: card.select_and_authenticate(
        1, 1, AES_ZERO, AuthenticationScheme.EV2_FIRST
    ),
    "get_key_version": lambda card: card.get_key_version(0),
    "get_key_settings": lambda card: card.get_key_settings(),
    "create_file": lambda card: card.create_file(1, FILE),
    "delete_file": lambda card: card.delete_file(1),
    "get_file_ids": lambda card: card.get_file_ids(),
    "get_file_settings": lambda card: card.get_file_settings(1),
    "read_data in plain": lambda card: card.read_data(1, 0, 100, CommunicationMode.PLAIN),
    "write_data in plain": lambda card: card.write_data(1, 0, bytes(100), CommunicationMode.PLAIN),
    "free_memory": lambda card: card.free_memory(),
    "format_picc": lambda card: card.format_picc(),
}
PROTECTED = {
    "change_key": lambda card: card.change_key(0, AES_ZERO),
    "change_key of another": lambda card: card.change_key(1, AES_ZERO, old_key=AES_ZERO),
    "change_key_settings": lambda card: card.change_key_settings(KeySettings()),
    "set_default_key": lambda card: card.set_default_key(AES_ZERO),
    "set_picc_configuration": lambda card: card.set_picc_configuration(random_uid_for_ever=True),
    "set_ats": lambda card: card.set_ats(bytes.fromhex("067577810280")),
    "get_card_uid": lambda card: card.get_card_uid(),
    "read_data": lambda card: card.read_data(1, 0, 100, CommunicationMode.FULL),
    "write_data": lambda card: card.write_data(1, 0, bytes(100), CommunicationMode.MAC),
}


# Selection ends the session, a changed own key takes its MAC away, plain EV2 data has none. D40
# checks nothing but file data that it reads.
UNCHECKED = {
    "select_application",
    "select_application of two",
    "change_key",
    "read_data in plain",
    "write_data in plain",
}
CHECKED_BY_D40 = {"get_card_uid", "read_data"}


def exchange_of(card: DesfireCard, name: str) -> Exchange[Any]:
    return (UNPROTECTED | PROTECTED)[name](card)


@pytest.mark.fuzz
@given(
    answers=odd_answers(12),
    session=st.sampled_from(sorted(SESSIONS)),
    name=st.sampled_from(sorted(UNPROTECTED | PROTECTED)),
    last=st.sampled_from([b"\x00\x91\xaf", b"\x91\xaf", b"\x91\x00", b"\x00\x91\x00"]),
)
@examples(1500)
def test_arbitrary_answers_give_a_result_or_a_documented_error(
    answers: list[bytes], session: str, name: str, last: bytes
):
    start = SESSIONS[session]
    if start is None and name in PROTECTED:
        return
    card = DesfireCard()
    card.selected = 1
    card.session = Session(0, messaging_of(start)) if start else None
    remaining, sent = iter(answers), 0

    def transmit(_: bytes) -> bytes:
        nonlocal sent
        sent += 1
        assert sent < 400, "the exchange does not end"
        return next(remaining, last)

    try:
        play(exchange_of(card, name), transmit)
    except REFUSALS:
        refused = True
    else:
        refused = False
    assert not (refused and start and card.session), "the session outlived an error"
    # Nobody guesses a MAC: under a session only what is neither answered nor checked can succeed.
    unchecked = name not in CHECKED_BY_D40 if session == "d40" else name in UNCHECKED
    assert refused or not start or unchecked


@pytest.mark.parametrize("name", sorted(UNPROTECTED | PROTECTED))
def test_an_exchange_given_up_half_way_ends_the_session(name: str):
    card = DesfireCard()
    card.selected = 1
    card.session = Session(0, messaging_of(SESSIONS["ev2"] or {}))
    exchange = exchange_of(card, name)
    next(exchange)
    exchange.close()
    assert card.session is None


@pytest.mark.parametrize("answers", [(), (b"\x91\x00", b"\x91\x00")], ids=["none", "two"])
def test_another_number_of_answers_than_commands_is_refused(answers: tuple[bytes, ...]):
    exchange = DesfireCard().free_memory()
    next(exchange)
    with pytest.raises(CardProtocolError, match="answers"):
        exchange.send(answers)


def test_a_card_that_never_ends_its_answer_is_refused():
    with pytest.raises(CardProtocolError, match="too many frames"):
        play(DesfireCard().get_application_ids(), lambda _: b"\x00\x91\xaf")


def test_more_data_than_a_command_can_answer_is_refused():
    with pytest.raises(CardProtocolError, match="exceeds"):
        play(DesfireCard().get_version(), lambda _: bytes(59) + b"\x91\xaf")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("get_application_ids", "010000 010000"),
        ("get_application_ids", "000000"),
        ("get_application_ids", "0100"),
        ("get_file_ids", "20"),
        ("get_file_ids", "0101"),
        ("get_file_settings", "05 00 0000 200000"),
        ("get_file_settings", "00 04 0000 200000"),
        ("get_file_settings", "00 00 0000 2000"),
        ("get_key_settings", "0F C2"),
        ("get_key_settings", "0F 80"),
        ("get_key_settings", "0F 8F"),
        ("get_key_settings", "0F 92"),
        ("get_version", "00" * 27),
        ("free_memory", "0000"),
    ],
)
def test_an_answer_that_means_nothing_is_refused(name: str, answer: str):
    with pytest.raises(CardProtocolError):
        play(exchange_of(DesfireCard(), name), lambda _: bytes.fromhex(answer) + b"\x91\x00")


@pytest.mark.parametrize("answer", ["91AF", "009100"])
def test_a_selection_answered_with_more_than_success_is_refused(answer: str):
    card = DesfireCard()
    with pytest.raises(CardProtocolError, match="SELECT_APPLICATION"):
        play(card.select_application(1), lambda _: bytes.fromhex(answer))
    assert card.selected is None


@pytest.mark.parametrize(("step", "status"), [(0, 0x00), (1, 0xAF)], ids=["no challenge", "no end"])
@pytest.mark.parametrize(
    "recording",
    [each for each in recordings() if each["exchanges"][0]["call"].startswith("authenticate")],
    ids=recording_name,
)
def test_an_authentication_in_another_number_of_passes_is_refused(
    recording: dict[str, Any], step: int, status: int
):
    card, exchange = card_of(recording), recording["exchanges"][0]
    frames = frames_of(exchange)
    command, answer = frames[step]
    frames[step] = (command, answer[:-1] + bytes((status,)))
    with pytest.raises(CardProtocolError):
        play(call(card, exchange), Playback(frames).transmit)
    assert card.session is None


@pytest.mark.parametrize("wrong", [0, 4, 15])
def test_a_proof_that_is_right_but_for_one_byte_is_refused(wrong: int):
    rnd_a, sent = bytes(range(16)), []

    def answer(apdu: bytes) -> bytes:
        sent.append(apdu)
        if len(sent) == 1:
            return bytes(16) + b"\x91\xaf"
        proof = bytearray(rnd_a[1:] + rnd_a[:1])
        proof[wrong] ^= 0x01
        return AES.new(bytes(16), AES.MODE_CBC, apdu[21:37]).encrypt(bytes(proof)) + b"\x91\x00"

    with pytest.raises(CardProtocolError, match="wrong RndA"):
        play(DesfireCard().authenticate_aes(0, AES_ZERO, rnd_a=rnd_a), answer)


@pytest.mark.parametrize("wrong", range(15, 32))
def test_an_ev1_answer_whose_crc_or_padding_is_wrong_is_refused(wrong: int):
    card = DesfireCard()
    card.session = Session(0, messaging_of(SESSIONS["ev1 aes"] or {}))
    exchange = card.read_data(1, 0, 15, CommunicationMode.FULL)
    (command,) = next(exchange)
    data = bytes(range(15))
    plaintext = bytearray(data + crc32(data + b"\x00") + bytes(13))
    plaintext[wrong] ^= 0x80
    iv = CMAC.new(bytes(16), command[1:2] + command[5:-1], ciphermod=AES).digest()
    ciphertext = AES.new(bytes(16), AES.MODE_CBC, iv).encrypt(bytes(plaintext))
    with pytest.raises(CardProtocolError, match="CRC or padding"):
        exchange.send((ciphertext + b"\x91\x00",))


def test_a_card_that_announces_more_but_sends_nothing_is_refused():
    with pytest.raises(CardProtocolError, match="sends nothing"):
        play(DesfireCard().get_version(), lambda _: b"\x91\xaf")
