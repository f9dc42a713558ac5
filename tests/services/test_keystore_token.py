"""A keystore that a key in a SoftHSM2 token opens."""

from pathlib import Path

import pytest

from cardd.config import Config, parse
from cardd.errors import KmsUnavailable, StartCode, StartError
from cardd.kms.masters import keystore
from cardd.kms.masters.configured import keystore_slot
from cardd.kms.masters.keystore_token import make_token_key, token_key
from cardd.kms.masters.opening import open_keys
from cardd.kms.masters.slots import CredentialFile, describe
from cardd.kms.ports import Purpose
from cardd.secret import Secret
from tests.services.fixtures import Token

pytestmark = pytest.mark.services


@pytest.fixture
def credential(tmp_path: Path) -> CredentialFile:
    path = tmp_path / "credential"
    path.touch(mode=0o600)
    path.write_bytes(bytes(range(32)))
    return CredentialFile(path)


@pytest.fixture
def made(tmp_path: Path, credential: CredentialFile) -> Path:
    path = tmp_path / "keystore.json"
    keystore.create(path, credential)
    return path


def uri(token: Token) -> str:
    return f"pkcs11:token={token.label}?module-path={token.module}"


def configuration(folder: Path, token: Token, pin: str) -> Config:
    file = folder / "pin"
    file.touch(mode=0o600)
    file.write_text(pin + "\n")
    return parse(
        f"""
        [badge]
        system_identifier = "4E585020416275"
        [kms]
        masters = "soft:{folder}/keystore.json"
        keystore_token = "{uri(token)}"
        pin_file = "{file}"
        registry = "sqlite:{folder}/registry.db"
        audit = "{folder}/audit.jsonl"
        """,
        "test",
    )


def test_a_key_that_was_made_in_the_token_opens_the_keystore_by_configuration(
    tmp_path: Path, token: Token, made: Path, credential: CredentialFile
) -> None:
    expected = keystore.open_keystore(made, credential).kcv(Purpose.PICC, 1)
    pin = Secret(token.pin.encode())
    key = make_token_key(uri(token), pin)
    assert make_token_key(uri(token), pin).name == key.name  # there is one, whoever asks again
    keystore.add_slot(made, credential, key)
    assert describe(keystore.read_slots(made)[1]) == "the key cardd/keystore/1 of a PKCS #11 token"
    config = configuration(tmp_path, token, token.pin)
    keystore.drop_slot(made, credential)
    with open_keys(config.kms) as keys:
        assert keys.masters.kcv(Purpose.PICC, 1) == expected


def test_a_token_without_the_key_opens_nothing(token: Token, made: Path) -> None:
    pin = Secret(token.pin.encode())
    key = token_key(uri(token), pin)
    with pytest.raises(KmsUnavailable, match="has 0 keys cardd/keystore/1"):
        key.mac(b"a message")
    with pytest.raises(StartError) as caught:  # no slot is under such a key: nothing is asked
        keystore.open_keystore(made, key)
    assert caught.value.code is StartCode.KEYSTORE_PASSPHRASE


def test_a_wrong_pin_is_said_and_tried_once(
    tmp_path: Path, token: Token, made: Path, credential: CredentialFile
) -> None:
    key = make_token_key(uri(token), Secret(token.pin.encode()))
    keystore.add_slot(made, credential, key)
    config = configuration(tmp_path, token, "00000000")
    with pytest.raises(StartError) as caught:
        keystore.open_keystore(made, keystore_slot(config.kms))
    assert caught.value.code is StartCode.MASTERS_CREDENTIALS


def test_another_tokens_key_of_the_same_name_opens_nothing(
    token: Token, made: Path, credential: CredentialFile
) -> None:
    pin = Secret(token.pin.encode())
    key = make_token_key(uri(token), pin)
    keystore.add_slot(made, credential, key)
    other = uri(token).replace("?", ";object=other?")
    foreign = make_token_key(other, pin)
    renamed = type(key)(key.name, foreign.mac)
    with pytest.raises(StartError) as caught:
        keystore.open_keystore(made, renamed)
    assert caught.value.code is StartCode.KEYSTORE_PASSPHRASE
