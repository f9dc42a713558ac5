"""What needs no token: the URI, the names of keys, and CMAC made of CBC."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from cardd.errors import StartCode, StartError
from cardd.kms.masters.names import Names
from cardd.kms.masters.pkcs11_cmac import Subkeys
from cardd.kms.masters.pkcs11_uri import TokenUri, parse
from cardd.kms.ports import Purpose

pytestmark = pytest.mark.unit

NIST = json.loads((Path(__file__).parents[1] / "vectors" / "cmac_aes128.json").read_text())
MODULE = "?module-path=/usr/lib/m.so"


def cbc_mac(key: bytes, message: bytes) -> bytes:
    def encrypt(data: bytes) -> bytes:
        context = Cipher(AES(key), CBC(bytes(16))).encryptor()
        return context.update(data) + context.finalize()

    return encrypt(Subkeys.derive(encrypt(bytes(16))).cbc_input(message))[-16:]


@pytest.mark.parametrize("vector", NIST["vectors"], ids=lambda v: f"{len(v['message']) // 2} bytes")
def test_cmac_made_of_cbc_is_that_of_sp_800_38b(vector: dict[str, str]) -> None:
    mac = cbc_mac(bytes.fromhex(NIST["key"]), bytes.fromhex(vector["message"]))
    assert mac == bytes.fromhex(vector["mac"])


@given(key=st.binary(min_size=16, max_size=16), message=st.binary(max_size=70))
def test_cmac_made_of_cbc_is_cmac_for_every_key_and_length(key: bytes, message: bytes) -> None:
    cmac = CMAC(AES(key))
    cmac.update(message)
    assert cbc_mac(key, message) == cmac.finalize()


def test_a_uri_says_token_module_and_prefix() -> None:
    assert parse("pkcs11:token=a%20b%3B;serial=01;object=site-2" + MODULE) == TokenUri(
        Path("/usr/lib/m.so"), {"token": "a b;", "serial": "01"}, "site-2"
    )
    assert parse("pkcs11:serial=01" + MODULE).prefix == "cardd"


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:",
        "pkcs11:token=t",
        "pkcs11:" + MODULE,
        "pkcs11:model=m" + MODULE,
        "pkcs11:token=t?module-path=lib/m.so",
        "pkcs11:token=t?module-name=m",
        "pkcs11:token=t;slot-id=1" + MODULE,
        "pkcs11:token=t;id=%01" + MODULE,
        "pkcs11:token=t;type=private" + MODULE,
        "pkcs11:token=t;x-vendor=1" + MODULE,
        "pkcs11:token=t;token=u" + MODULE,
        "pkcs11:token=" + MODULE,
        "pkcs11:token" + MODULE,
        "pkcs11:token=%FF" + MODULE,
        "pkcs11:token=t%00" + MODULE,
        "pkcs11:token=t;object=a%2Fb" + MODULE,
        "pkcs11:token=t;object=" + "a" * 33 + MODULE,
        "pkcs11:token=t" + MODULE + "&module-path=/other.so",
    ],
)
def test_a_uri_that_says_less_or_more_is_refused(uri: str) -> None:
    with pytest.raises(StartError) as caught:
        parse(uri)
    assert caught.value.code is StartCode.CONFIG_INVALID


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:token=t" + MODULE + "&pin-value=998877",
        "pkcs11:token=t" + MODULE + "&pin-source=file:/998877",
        "pkcs11:token=t;pin-value=998877" + MODULE,
    ],
)
def test_a_pin_in_the_uri_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(StartError, match=r"kms\.pin_file") as caught:
        parse(uri)
    assert "998877" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_other_text_is_refused_with_a_code(text: str) -> None:
    with pytest.raises(StartError) as caught:
        parse("pkcs11:" + text)
    assert caught.value.code is StartCode.CONFIG_INVALID


@given(st.sampled_from(list(Purpose)), st.integers(1, 255), st.booleans())
def test_a_name_says_purpose_generation_and_state(
    purpose: Purpose, generation: int, promoted: bool
) -> None:
    names = Names("cardd")
    text = names.master((purpose, generation), promoted=promoted)
    assert names.parse(text) == ((purpose, generation), promoted)
    assert Names("card").parse(text) is None
    assert Names("cardd/picc").parse(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cardd",
        "cardd/",
        "cardd/picc",
        "cardd/picc/0",
        "cardd/picc/256",
        "cardd/picc/01",
        "cardd/picc/1/",
        "cardd/picc/1/previous",
        "cardd/seal/1",
        "cardd/PICC/1",
        "cardd/picc/\u0661",
        "cardd/picc/1\n",
        "cardd/assertion/1",
    ],
)
def test_another_name_is_none_of_ours(text: str) -> None:
    assert Names("cardd").parse(text) is None
