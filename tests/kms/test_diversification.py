import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from Crypto.Cipher import AES
from hypothesis import given
from hypothesis import strategies as st

from cardd.desfire.applications import PICC_AID
from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms.diversification import diversification_input, diversify
from cardd.kms.masters.soft import SoftMasters
from cardd.kms.ports import Purpose
from cardd.secret import Secret

pytestmark = pytest.mark.unit

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "an10922_aes.json").read_text(encoding="utf-8")
)["vectors"]
PUBLISHED, *SHORT = VECTORS
UID = bytes.fromhex("04782E21801D80")
SYSTEM = bytes.fromhex("4E585020416275")


def masters(key: bytes, purposes: Mapping[Purpose, int] | None = None) -> SoftMasters:
    purposes = purposes or dict.fromkeys(Purpose, 1)
    keys = {(purpose, generation): Secret(key) for purpose, generation in purposes.items()}
    return SoftMasters(keys, purposes, Secret(bytes(32)), Secret(b""), 1)


def an10922_by_hand(key: bytes, m: bytes) -> bytes:
    """AN10922 as its text says it, padded to 32 bytes whatever the length, from AES-CBC alone."""

    def doubled(block: bytes) -> bytes:
        value = int.from_bytes(block, "big") << 1
        return ((value & (2**128 - 1)) ^ (0x87 if value >> 128 else 0)).to_bytes(16, "big")

    subkey = doubled(AES.new(key, AES.MODE_ECB).encrypt(bytes(16)))
    data = b"\x01" + m
    if len(data) < 32:
        subkey = doubled(subkey)
        data = (data + b"\x80").ljust(32, b"\0")
    last = bytes(a ^ b for a, b in zip(data[16:], subkey, strict=True))
    return AES.new(key, AES.MODE_CBC, iv=bytes(16)).encrypt(data[:16] + last)[16:]


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if "an10922" in v], ids=lambda vector: vector["name"]
)
def test_the_hand_made_an10922_gives_the_published_keys(vector: dict[str, str]) -> None:
    key = an10922_by_hand(bytes.fromhex(vector["master"]), bytes.fromhex(vector["m"]))
    assert key == bytes.fromhex(vector["an10922"])


def test_the_published_uid_aid_and_system_identifier_give_the_published_key() -> None:
    m = diversification_input(
        bytes.fromhex(PUBLISHED["uid"]),
        int(PUBLISHED["aid"], 16),
        bytes.fromhex(PUBLISHED["system_identifier"]),
    )
    assert m == bytes.fromhex(PUBLISHED["m"])
    key = diversify(masters(bytes.fromhex(PUBLISHED["master"])), Purpose.AUTHENTICATE, 1, m)
    assert key == Secret(bytes.fromhex(PUBLISHED["an10922"]))


@pytest.mark.parametrize("vector", SHORT, ids=lambda vector: vector["name"])
def test_an_input_for_which_plain_cmac_is_not_an10922_is_refused(vector: dict[str, str]) -> None:
    backend, m = masters(bytes.fromhex(vector["master"])), bytes.fromhex(vector["m"])
    plain = backend.mac(Purpose.AUTHENTICATE, 1, b"\x01" + m)
    assert plain == bytes.fromhex(vector["plain_cmac"])
    assert plain != an10922_by_hand(bytes.fromhex(vector["master"]), m)
    with pytest.raises(ValueError, match="16 to 28"):
        diversify(backend, Purpose.AUTHENTICATE, 1, m)


@given(
    key=st.binary(min_size=16, max_size=16),
    uid=st.binary(min_size=7, max_size=7),
    aid=st.integers(1, 0xFFFFFF),
    system=st.binary(min_size=6, max_size=18),
    order=st.sampled_from(["printed", "wire"]),
)
def test_every_input_that_is_accepted_gives_the_key_of_an10922(
    key: bytes, uid: bytes, aid: int, system: bytes, order: str
) -> None:
    m = diversification_input(uid, aid, system, order)  # type: ignore[arg-type]
    derived = diversify(masters(key), Purpose.APP_MASTER, 1, m)
    assert derived.reveal() == an10922_by_hand(key, m)


def test_the_aid_is_written_as_printed_or_as_on_the_wire() -> None:
    assert diversification_input(UID, 0x3042F5, SYSTEM)[7:10].hex() == "3042f5"
    assert diversification_input(UID, 0x3042F5, SYSTEM, "wire")[7:10].hex() == "f54230"


@pytest.mark.parametrize("purpose", [Purpose.PICC, Purpose.TRANSPORT])
def test_keys_of_the_picc_take_aid_000000_and_no_other(purpose: Purpose) -> None:
    backend = masters(bytes(16))
    assert len(diversify(backend, purpose, 1, diversification_input(UID, PICC_AID, SYSTEM))) == 16
    with pytest.raises(ValueError, match="does not fit"):
        diversify(backend, purpose, 1, diversification_input(UID, 0x3042F5, SYSTEM))


@pytest.mark.parametrize("purpose", [Purpose.APP_MASTER, Purpose.AUTHENTICATE])
def test_keys_of_the_application_never_take_the_aid_of_the_picc(purpose: Purpose) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        diversify(masters(bytes(16)), purpose, 1, diversification_input(UID, PICC_AID, SYSTEM))


def test_the_registry_master_is_never_diversified() -> None:
    with pytest.raises(ValueError, match="never diversified"):
        diversify(masters(bytes(16)), Purpose.REGISTRY, 1, bytes(20))


def test_a_generation_that_is_not_there_makes_the_kms_unavailable() -> None:
    m = diversification_input(UID, 0x3042F5, SYSTEM)
    with pytest.raises(KmsUnavailable, match="generation 2"):
        diversify(masters(bytes(16)), Purpose.AUTHENTICATE, 2, m)


@pytest.mark.parametrize(
    ("uid", "reason"),
    [
        ("08A1B2C3", "random"),
        ("04A1B2C3", "not unique"),
        ("04782E21801D80112233", "10-byte"),
        ("", "has 7 bytes"),
        ("04782E21801D", "has 7 bytes"),
        ("04782E21801D8000", "has 7 bytes"),
    ],
)
def test_a_uid_of_another_length_is_refused_with_its_reason(uid: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as refusal:
        diversification_input(bytes.fromhex(uid), 0x3042F5, SYSTEM)
    assert refusal.value.code is Code.UID_UNUSABLE
    assert refusal.value.facts == {"uid_length": len(uid) // 2}


@pytest.mark.parametrize("length", [0, 5, 19])
def test_a_system_identifier_outside_6_to_18_bytes_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="6 to 18"):
        diversification_input(UID, 0x3042F5, bytes(length))


@pytest.mark.parametrize("aid", [-1, 0x1000000])
def test_an_aid_outside_24_bits_is_refused(aid: int) -> None:
    with pytest.raises(ValueError, match="24 bits"):
        diversification_input(UID, aid, SYSTEM)
