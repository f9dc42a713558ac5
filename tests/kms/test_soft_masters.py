import json
import threading
from pathlib import Path

import pytest
from Crypto.Cipher import AES
from Crypto.Hash import CMAC
from hypothesis import given
from hypothesis import strategies as st

from cardd.errors import KmsUnavailable
from cardd.kms.masters.soft import SoftMasters
from cardd.kms.ports import Masters, Purpose
from cardd.secret import Secret

pytestmark = pytest.mark.unit

NIST = json.loads(
    (Path(__file__).parents[1] / "vectors" / "cmac_aes128.json").read_text(encoding="utf-8")
)
KEYS = {
    (Purpose.PICC, 1): Secret(bytes.fromhex(NIST["key"])),
    (Purpose.PICC, 2): Secret(bytes(range(16))),
    (Purpose.REGISTRY, 1): Secret(bytes(16)),
}


def soft(seal_key: bytes = bytes(32)) -> SoftMasters:
    return SoftMasters(KEYS, {Purpose.PICC: 2}, Secret(seal_key), Secret(b""), 7)


@pytest.mark.parametrize("vector", NIST["vectors"], ids=lambda v: f"{len(v['message']) // 2} bytes")
def test_a_mac_is_that_of_sp_800_38b(vector: dict[str, str]) -> None:
    backend: Masters = soft()
    mac = backend.mac(Purpose.PICC, 1, bytes.fromhex(vector["message"]))
    assert mac == bytes.fromhex(vector["mac"])


def test_each_generation_has_its_own_key_and_one_is_current() -> None:
    backend = soft()
    assert backend.current(Purpose.PICC) == 2
    assert backend.mac(Purpose.PICC, 1, b"m") != backend.mac(Purpose.PICC, 2, b"m")


def test_what_is_not_there_makes_the_kms_unavailable() -> None:
    with pytest.raises(KmsUnavailable, match="no picc master of generation 3"):
        soft().mac(Purpose.PICC, 3, b"")
    with pytest.raises(KmsUnavailable, match="no authenticate master of generation 1"):
        soft().mac(Purpose.AUTHENTICATE, 1, b"")
    with pytest.raises(KmsUnavailable, match="no current transport master"):
        soft().current(Purpose.TRANSPORT)


def test_threads_that_share_the_masters_get_the_same_macs_as_one() -> None:
    backend = soft()
    messages = [number.to_bytes(3, "big") * 9 for number in range(2000)]
    expected = [
        CMAC.new(KEYS[Purpose.PICC, 2].reveal(), message, ciphermod=AES).digest()
        for message in messages
    ]
    results: dict[int, list[bytes]] = {}

    def work(number: int) -> None:
        results[number] = [backend.mac(Purpose.PICC, 2, message) for message in messages]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == dict.fromkeys(range(4), expected)


@given(plaintext=st.binary(max_size=200), associated=st.binary(max_size=80))
def test_what_is_sealed_opens_again(plaintext: bytes, associated: bytes) -> None:
    backend = soft()
    sealed = backend.seal(plaintext, associated)
    assert backend.open(sealed, associated) == Secret(plaintext)
    assert sealed != backend.seal(plaintext, associated)


@given(data=st.data(), plaintext=st.binary(max_size=40))
def test_a_changed_sealed_value_or_context_does_not_open(
    data: st.DataObject, plaintext: bytes
) -> None:
    backend = soft()
    sealed = bytearray(backend.seal(plaintext, b"row 1"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(KmsUnavailable):
        backend.open(bytes(sealed), b"row 1")


def test_a_sealed_value_opens_for_its_own_row_and_keystore_alone() -> None:
    sealed = soft().seal(b"one-time key", b"row 1")
    with pytest.raises(KmsUnavailable, match="moved to another row"):
        soft().open(sealed, b"row 2")
    with pytest.raises(KmsUnavailable, match="another keystore"):
        soft(seal_key=bytes(range(32))).open(sealed, b"row 1")


@given(st.binary(max_size=64))
def test_anything_else_given_to_open_is_refused(sealed: bytes) -> None:
    with pytest.raises(KmsUnavailable):
        soft().open(sealed, b"")


def test_no_key_shows_in_the_repr_of_the_masters() -> None:
    backend = soft()
    shown = repr(backend) + repr(vars(backend))
    assert NIST["key"].lower() not in shown.lower()
    assert repr(bytes(range(16))) not in shown
