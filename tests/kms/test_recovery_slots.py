"""A keystore that custodians' shares open, or a key in a token."""

import os
from pathlib import Path

import pytest

from cardd.errors import CeremonyCode, CeremonyError, Code, Refused, StartCode, StartError
from cardd.kms.masters import keystore as file
from cardd.kms.masters.shares import Share, parse, split, text
from cardd.kms.masters.slots import (
    CredentialFile,
    RecoveryShares,
    RecoverySlot,
    TokenKey,
    describe,
    name_of,
    require_known,
)
from cardd.kms.ports import Purpose
from cardd.secret import Secret

pytestmark = pytest.mark.unit


@pytest.fixture
def slot(tmp_path: Path) -> CredentialFile:
    path = tmp_path / "credential"
    path.touch(mode=0o600)
    path.write_bytes(os.urandom(32))
    return CredentialFile(path)


@pytest.fixture
def keystore(tmp_path: Path, slot: CredentialFile) -> Path:
    path = tmp_path / "keystore.json"
    file.create(path, slot)
    return path


@pytest.fixture
def made(keystore: Path, slot: CredentialFile) -> tuple[Share, ...]:
    shares = split(Secret(os.urandom(16)), 2, 3)
    file.add_slot(keystore, slot, RecoveryShares(shares))
    return shares


def refusal(path: Path, *shares: Share) -> CeremonyCode:
    with pytest.raises(CeremonyError) as caught:
        file.open_keystore(path, RecoveryShares(shares))
    return caught.value.code


def token(name: str = "cardd/keystore/1", key: int = 1) -> TokenKey:
    """Return a key that stands for one in a token: not a CMAC, but as keyed."""
    return TokenKey(
        name, lambda message: bytes((key, len(message) % 256)) + message[:4] + bytes(10)
    )


def test_any_two_of_three_shares_open_it_and_give_the_same_keys(
    keystore: Path, slot: CredentialFile, made: tuple[Share, ...]
) -> None:
    expected = file.open_keystore(keystore, slot).mac(Purpose.PICC, 1, b"m")
    for pair in (made[:2], made[1:], (made[2], made[0]), made):
        typed = tuple(parse(" ".join(text(share))) for share in pair)
        masters = file.open_keystore(keystore, RecoveryShares(typed))
        assert masters.mac(Purpose.PICC, 1, b"m") == expected


def test_what_does_not_open_it_says_why(
    keystore: Path, slot: CredentialFile, made: tuple[Share, ...]
) -> None:
    one, two, _ = made
    strange = split(Secret(bytes(16)), 2, 2)
    forged = Share(two.set_id, two.index, two.threshold, Secret(bytes(16)))
    beyond = Share(two.set_id, 9, two.threshold, two.value)
    other_threshold = Share(two.set_id, two.index, 3, two.value)
    assert refusal(keystore, one) is CeremonyCode.SHARES_TOO_FEW
    assert refusal(keystore, one, one) is CeremonyCode.SHARE_TWICE
    assert refusal(keystore, *strange) is CeremonyCode.SHARE_UNKNOWN
    for wrong in (forged, beyond, other_threshold):
        assert refusal(keystore, one, wrong) is CeremonyCode.SHARE_WRONG
    again = split(Secret(os.urandom(16)), 2, 3)
    file.add_slot(keystore, slot, RecoveryShares(again))
    assert refusal(keystore, one, again[1]) is CeremonyCode.SHARES_MIXED
    assert file.open_keystore(keystore, RecoveryShares(made[1:])).counter == 3


def test_shares_of_a_dropped_slot_open_nothing(
    keystore: Path, slot: CredentialFile, made: tuple[Share, ...]
) -> None:
    name = next(
        name_of(each) for each in file.read_slots(keystore) if isinstance(each, RecoverySlot)
    )
    dropped = file.drop_slot_named(keystore, slot, name)
    assert describe(dropped) == f"2 of the 3 shares of the set {made[0].set_id}"
    assert refusal(keystore, *made) is CeremonyCode.SHARE_UNKNOWN
    with pytest.raises(Refused) as caught:
        file.drop_slot_named(keystore, slot, name)
    assert caught.value.code is Code.NOT_FOUND


def test_the_slot_that_opened_it_is_not_dropped_by_name(
    keystore: Path, slot: CredentialFile, made: tuple[Share, ...]
) -> None:
    (mine, recovery) = file.read_slots(keystore)
    with pytest.raises(Refused) as caught:
        file.drop_slot_named(keystore, slot, name_of(mine))
    assert caught.value.code is Code.CONFLICT
    file.drop_slot_named(keystore, RecoveryShares(made[:2]), name_of(mine))
    assert file.read_slots(keystore) == (recovery,)
    with pytest.raises(StartError) as start:
        file.open_keystore(keystore, slot)
    assert start.value.code is StartCode.KEYSTORE_PASSPHRASE


def test_each_custodian_is_told_of_a_wrong_share_before_the_others_come(
    keystore: Path, made: tuple[Share, ...]
) -> None:
    stored = file.read_slots(keystore)
    assert require_known(made[0], stored).threshold == 2
    with pytest.raises(CeremonyError):
        require_known(Share(made[0].set_id, 1, 2, made[1].value), stored)


def test_a_slot_is_made_with_all_its_shares(
    keystore: Path, slot: CredentialFile, made: tuple[Share, ...]
) -> None:
    before = keystore.read_bytes()
    with pytest.raises(ValueError, match="all shares"):
        file.add_slot(keystore, slot, RecoveryShares(made[1:]))
    assert keystore.read_bytes() == before


def test_no_share_stands_in_the_file(keystore: Path, made: tuple[Share, ...]) -> None:
    content = keystore.read_text()
    for share in made:
        assert share.value.reveal().hex() not in content
        assert all(group not in content for group in text(share))


def test_a_key_in_a_token_opens_its_slot_and_no_other(keystore: Path, slot: CredentialFile) -> None:
    file.add_slot(keystore, slot, token())
    assert file.open_keystore(keystore, token()).counter == 2
    for other in (token(key=2), token(name="cardd/keystore/2")):
        with pytest.raises(StartError) as caught:
            file.open_keystore(keystore, other)
        assert caught.value.code is StartCode.KEYSTORE_PASSPHRASE
