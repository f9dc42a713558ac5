"""CRC, CMAC, session keys and initialisation vectors against published values."""

from typing import Any

import pytest
from Crypto.Cipher import AES
from Crypto.Hash import CMAC
from Crypto.Util.strxor import strxor
from hypothesis import given
from hypothesis import strategies as st

from cardd.desfire.cipher import BlockCipher
from cardd.desfire.command import Command, CommunicationMode, Ins
from cardd.desfire.crc import crc32
from cardd.desfire.keys import (
    DesfireKey,
    Ev2SessionKeys,
    KeyType,
    ev1_session_key,
    ev2_session_keys,
)
from cardd.desfire.messaging.ev2 import Ev2Messaging
from cardd.secret import Secret
from tests.desfire.recorded_card import load

pytestmark = pytest.mark.unit

VECTORS = load("desfire_reader_primitives.json")

# The messages of NIST SP 800-38B, appendix D, are prefixes of this one.
MESSAGE = bytes.fromhex(
    "6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E51"
    "30C81C46A35CE411E5FBC1191A0A52EFF69F2445DF4F9B17AD2B417BE66C3710"
)


def by_source(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", VECTORS[name], ids=lambda vector: vector["source"])


@by_source("crc32")
def test_the_crc32_is_the_published_one(vector: dict[str, Any]):
    assert crc32(bytes.fromhex(vector["message"])) == bytes.fromhex(vector["crc"])


@by_source("cmac")
def test_the_cmac_is_the_published_one(vector: dict[str, Any]):
    key = DesfireKey(KeyType[vector["type"]], Secret(bytes.fromhex(vector["key"])))
    assert key.cipher().mac(MESSAGE[: vector["length"]]) == bytes.fromhex(vector["mac"])


@by_source("ev1_session_keys")
def test_the_ev1_session_key_is_the_published_one(vector: dict[str, Any]):
    key = DesfireKey.zero(KeyType[vector["type"]])
    session = ev1_session_key(key, bytes.fromhex(vector["rnd_a"]), bytes.fromhex(vector["rnd_b"]))
    assert session.value == Secret(bytes.fromhex(vector["session_key"]))


@by_source("ev2_session_keys")
def test_the_ev2_session_keys_are_the_published_ones(vector: dict[str, Any]):
    keys = ev2_session_keys(
        DesfireKey.zero(KeyType.AES),
        bytes.fromhex(vector["rnd_a"]),
        bytes.fromhex(vector["rnd_b"]),
    )
    assert keys.encryption == Secret(bytes.fromhex(vector["encryption"]))
    assert keys.mac == Secret(bytes.fromhex(vector["mac"]))


@by_source("ev2_command_vectors")
def test_ev2_enciphers_a_command_from_the_published_vector(vector: dict[str, Any]):
    key = bytes.fromhex(vector["encryption"])
    messaging = Ev2Messaging(
        Ev2SessionKeys(Secret(key), Secret(bytes(16))),
        bytes.fromhex(vector["transaction"]),
        counter=vector["counter"],
    )
    data = bytes(range(15))
    body = messaging.protect(Command(Ins.WRITE_DATA, data=data, mode=CommunicationMode.FULL))
    block = strxor(data + b"\x80", bytes.fromhex(vector["iv"]))
    assert body[:16] == AES.new(key, AES.MODE_ECB).encrypt(block)


RND_A, RND_B = bytes.fromhex("0002040608080A0A"), bytes.fromhex("1113151718181A1A")


def test_a_tdea_key_whose_halves_match_but_for_parity_gives_a_des_session():
    key = DesfireKey(KeyType.TDEA2, Secret(bytes.fromhex("0011223344556677 0110233245546776")))
    session = ev1_session_key(key, RND_A, RND_B)
    assert session.value == Secret(bytes.fromhex("0002040610121416") * 2)


def test_a_tdea_key_of_two_halves_takes_its_session_from_all_of_both_numbers():
    key = DesfireKey(KeyType.TDEA2, Secret(bytes.fromhex("0011223344556677 8899AABBCCDDEEFF")))
    session = ev1_session_key(key, RND_A, RND_B)
    assert session.value == Secret(bytes.fromhex("0002040610121416 08080A0A18181A1A"))


def test_a_three_key_session_takes_its_thirds_from_both_numbers():
    rnd_a, rnd_b = bytes(range(0, 32, 2)), bytes(range(64, 96, 2))
    session = ev1_session_key(DesfireKey.zero(KeyType.TDEA3), rnd_a, rnd_b)
    thirds = [rnd_a[:4], rnd_b[:4], rnd_a[6:10], rnd_b[6:10], rnd_a[12:], rnd_b[12:]]
    assert session.value == Secret(b"".join(thirds))


def test_a_tdea_key_is_stored_with_its_version_in_low_bits():
    key = DesfireKey(KeyType.TDEA2, Secret(b"\xff" * 8 + b"\x0f" * 8), version=0b1010_0001)
    assert key.stored() == Secret(bytes.fromhex("FFFEFFFEFEFEFEFF") + b"\x0e" * 8)


def test_a_three_key_tdea_key_has_its_version_in_the_first_key_alone():
    key = DesfireKey(KeyType.TDEA3, Secret(b"\xff" * 24), version=0b1010_0001)
    assert key.stored() == Secret(bytes.fromhex("FFFEFFFEFEFEFEFF") + b"\xfe" * 16)


def test_both_halves_of_a_des_key_carry_its_version_so_that_it_stays_one():
    key = DesfireKey(KeyType.TDEA2, Secret(b"\xff" * 16), version=0b1010_0001)
    assert key.stored() == Secret(bytes.fromhex("FFFEFFFEFEFEFEFF") * 2)


@given(key=st.binary(min_size=16, max_size=16), message=st.binary(max_size=70))
def test_the_aes_cmac_is_that_of_another_library(key: bytes, message: bytes):
    expected = CMAC.new(key, message, ciphermod=AES).digest()
    assert BlockCipher.aes(Secret(key)).mac(message) == expected


@pytest.mark.parametrize(
    ("key_type", "length", "version"),
    [(KeyType.AES, 15, 0), (KeyType.TDEA3, 16, 0), (KeyType.AES, 16, 256), (KeyType.AES, 16, -1)],
)
def test_a_key_of_another_length_or_version_is_refused(
    key_type: KeyType, length: int, version: int
):
    with pytest.raises(ValueError, match="byte"):
        DesfireKey(key_type, Secret(bytes(length)), version)


def test_no_repr_gives_a_key_away():
    value = b"supersecretvalue"
    key = DesfireKey(KeyType.AES, Secret(value), 3)
    command = Command(Ins.CHANGE_KEY, b"", value, CommunicationMode.FULL, checked=value)
    session = Ev2SessionKeys(Secret(value), Secret(value))
    for shown in (repr(key), str(key), repr(command), repr(session), repr(key.cipher())):
        assert "secretvalue" not in shown
        assert value.hex() not in shown


@pytest.mark.parametrize(
    "vector", load("an10922_tdea.json")["vectors"], ids=lambda vector: vector["name"]
)
def test_tdea_macs_make_the_published_diversified_keys(vector: dict[str, Any]):
    cipher = BlockCipher.tdea(Secret(bytes.fromhex(vector["key"])))
    m = bytes.fromhex(vector["m"])
    parts = [cipher.mac(bytes((constant,)) + m) for constant in bytes.fromhex(vector["constants"])]
    assert b"".join(parts).hex().upper() == vector["diversified"]
