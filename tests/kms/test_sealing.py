import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFCMAC, CounterLocation, Mode
from hypothesis import given
from hypothesis import strategies as st

from cardd.errors import KmsUnavailable
from cardd.kms.masters import sealing
from cardd.kms.masters.soft import SoftMasters
from cardd.kms.ports import Purpose
from cardd.secret import Secret

pytestmark = pytest.mark.unit

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "kdf_counter_cmac_aes128.json").read_text()
)["vectors"]
KEYS = {(Purpose.REGISTRY, 1): bytes(range(16)), (Purpose.REGISTRY, 2): bytes(range(1, 17))}


def masters(current: int = 2, keys: dict[tuple[Purpose, int], bytes] = KEYS) -> SoftMasters:
    """Masters of which nothing but the MAC is used here."""
    held = {name: Secret(key) for name, key in keys.items()}
    return SoftMasters(held, {Purpose.REGISTRY: current}, Secret(bytes(32)), Secret(b""), 1)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{len(v['output']) * 4} bits")
def test_the_kdf_is_that_of_sp_800_108(vector: dict[str, str]) -> None:
    held = masters(keys={(Purpose.REGISTRY, 1): bytes.fromhex(vector["key"])})
    output = bytes.fromhex(vector["output"])
    for length in (len(output), len(output) - 1, 1):
        derived = sealing.kdf_counter_mode(
            lambda message: held.mac(Purpose.REGISTRY, 1, message),
            bytes.fromhex(vector["fixed_input"]),
            length,
        )
        assert derived == output[:length]


def test_a_sealed_value_is_what_its_description_says() -> None:
    sealed = sealing.seal(masters(), b"plaintext", b"row 1")
    header, nonce = sealed[:18], sealed[2:18]
    assert header[:2] == bytes((2, 2))
    kdf = KBKDFCMAC(
        algorithm=AES,
        mode=Mode.CounterMode,
        length=32,
        rlen=4,
        llen=4,
        location=CounterLocation.BeforeFixed,
        label=b"cardd seal v2",
        context=nonce,
        fixed=None,
    )
    key = AESGCM(kdf.derive(KEYS[Purpose.REGISTRY, 2]))
    assert key.decrypt(bytes(12), sealed[18:], header + b"row 1") == b"plaintext"


@given(plaintext=st.binary(max_size=200), associated=st.binary(max_size=80))
def test_what_is_sealed_opens_again_also_after_the_next_generation(
    plaintext: bytes, associated: bytes
) -> None:
    sealed = sealing.seal(masters(current=1), plaintext, associated)
    assert sealing.open_sealed(masters(current=2), sealed, associated) == Secret(plaintext)
    assert sealed != sealing.seal(masters(current=1), plaintext, associated)


@given(data=st.data(), plaintext=st.binary(max_size=40))
def test_a_changed_value_or_context_does_not_open(data: st.DataObject, plaintext: bytes) -> None:
    sealed = bytearray(sealing.seal(masters(), plaintext, b"row 1"))
    with pytest.raises(KmsUnavailable):
        sealing.open_sealed(masters(), bytes(sealed), b"row 2")
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(KmsUnavailable):
        sealing.open_sealed(masters(), bytes(sealed), b"row 1")


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda rest: b"\x02\x01" + rest))
def test_anything_else_is_refused(sealed: bytes) -> None:
    with pytest.raises(KmsUnavailable):
        sealing.open_sealed(masters(), sealed, b"")


def test_a_value_of_a_keystore_s_own_seal_key_does_not_open_under_masters() -> None:
    with pytest.raises(KmsUnavailable, match="malformed"):
        sealing.open_sealed(masters(), masters().seal(b"a value of a length", b""), b"")
