"""Published vectors, replayed through the virtual card."""

import json
from pathlib import Path
from typing import Any

import pytest

from simulators.desfire import VirtualDesfire, storage
from simulators.desfire.authentication import Session
from simulators.desfire.crypto import Cipher, KeyType, cmac, crc16, crc32
from simulators.desfire.keys import Key
from simulators.desfire.legacy import D40Session
from simulators.desfire.messaging import Ev1Session, Ev2Session
from tests.simulators.reader_side import native

pytestmark = pytest.mark.unit

VECTORS = Path(__file__).parents[1] / "vectors"


def load(name: str) -> Any:
    return json.loads((VECTORS / f"desfire_card_{name}.json").read_text())


PRIMITIVES = load("primitives")
CASES = [(product, case) for product in ("d40", "ev1", "ev2") for case in load(product)]


def session_of(stored: dict[str, Any]) -> Session:
    if stored["kind"] == "d40":
        cipher = Cipher(KeyType[stored["type"]], bytes.fromhex(stored["key"]))
        return D40Session(stored["key_number"], cipher)
    if stored["kind"] == "ev1":
        cipher = Cipher(KeyType[stored["type"]], bytes.fromhex(stored["key"]))
        session = Ev1Session(stored["key_number"], cipher)
        if "iv" in stored:
            session._iv = bytes.fromhex(stored["iv"])
        return session
    keys = [Cipher(KeyType.AES, bytes.fromhex(stored[n])) for n in ("encipher", "authenticate")]
    ti = bytes.fromhex(stored["ti"])
    return Ev2Session(stored["key_number"], (keys[0], keys[1]), ti, stored["counter"])


def picture(session: Session | None) -> dict[str, Any] | None:
    if isinstance(session, D40Session):
        cipher = session._cipher
        return {"kind": "d40", "type": cipher.type.name, "key": cipher.key.hex().upper()}
    if isinstance(session, Ev1Session):
        cipher = session._cipher
        return {"kind": "ev1", "type": cipher.type.name, "key": cipher.key.hex().upper()}
    if isinstance(session, Ev2Session):
        return {
            "kind": "ev2",
            "key_number": session.key_number,
            "encipher": session._encipher.key.hex().upper(),
            "authenticate": session._authenticate.key.hex().upper(),
            "ti": session.ti.hex().upper(),
            "counter": session.counter,
        }
    return None


def card_of(case: dict[str, Any]) -> VirtualDesfire:
    random = iter([bytes.fromhex(text) for text in case.get("random", [])])

    def rng(size: int) -> bytes:
        value = next(random)
        assert len(value) == size
        return value

    card = VirtualDesfire(storage.load(case["chip"]), rng)
    card._activation.selected = bytes.fromhex(case.get("selected", "000000"))
    if "session" in case:
        card._activation.session = session_of(case["session"])
    return card


def key_of(stored: dict[str, Any]) -> Key:
    return Key(KeyType[stored["type"]], bytes.fromhex(stored["value"]), stored["version"])


@pytest.mark.parametrize(("product", "case"), CASES, ids=[f"{p}: {c['name']}" for p, c in CASES])
def test_the_card_answers_as_published(product: str, case: dict[str, Any]) -> None:
    assert case["source"]
    card = card_of(case)
    for command, answer in case["exchanges"]:
        assert native(card, bytes.fromhex(command)).hex() == bytes.fromhex(answer).hex(), command
    if "ends" in case:
        assert picture(card._activation.session) == case["ends"]
    if "master" in case:
        assert card.chip.master == key_of(case["master"])
    if "keys" in case or "files" in case:
        application = card.chip.applications[bytes.fromhex(case["selected"])]
        for number, key in case.get("keys", {}).items():
            assert application.keys[int(number)] == key_of(key)
        for number, content in case.get("files", {}).items():
            assert application.files[int(number)].content.hex().upper() == content


@pytest.mark.parametrize("case", PRIMITIVES["crc32"], ids=lambda case: case["source"])
def test_crc32_as_published(case: dict[str, str]) -> None:
    assert crc32(bytes.fromhex(case["data"])).hex().upper() == case["crc"]


@pytest.mark.parametrize("case", PRIMITIVES["crc16"], ids=lambda case: case["source"])
def test_crc16_as_published(case: dict[str, str]) -> None:
    assert crc16(bytes.fromhex(case["data"])).hex().upper() == case["crc"]


@pytest.mark.parametrize("case", PRIMITIVES["cmac"], ids=lambda case: case["source"])
def test_cmac_as_published(case: dict[str, str]) -> None:
    cipher = Cipher(KeyType[case["type"]], bytes.fromhex(case["key"]))
    assert cmac(cipher, bytes.fromhex(case["message"])).hex().upper() == case["mac"]


@pytest.mark.parametrize("case", PRIMITIVES["initialisation_vectors"], ids=lambda c: c["source"])
def test_ev2_command_ivs_as_published(case: dict[str, Any]) -> None:
    cipher = Cipher(KeyType.AES, bytes.fromhex(case["encipher"]))
    session = Ev2Session(0, (cipher, cipher), bytes.fromhex(case["ti"]), case["counter"])
    assert session._iv(bytes.fromhex("A55A")).hex().upper() == case["command_iv"]
