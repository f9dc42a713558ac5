"""LRP: the primitive, and what a card that answers wrongly gets. Sessions: published exchanges."""

from typing import Any

import pytest

from cardd.desfire.card import DesfireCard
from cardd.desfire.cipher import pad_80
from cardd.desfire.command import Command, CommunicationMode, Ins
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.desfire.lrp import Lrp
from cardd.desfire.messaging.lrp import LrpMessaging
from cardd.errors import CardProtocolError
from cardd.secret import Secret
from tests.desfire.recorded_card import (
    Playback,
    call,
    card_of,
    frames_of,
    load,
    messaging_of,
    play,
    recordings,
)

pytestmark = pytest.mark.unit

VECTORS = load("lrp.json")
RECORDINGS = {
    recording["name"]: recording
    for recording in recordings()
    if "lrp" in str(recording.get("start", "")) or "lrp" in recording["exchanges"][0]["call"]
}
FIRST = RECORDINGS["AuthenticateLRPFirst"]["exchanges"][0]
ZERO = DesfireKey.zero(KeyType.AES)


def hexed(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.mark.parametrize("vector", VECTORS["evaluate"], ids=lambda vector: vector["input"])
def test_an_input_leads_to_the_published_block(vector: dict[str, Any]) -> None:
    primitive = Lrp(Secret(hexed(vector["key"])), vector["updated_key"])
    assert primitive.evaluate(hexed(vector["input"])) == hexed(vector["output"])


@pytest.mark.parametrize("vector", VECTORS["encrypt"], ids=lambda vector: vector["counter"])
def test_blocks_are_enciphered_as_published_and_back(vector: dict[str, Any]) -> None:
    primitive = Lrp(Secret(hexed(vector["key"])))
    counter = int(vector["counter"], 16)
    plaintext = hexed(vector["plaintext"])
    if vector["padded"]:
        plaintext = pad_80(plaintext, 16)
    assert primitive.encrypt(plaintext, counter) == hexed(vector["ciphertext"])
    assert primitive.decrypt(hexed(vector["ciphertext"]), counter) == plaintext


@pytest.mark.parametrize("vector", VECTORS["mac"], ids=lambda vector: vector["mac"][:8])
def test_a_message_has_the_published_mac(vector: dict[str, Any]) -> None:
    mac = Lrp(Secret(hexed(vector["key"]))).mac(hexed(vector["message"]))
    assert mac == hexed(vector["mac"])


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Lrp(Secret(bytes(24)))
    with pytest.raises(ValueError, match="TDEA2"):
        DesfireCard().authenticate_lrp_first(0, DesfireKey.zero(KeyType.TDEA2))
    with pytest.raises(ValueError, match="RndA"):
        DesfireCard().authenticate_lrp_first(0, ZERO, rnd_a=bytes(8))


def opened(frames: list[tuple[bytes | None, bytes]]) -> DesfireCard:
    card = card_of(RECORDINGS["AuthenticateLRPFirst"])
    play(call(card, FIRST), Playback(frames).transmit)
    return card


def test_the_capabilities_of_the_card_are_in_its_proof() -> None:
    assert opened(frames_of(FIRST)).session is not None


@pytest.mark.parametrize(
    "challenge",
    [FIRST["frames"][0][1][5:], "00" + FIRST["frames"][0][1][5:], "02" * 17, "01" * 18, ""],
    ids=["without LRP", "another mode", "a third mode", "too long", "empty"],
)
def test_a_card_that_answers_without_lrp_is_refused(challenge: str) -> None:
    (command, _), proof = frames_of(FIRST)
    with pytest.raises(CardProtocolError, match="LRP"):
        opened([(command, hexed(challenge) + b"\x91\xaf"), proof])


@pytest.mark.parametrize("at", range(0, 256, 5))
def test_a_proof_with_one_flipped_bit_is_refused(at: int) -> None:
    challenge, (command, proof) = frames_of(FIRST)
    flipped = bytearray(proof)
    flipped[at // 8] ^= 1 << at % 8
    with pytest.raises(CardProtocolError):
        opened([challenge, (command, bytes(flipped))])


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_proof_of_another_length_is_refused(length: int) -> None:
    challenge, (command, _) = frames_of(FIRST)
    with pytest.raises(CardProtocolError):
        opened([challenge, (command, bytes(length) + b"\x91\x00")])


def test_a_card_that_repeats_other_capabilities_is_refused() -> None:
    # Under the session's right keys: MAC and cipher are those of the published handshake.
    challenge, (command, _) = frames_of(FIRST)
    master = Secret(hexed(FIRST["session"]["master"]))
    data = Lrp(master, 1).encrypt(hexed("58EE9424" + "00" * 12), 0)
    rnd_a, rnd_b = hexed(FIRST["arguments"]["rnd_a"]), hexed(FIRST["frames"][0][1][5:])
    proof = data + Lrp(master, 0).mac(rnd_b + rnd_a + data)
    with pytest.raises(CardProtocolError, match="capabilities"):
        opened([challenge, (command, proof + b"\x91\x00")])


def test_a_non_first_proof_that_is_wrong_is_refused() -> None:
    recording = RECORDINGS["AuthenticateLRPFirst, then NonFirst"]
    first, second = recording["exchanges"]
    card = card_of(recording)
    play(call(card, first), Playback(frames_of(first)).transmit)
    challenge, (command, _) = frames_of(second)
    playback = Playback([challenge, (command, bytes(16) + b"\x91\x00")])
    with pytest.raises(CardProtocolError, match="MAC"):
        play(call(card, second), playback.transmit)
    assert card.session is None


def test_the_two_mechanisms_do_not_continue_each_other() -> None:
    card = opened(frames_of(FIRST))
    with pytest.raises(RuntimeError, match="EV2"):
        card.authenticate_ev2_non_first(0, ZERO)
    with pytest.raises(RuntimeError, match="authenticated"):
        DesfireCard().authenticate_lrp_non_first(0, ZERO)
    ev2 = next(each for each in recordings() if each.get("start", {}).get("kind") == "ev2")
    with pytest.raises(RuntimeError, match="LRP"):
        card_of(ev2).authenticate_lrp_non_first(0, ZERO)


def test_a_long_answer_is_deciphered_block_by_block() -> None:
    # A real NTAG 424 DNA's answer to ReadData of a whole file: 9 blocks (crate ntag424).
    start = RECORDINGS["WriteData and ReadData in FULL mode"]["start"]
    session = messaging_of({**start, "counter": 0, "blocks": 0})
    command = Command(
        Ins.READ_DATA_ISO, hexed("03000000000000"), mode=CommunicationMode.FULL,
        answer_bytes=(0, 256),
    )  # fmt: skip
    assert session.protect(command) == hexed("030000000000004346E1444E7A4B26")
    answer = hexed(
        "C0D13D2E78879C91D6E52DD735DE47D3E9A5BD06D1D6B43C5992CB65FA9257AB430EC34DB3F380BA58026762"
        "AAE1C38ABED3C6AF50325C18D61F67342B878AF5583F8EFD4293B30BB911BD542AFC92E0D45FF26893282421"
        "D5D660EBE8C61C87D4A2D9EBEDE206D5D93ECCD9687E38CA20CE98AAC748B0927E786134815B7C4984FF3A86"
        "083FF52898176CE33AD81DFED2D76386A7B2F9B1"
    )
    assert session.unprotect(command, answer) == hexed("DEADBEEF01020304").ljust(128, b"\0")


@pytest.mark.parametrize("length", [0, 7, 8 + 15])
def test_an_answer_that_is_malformed_is_refused(length: int) -> None:
    session = LrpMessaging(Secret(bytes(16)), bytes(4))
    command = Command(Ins.GET_CARD_UID, mode=CommunicationMode.FULL, answer_bytes=(7, 7))
    session.protect(command)
    with pytest.raises(CardProtocolError):
        session.unprotect(command, bytes(length))
