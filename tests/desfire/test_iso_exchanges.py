"""ISO 7816-4 commands: their bytes, their limits, and what a hostile card can make of them."""

from collections.abc import Callable
from typing import Any

import pytest
from Crypto.Cipher import AES, DES, DES3
from Crypto.Hash import CMAC
from hypothesis import given
from hypothesis import strategies as st

from cardd.desfire.card import DesfireCard
from cardd.desfire.channel import Session
from cardd.desfire.command import Command, CommunicationMode, Ins
from cardd.desfire.iso import MASTER_FILE, IsoCommands
from cardd.desfire.iso_handshake import IsoHandshake
from cardd.desfire.keys import DesfireKey, KeyType, ev1_session_key
from cardd.desfire.messaging.ev1 import Ev1Messaging
from cardd.errors import CardProtocolError, CardStatusError
from cardd.iso7816.exchange import Exchange
from cardd.secret import Secret
from tests.desfire.recorded_card import play, unwrapped
from tests.examples import examples

pytestmark = pytest.mark.unit

OK = bytes.fromhex("9000")
ISO = IsoCommands()


def first(exchange: Exchange[Any]) -> str:
    (command,) = next(exchange)
    return command.hex(" ").upper()


@pytest.mark.parametrize(
    ("exchange", "command"),
    [
        # AN11004: the NDEF application of a Type 4 Tag by its name.
        (ISO.select_df_name(bytes.fromhex("D2760000850100")), "00 A4 04 00 07 D2760000850100 00"),
        (ISO.select_file(0xE103), "00 A4 00 0C 02 E103"),
        (ISO.select_file(MASTER_FILE), "00 A4 00 0C 02 3F00"),
        (ISO.read_binary(0x0102, 15), "00 B0 01 02 0F"),
        (ISO.update_binary(0x7FFE, b"ab"), "00 D6 7F FE 02 6162"),
        (ISO.read_record(1, 16), "00 B2 01 04 10"),
        (ISO.read_records(2, 16, 16), "00 B2 02 05 00"),
        (ISO.append_record(b"abc"), "00 E2 00 00 03 616263"),
        (ISO.get_challenge(16), "00 84 00 00 10"),
        (
            ISO.external_authenticate(1, KeyType.AES, bytes(32)),
            "00 82 09 81 20" + "00" * 32,
        ),
        (
            ISO.internal_authenticate(0, KeyType.TDEA2, bytes(8), application=False),
            "00 88 02 00 08 0000000000000000 10",
        ),
        (
            ISO.internal_authenticate(13, KeyType.TDEA3, bytes(16)),
            "00 88 04 8D 10" + "00" * 16 + "20",
        ),
    ],
)
def test_a_command_has_the_standards_bytes(exchange: Exchange[Any], command: str):
    assert first(exchange).replace(" ", "") == command.replace(" ", "")


class FileCard:
    """A card whose selected file holds data; it answers READ and UPDATE BINARY."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)
        self.lengths: list[int] = []

    def transmit(self, apdu: bytes) -> bytes:
        at = apdu[2] << 8 | apdu[3]
        self.lengths.append(apdu[4])
        if apdu[1] == 0xB0:
            return bytes(self.content[at : at + apdu[4]]) + OK
        self.content[at : at + apdu[4]] = apdu[5:]
        return OK


def test_what_one_apdu_does_not_hold_is_read_and_written_in_parts():
    card = FileCard(bytes(300))
    play(ISO.update_binary(7, bytes(range(130))), card.transmit)
    assert card.lengths == [52, 52, 26]
    card.lengths.clear()
    assert play(ISO.read_binary(7, 130), card.transmit) == bytes(range(130))
    assert card.lengths == [59, 59, 12]


def test_larger_parts_are_used_where_the_card_is_known_to_take_them():
    card = FileCard(bytes(300))
    iso = IsoCommands(read_bytes=256, write_bytes=255)
    play(iso.update_binary(0, bytes(255)), card.transmit)
    assert card.lengths == [255]


def test_records_are_cut_by_their_length():
    data = bytes(range(12))
    assert play(ISO.read_records(1, 4, 3), lambda _: data + OK) == (data[:4], data[4:8], data[8:])


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: ISO.select_df_name(b""),
        lambda: ISO.select_df_name(bytes(17)),
        lambda: next(ISO.select_file(0x10000)),
        lambda: next(ISO.read_binary(0, 0)),
        lambda: next(ISO.read_binary(0x8000, 1)),
        lambda: next(ISO.update_binary(0, b"")),
        lambda: next(ISO.update_binary(0x7FFF, b"ab")),
        lambda: ISO.read_record(256, 1),
        lambda: ISO.read_record(0, 257),
        lambda: next(ISO.read_records(0, 16, 17)),
        lambda: next(ISO.append_record(b"")),
        lambda: next(ISO.append_record(bytes(256))),
        lambda: ISO.get_challenge(4),
        lambda: next(ISO.external_authenticate(14, KeyType.AES, bytes(32))),
        lambda: next(ISO.external_authenticate(0, KeyType.AES, bytes(16))),
        lambda: ISO.internal_authenticate(0, KeyType.AES, bytes(8)),
        lambda: next(ISO.authenticate(0, AES_KEY, challenges=(bytes(8), bytes(16)))),
        lambda: IsoCommands(read_bytes=257),
        lambda: IsoCommands(write_bytes=0),
    ],
)
def test_a_callers_mistake_sends_nothing(mistake: Callable[[], object]):
    with pytest.raises(ValueError, match=r"."):
        mistake()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("6A82", "no application or file"),
        ("6982", "access rights"),
        ("6B00", "outside of the file"),
        ("6282", "the file ends"),
        ("6F00", "an error status"),
    ],
)
def test_a_status_word_says_what_it_means(answer: str, said: str):
    with pytest.raises(CardStatusError, match=said) as refusal:
        play(ISO.read_binary(0, 4), lambda _: bytes.fromhex(answer))
    assert refusal.value.status == int(answer, 16)
    assert refusal.value.facts["command"] == "READ BINARY"


@pytest.mark.parametrize("length", [0, 3, 5, 256])
def test_an_answer_of_another_length_is_refused(length: int):
    with pytest.raises(CardProtocolError, match="READ BINARY"):
        play(ISO.read_binary(0, 4), lambda _: bytes(length) + OK)


def test_data_where_none_was_asked_for_is_refused():
    with pytest.raises(CardProtocolError, match="with data"):
        play(ISO.select_file(1), lambda _: b"\x00" + OK)


WRITE = Command(Ins.WRITE_DATA, b"header", b"data", CommunicationMode.FULL)
AES_KEY = DesfireKey(KeyType.AES, Secret(bytes(range(16))))
KEYS = [
    AES_KEY,
    DesfireKey(KeyType.TDEA2, Secret(bytes(range(0, 32, 2)))),
    DesfireKey(KeyType.TDEA2, Secret(bytes(range(0, 16, 2)) * 2)),
    DesfireKey(KeyType.TDEA3, Secret(bytes(range(0, 48, 2)))),
]


class AuthenticatingCard:
    """The card's half, of another library: it checks the reader and proves itself."""

    def __init__(self, key: DesfireKey, *, first: bytes, second: bytes) -> None:
        self._key, self._first, self._second = key, first, second
        self.reader_first = b""
        self._iv = bytes(16 if key.type is KeyType.AES else 8)

    def cbc(self) -> Any:
        value = self._key.value.reveal()
        if self._key.type is KeyType.AES:
            return AES.new(value, AES.MODE_CBC, self._iv)
        if self._key.is_single_des():
            return DES.new(value[:8], DES.MODE_CBC, self._iv)  # noqa: S304 - what old cards have
        return DES3.new(value, DES3.MODE_CBC, self._iv)

    def transmit(self, apdu: bytes) -> bytes:
        if apdu[1] == 0x84:
            return self._first + OK
        if apdu[1] == 0x82:
            plaintext = self.cbc().decrypt(apdu[5:])
            half = len(self._first)
            self._iv = apdu[-len(self._iv) :]
            self.reader_first = plaintext[:half]
            return OK if plaintext[half:] == self._first else bytes.fromhex("6982")
        challenge = apdu[5 : 5 + len(self._first)]
        return self.cbc().encrypt(self._second + challenge) + OK


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key.type.name} {key.is_single_des()}")
def test_both_sides_come_to_one_session(key: DesfireKey):
    size = key.type.challenge_bytes
    card = AuthenticatingCard(key, first=bytes(range(size)), second=bytes(range(0x40, 0x40 + size)))
    reader_first, reader_second = bytes(range(0x80, 0x80 + size)), bytes(range(size, 0, -1))
    messaging = play(
        ISO.authenticate(1, key, challenges=(reader_first, reader_second)), card.transmit
    )
    assert card.reader_first == reader_first
    expected = ev1_session_key(key, reader_first, bytes(range(0x40, 0x40 + size)))
    assert messaging.protect(WRITE) == Ev1Messaging(expected).protect(WRITE)


def test_the_session_is_the_drivers():
    size = 16
    card_second, reader_first = bytes(range(0x40, 0x50)), bytes(range(0x80, 0x90))
    sim = AuthenticatingCard(AES_KEY, first=bytes(size), second=card_second)
    card = DesfireCard()
    exchange = ISO.authenticate(1, AES_KEY, challenges=(reader_first, bytes(size)))
    card.session = Session(1, play(exchange, sim.transmit))
    session_key = reader_first[:4] + card_second[:4] + reader_first[12:] + card_second[12:]
    # CMAC from a vector: mix it into the block that the library pads by itself (SP 800-38B, 6.2).
    iv = CMAC.new(session_key, b"\x6f", ciphermod=AES).digest()
    zero = AES.new(session_key, AES.MODE_ECB).encrypt(bytes(16))
    doubled = int.from_bytes(zero)
    for _ in range(2):
        doubled = (doubled << 1) ^ (0x87 | 1 << 128 if doubled >> 127 else 0)
    block = int.from_bytes(b"\x05\x00\x80" + bytes(13)) ^ int.from_bytes(iv) ^ doubled
    mac = AES.new(session_key, AES.MODE_ECB).encrypt(block.to_bytes(16))[:8]
    answer = b"\x05" + mac
    assert play(card.get_file_ids(), lambda _: answer + unwrapped("00")) == (5,)


def test_a_card_that_does_not_know_the_key_is_refused():
    other = DesfireKey(KeyType.AES, Secret(bytes(16)))
    card = AuthenticatingCard(other, first=bytes(16), second=bytes(16))
    with pytest.raises(CardStatusError) as refusal:
        play(ISO.authenticate(0, AES_KEY), card.transmit)
    assert refusal.value.status == 0x6982

    def agreeing(apdu: bytes) -> bytes:
        answer = card.transmit(apdu)
        return OK if apdu[1] == 0x82 else answer

    with pytest.raises(CardProtocolError, match="under the key"):
        play(ISO.authenticate(0, AES_KEY), agreeing)


def test_a_forger_who_sends_the_readers_own_block_back_fails_at_the_first_mac():
    # The handshake itself cannot tell: see IsoHandshake. The session can.
    sent: list[bytes] = []
    challenge = bytes(16)

    def forger(apdu: bytes) -> bytes:
        sent.append(apdu)
        if apdu[1] == 0x84:
            return challenge + OK
        if apdu[1] == 0x82:
            return OK
        c1, c2 = sent[1][5:21], sent[1][21:37]
        return bytes(a ^ b ^ c for a, b, c in zip(apdu[5:21], challenge, c1, strict=True)) + c2 + OK

    card = DesfireCard()
    card.session = Session(0, play(ISO.authenticate(0, AES_KEY), forger))
    with pytest.raises(CardProtocolError, match="MAC"):
        play(card.get_file_ids(), lambda _: b"\x05" + bytes(8) + unwrapped("00"))
    assert card.session is None


COMMANDS: list[Callable[[], Exchange[Any]]] = [
    lambda: ISO.select_df_name(b"badge"),
    lambda: ISO.select_file(0xE103),
    lambda: ISO.read_binary(0, 100),
    lambda: ISO.update_binary(0, bytes(100)),
    lambda: ISO.read_record(1, 8),
    lambda: ISO.read_records(1, 8, 8),
    lambda: ISO.append_record(bytes(8)),
    lambda: ISO.get_challenge(8),
    lambda: ISO.authenticate(0, AES_KEY),
    lambda: ISO.authenticate(0, KEYS[1]),
]


@pytest.mark.fuzz
@given(
    command=st.sampled_from(COMMANDS),
    answers=st.lists(
        st.one_of(
            st.binary(max_size=300),
            st.builds(
                lambda size, word: bytes(size) + word,
                st.sampled_from([0, 8, 16, 32, 59]),
                st.sampled_from([OK, b"\x61\x10", b"\x6c\x08", b"\x62\x82"]),
            ),
        ),
        max_size=6,
    ),
)
@examples(300)
def test_arbitrary_answers_give_a_result_or_a_documented_error(
    command: Callable[[], Exchange[Any]], answers: list[bytes]
):
    remaining, sent = iter(answers), 0

    def transmit(_: bytes) -> bytes:
        nonlocal sent
        sent += 1
        assert sent < 200, "the exchange does not end"
        return next(remaining, b"\x01\x61\x01")

    try:
        play(command(), transmit)
    except (CardStatusError, CardProtocolError):
        return


@pytest.mark.parametrize("length", [0, 8, 15, 17, 32])
def test_the_handshake_itself_refuses_other_lengths(length: int):
    with pytest.raises(CardProtocolError, match="challenge"):
        IsoHandshake(AES_KEY).respond(bytes(length))
    attempt = IsoHandshake(AES_KEY)
    attempt.respond(bytes(16))
    with pytest.raises(CardProtocolError, match="cryptogram"):
        attempt.finish(bytes(length if length != 32 else 31))
