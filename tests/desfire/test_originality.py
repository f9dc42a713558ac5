"""The originality signature: of NXP's keys, of our own, and what is none."""

import pytest
from Crypto.Hash import SHA256
from Crypto.PublicKey import ECC
from Crypto.Signature import DSS
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cardd.desfire.originality import NXP_KEYS, NxpKey, verify
from tests.desfire.recorded_card import load

pytestmark = pytest.mark.unit

ALL_PUBLISHED = load("desfire_originality.json")
PUBLISHED = ALL_PUBLISHED[0]
UID = bytes.fromhex(PUBLISHED["uid"])
SIGNATURE = bytes.fromhex(PUBLISHED["signature"])

# The order of secp224r1 (SEC 2, 2.5.1).
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFF16A2E0B8F03E13DD29455C5C2A3D


def signed(private: ECC.EccKey, uid: bytes) -> bytes:
    """Sign a bare UID with another library's arithmetic: s = (e + r d) / k."""
    number = SHA256.new(uid).digest()[:27]
    k = int.from_bytes(number) or 1
    point = ECC.construct(curve="P-224", d=k).pointQ
    r = int(point.x) % ORDER
    s = (int.from_bytes(uid) + r * int(private.d)) * pow(k, -1, ORDER) % ORDER
    return r.to_bytes(28) + s.to_bytes(28)


def public(private: ECC.EccKey) -> NxpKey:
    point = private.pointQ
    return NxpKey("ours", b"\x04" + int(point.x).to_bytes(28) + int(point.y).to_bytes(28), "test")


PRIVATE = ECC.construct(curve="P-224", d=0x1234567890ABCDEF1234567890ABCDEF)


@pytest.mark.parametrize("published", ALL_PUBLISHED, ids=lambda published: published["uid"])
def test_a_published_signature_is_of_the_published_key(published: dict[str, str]):
    uid, signature = bytes.fromhex(published["uid"]), bytes.fromhex(published["signature"])
    assert verify(uid, signature) == published["key"]


@pytest.mark.parametrize("bit", range(0, 8 * 56, 5))
def test_a_damaged_signature_is_of_no_key(bit: int):
    damaged = (int.from_bytes(SIGNATURE) ^ 1 << bit).to_bytes(56)
    assert verify(UID, damaged) is None


@pytest.mark.parametrize("bit", range(56))
def test_a_signature_is_of_no_other_uid(bit: int):
    assert verify((int.from_bytes(UID) ^ 1 << bit).to_bytes(7), SIGNATURE) is None


@pytest.mark.parametrize("length", [4, 7, 10])
def test_a_signature_of_another_library_verifies_for_each_length_of_uid(length: int):
    uid = bytes(range(4, 4 + length))
    assert verify(uid, signed(PRIVATE, uid), (public(PRIVATE),)) == "ours"
    assert verify(uid, signed(PRIVATE, uid)) is None


def test_a_signature_of_the_hash_of_the_uid_is_none():
    signature = DSS.new(PRIVATE, "deterministic-rfc6979").sign(SHA256.new(UID))
    assert verify(UID, signature, (public(PRIVATE),)) is None


@pytest.mark.parametrize(
    "signature",
    [
        bytes(56),
        b"\xff" * 56,
        ORDER.to_bytes(28) * 2,
        bytes(27) + b"\x01" + bytes(28),
        bytes(28) + bytes(27) + b"\x01",
    ],
    ids=["zeros", "ones", "the order", "s zero", "r zero"],
)
def test_numbers_that_no_signature_has_are_refused(signature: bytes):
    assert verify(UID, signature) is None


@pytest.mark.parametrize(("uid", "signature"), [(7, 55), (7, 57), (7, 0), (6, 56), (0, 56)])
def test_another_length_is_the_callers_mistake(uid: int, signature: int):
    with pytest.raises(ValueError, match="bytes"):
        verify(bytes(uid), bytes(signature))


def test_every_key_is_a_point_of_the_curve_and_says_where_it_is_from():
    for key in NXP_KEYS:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP224R1(), key.point)
        assert point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) == key.point
        assert key.source
    assert len({key.point for key in NXP_KEYS}) == len({key.name for key in NXP_KEYS}) == 6
