import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardd.errors import Code, Refused, StartCode, StartError
from cardd.kms.masters import envelope as form
from cardd.kms.masters.keystore import (
    add_slot,
    create,
    drop_slot,
    open_keystore,
)
from cardd.kms.masters.passphrases import Argon2idCost
from cardd.kms.masters.slots import CredentialFile, Passphrase, unlock
from cardd.kms.masters.soft import SoftMasters
from cardd.kms.masters.soft_keys import add_generation
from cardd.kms.masters.wrapping import unwrap
from cardd.kms.ports import BADGE_PURPOSES, Purpose
from cardd.secret import Secret

pytestmark = pytest.mark.unit

CHEAP = Argon2idCost(memory_kib=1024, iterations=1, lanes=1)


def passphrase(text: str = "correct horse battery staple") -> Passphrase:
    return Passphrase(Secret(text.encode()), CHEAP)


@pytest.fixture
def slot(tmp_path: Path) -> CredentialFile:
    path = tmp_path / "credential"
    path.touch(mode=0o600)
    path.write_bytes(os.urandom(32))
    return CredentialFile(path)


@pytest.fixture
def keystore(tmp_path: Path, slot: CredentialFile) -> Path:
    path = tmp_path / "keystore.json"
    create(path, slot)
    return path


def refusal(action: Callable[[], object]) -> StartCode:
    with pytest.raises(StartError) as error:
        action()
    return error.value.code


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the document and give it the checksum that fits, as somebody with an editor could."""
    document = json.loads(path.read_bytes())
    change(document)
    document["checksum"] = ""
    unchecked = msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
    checksum = hashlib.sha256(unchecked).digest()
    document["checksum"] = base64.b64encode(checksum).decode()
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def macs(masters: SoftMasters) -> set[bytes]:
    return {masters.mac(purpose, 1, b"a message") for purpose in Purpose}


@pytest.mark.parametrize("kind", ["passphrase", "credential file"])
def test_what_was_created_opens_with_one_random_master_for_each_purpose(
    tmp_path: Path, slot: CredentialFile, kind: str
) -> None:
    key = slot if kind == "credential file" else passphrase()
    create(tmp_path / "one", key)
    create(tmp_path / "two", key)
    one, again = open_keystore(tmp_path / "one", key), open_keystore(tmp_path / "one", key)
    assert {one.current(purpose) for purpose in Purpose} == {1}
    assert one.counter == 1
    assert macs(one) == macs(again)
    assert len(macs(one) | macs(open_keystore(tmp_path / "two", key))) == 2 * len(Purpose)
    assert again.open(one.seal(b"x", b"row"), b"row") == Secret(b"x")
    assert again.assertion_key == one.assertion_key


def test_the_default_cost_of_a_passphrase_is_that_of_the_design(tmp_path: Path) -> None:
    path = tmp_path / "keystore.json"
    create(path, Passphrase(Secret(b"a passphrase")))
    stored = json.loads(path.read_bytes())["slots"][0]
    assert stored["kind"] == "passphrase"
    assert stored["cost"] == {"memory_kib": 65536, "iterations": 3, "lanes": 4}
    assert open_keystore(path, passphrase("a passphrase")).counter == 1


def test_the_file_is_its_owners_and_no_draft_of_it_stays(keystore: Path) -> None:
    assert keystore.stat().st_mode & 0o777 == 0o600
    assert keystore.stat().st_nlink == 1
    assert sorted(path.name for path in keystore.parent.iterdir()) == [
        "credential",
        "keystore.json",
    ]


def test_no_key_stands_in_the_file_in_the_clear(keystore: Path, slot: CredentialFile) -> None:
    content = keystore.read_bytes()
    document = form.decode(content, "")
    kek, _ = unlock(slot, document.slots, document.id)
    for secret in [kek, *form.open_keys(document, kek, "").values()]:
        assert base64.b64encode(secret.reveal()) not in content
        assert secret.reveal().hex().encode() not in content.lower()


@pytest.mark.parametrize("flip", [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF])
def test_a_flipped_byte_anywhere_in_the_file_is_found(
    keystore: Path, slot: CredentialFile, flip: int
) -> None:
    good = keystore.read_bytes()
    unseen = []
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= flip
        keystore.write_bytes(bad)
        if refusal(lambda: open_keystore(keystore, slot)) is not StartCode.KEYSTORE_DAMAGED:
            unseen.append(position)
    assert unseen == []
    keystore.write_bytes(good)
    assert open_keystore(keystore, slot).counter == 1


def test_a_file_cut_anywhere_or_with_anything_after_it_is_damaged(
    keystore: Path, slot: CredentialFile
) -> None:
    good = keystore.read_bytes()
    damaged = [good[:length] for length in range(len(good))]
    damaged += [good + b"\n", good + b" ", good + good, b" " + good, good.replace(b"\n", b"\r\n")]
    for content in damaged:
        keystore.write_bytes(content)
        code = refusal(lambda: open_keystore(keystore, slot))
        assert code is StartCode.KEYSTORE_DAMAGED, content


@pytest.mark.parametrize(
    "change", [{"purpose": "transport"}, {"generation": 2}, {"state": "next"}, {"id": "0" * 32}]
)
def test_a_wrapped_key_opens_under_its_own_description_and_keystore_alone(
    change: dict[str, Any],
) -> None:
    kek, key = Secret(bytes(32)), Secret(bytes(range(16)))
    stored = form.new_key("a" * 32, kek, "picc", key)
    assert unwrap(stored, kek, "a" * 32) == key
    assert unwrap(msgspec.structs.replace(stored, **change), kek, "a" * 32) is None
    assert unwrap(stored, kek, "b" * 32) is None
    assert unwrap(stored, Secret(bytes(31) + b"\x01"), "a" * 32) is None


def swap_keys(document: dict[str, Any]) -> None:
    one, two = document["keys"][0], document["keys"][1]
    one["purpose"], two["purpose"] = two["purpose"], one["purpose"]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(counter=2),
        lambda d: d.update(id="0" * 32),
        lambda d: d["keys"].pop(),
        lambda d: d["keys"].append(d["keys"][0]),
        lambda d: d["keys"][0].update(generation=2),
        lambda d: d["keys"][0].update(state="previous"),
        lambda d: d["keys"].reverse(),
        lambda d: d["slots"].append({**d["slots"][0], "salt": "AAAAAAAAAAAAAAAAAAAAAA=="}),
        lambda d: d.update(authentication=""),
        swap_keys,
    ],
)
def test_a_change_with_a_checksum_that_fits_is_still_found(
    keystore: Path, slot: CredentialFile, change: Callable[[dict[str, Any]], object]
) -> None:
    rewrite(keystore, change)
    code = refusal(lambda: open_keystore(keystore, slot))
    assert code in {StartCode.KEYSTORE_DAMAGED, StartCode.KEYSTORE_PASSPHRASE}


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["slots"][0]["cost"].update(memory_kib=2**31),
        lambda d: d["slots"][0]["cost"].update(memory_kib=1),
        lambda d: d["slots"][0]["cost"].update(iterations=2**40),
        lambda d: d["slots"][0]["cost"].update(lanes=0),
        lambda d: d["slots"][0].update(salt=""),
        lambda d: d["slots"].extend(d["slots"] * 8),
        lambda d: d.update(slots=[]),
        lambda d: d.update(version=2),
        lambda d: d.update(counter=-1),
        lambda d: d.update(extra=1),
    ],
)
def test_a_hostile_parameter_is_refused_before_it_costs_anything(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keystore.json"
    create(path, passphrase())
    rewrite(path, change)
    monkeypatch.delattr("cardd.kms.masters.passphrases.Argon2id")  # nothing derives a key any more
    assert refusal(lambda: open_keystore(path, passphrase())) is StartCode.KEYSTORE_DAMAGED


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=300)
    | st.recursive(
        st.none() | st.integers() | st.text() | st.floats(allow_nan=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_other_content_is_damage(keystore: Path, slot: CredentialFile, content: bytes) -> None:
    keystore.write_bytes(content)
    assert refusal(lambda: open_keystore(keystore, slot)) is StartCode.KEYSTORE_DAMAGED


@pytest.mark.parametrize("content", [b"[" * 60_000, b'{"slots":' * 7_000, b" " * 10**6])
def test_deep_and_large_content_is_damage(
    keystore: Path, slot: CredentialFile, content: bytes
) -> None:
    keystore.write_bytes(content)
    assert refusal(lambda: open_keystore(keystore, slot)) is StartCode.KEYSTORE_DAMAGED


def test_a_wrong_passphrase_is_told_from_damage(tmp_path: Path, slot: CredentialFile) -> None:
    path = tmp_path / "keystore.json"
    create(path, passphrase())
    code = StartCode.KEYSTORE_PASSPHRASE
    assert refusal(lambda: open_keystore(path, passphrase("another"))) is code
    assert refusal(lambda: open_keystore(path, slot)) is code
    rewrite(path, lambda d: d["slots"][0]["cost"].update(iterations=2))
    assert refusal(lambda: open_keystore(path, passphrase())) is code


def test_an_empty_passphrase_makes_no_keystore(tmp_path: Path) -> None:
    path = tmp_path / "keystore.json"
    assert refusal(lambda: create(path, passphrase(""))) is StartCode.KEYSTORE_PASSPHRASE
    assert not path.exists()


def test_the_wrong_credential_does_not_open_it(keystore: Path, slot: CredentialFile) -> None:
    slot.path.write_bytes(os.urandom(32))
    assert refusal(lambda: open_keystore(keystore, slot)) is StartCode.KEYSTORE_PASSPHRASE


@pytest.mark.parametrize("length", [0, 31, 4097])
def test_a_credential_of_another_length_is_refused(
    tmp_path: Path, slot: CredentialFile, length: int
) -> None:
    slot.path.write_bytes(bytes(length))
    path = tmp_path / "keystore.json"
    assert refusal(lambda: create(path, slot)) is StartCode.KEYSTORE_PASSPHRASE
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o601])
def test_a_credential_that_others_can_reach_is_refused(
    keystore: Path, slot: CredentialFile, mode: int
) -> None:
    slot.path.chmod(mode)
    assert refusal(lambda: open_keystore(keystore, slot)) is StartCode.KEYSTORE_PERMISSIONS


def test_a_credential_as_systemd_grants_it_by_acl_is_accepted(
    keystore: Path, slot: CredentialFile
) -> None:
    slot.path.chmod(0o440)
    assert open_keystore(keystore, slot).counter == 1


def test_a_missing_credential_is_named(keystore: Path, slot: CredentialFile) -> None:
    slot.path.unlink()
    with pytest.raises(StartError, match="no credential file at") as error:
        open_keystore(keystore, slot)
    assert error.value.code is StartCode.KEYSTORE_NOT_FOUND


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_keystore_that_others_can_reach_is_refused(
    keystore: Path, slot: CredentialFile, mode: int
) -> None:
    keystore.chmod(mode)
    assert refusal(lambda: open_keystore(keystore, slot)) is StartCode.KEYSTORE_PERMISSIONS


def test_an_existing_keystore_is_never_replaced(keystore: Path, slot: CredentialFile) -> None:
    before = keystore.read_bytes()
    assert refusal(lambda: create(keystore, slot)) is StartCode.KEYSTORE_EXISTS
    assert keystore.read_bytes() == before


def test_a_keystore_made_meanwhile_is_never_replaced(
    keystore: Path, slot: CredentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keystore.read_bytes()
    monkeypatch.setattr("cardd.kms.masters.keystore.os.path.lexists", lambda path: False)
    assert refusal(lambda: create(keystore, slot)) is StartCode.KEYSTORE_EXISTS
    assert keystore.read_bytes() == before
    assert sorted(path.name for path in keystore.parent.iterdir()) == [
        "credential",
        "keystore.json",
    ]


def test_a_keystore_that_is_missing_or_no_file_is_said_so(
    tmp_path: Path, slot: CredentialFile
) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for name, code in {
        "none": StartCode.KEYSTORE_NOT_FOUND,
        "none/below": StartCode.KEYSTORE_NOT_FOUND,
        "credential/below": StartCode.KEYSTORE_NOT_FOUND,
        "pipe": StartCode.KEYSTORE_UNAVAILABLE,
        "folder": StartCode.KEYSTORE_UNAVAILABLE,
    }.items():
        assert refusal(lambda: open_keystore(tmp_path / name, slot)) is code, name  # noqa: B023


def test_a_missing_folder_is_said_so_at_creation(tmp_path: Path, slot: CredentialFile) -> None:
    code = refusal(lambda: create(tmp_path / "none" / "keystore.json", slot))
    assert code is StartCode.KEYSTORE_NOT_FOUND


def test_no_error_shows_the_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "keystore.json"
    create(path, passphrase())
    with pytest.raises(StartError) as error:
        open_keystore(path, passphrase("hunter2 hunter2"))
    assert "hunter2" not in f"{error.value!s}{error.value!r}{error.value.facts}"
    assert "hunter2" not in repr(passphrase("hunter2 hunter2"))


def test_another_slot_opens_the_same_keys_and_the_counter_grows(
    keystore: Path, slot: CredentialFile
) -> None:
    before = open_keystore(keystore, slot)
    add_slot(keystore, slot, passphrase())
    after = open_keystore(keystore, passphrase())
    assert (before.counter, after.counter) == (1, 2)
    assert macs(open_keystore(keystore, slot)) == macs(before) == macs(after)
    assert after.assertion_key == before.assertion_key
    assert keystore.stat().st_mode & 0o777 == 0o600
    assert len(list(keystore.parent.iterdir())) == 2


def test_a_dropped_slot_opens_it_no_more(keystore: Path, slot: CredentialFile) -> None:
    add_slot(keystore, slot, passphrase())
    drop_slot(keystore, slot)
    assert refusal(lambda: open_keystore(keystore, slot)) is StartCode.KEYSTORE_PASSPHRASE
    assert open_keystore(keystore, passphrase()).counter == 3


def test_the_last_slot_stays_and_there_are_eight_at_most(
    keystore: Path, slot: CredentialFile
) -> None:
    with pytest.raises(Refused, match="add another slot first") as refused:
        drop_slot(keystore, slot)
    assert refused.value.code is Code.CONFLICT
    for number in range(7):
        add_slot(keystore, slot, passphrase(f"number {number}"))
    before = keystore.read_bytes()
    with pytest.raises(Refused, match="8 slots at most"):
        add_slot(keystore, slot, passphrase("one too many"))
    assert keystore.read_bytes() == before
    assert open_keystore(keystore, passphrase("number 6")).counter == 8


def test_whoever_cannot_open_it_cannot_change_it(keystore: Path, slot: CredentialFile) -> None:
    before = keystore.read_bytes()
    wrong = passphrase("wrong")
    code = StartCode.KEYSTORE_PASSPHRASE
    assert refusal(lambda: add_slot(keystore, wrong, wrong)) is code
    assert refusal(lambda: drop_slot(keystore, wrong)) is code
    assert refusal(lambda: add_slot(keystore, slot, passphrase(""))) is code
    assert keystore.read_bytes() == before
    missing = keystore.parent / "none" / "keystore.json"
    assert refusal(lambda: drop_slot(missing, slot)) is StartCode.KEYSTORE_NOT_FOUND


def test_changes_at_the_same_time_are_made_one_after_the_other(
    keystore: Path, slot: CredentialFile
) -> None:
    threads = [
        threading.Thread(target=add_slot, args=(keystore, slot, passphrase(f"number {number}")))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    counters = {open_keystore(keystore, passphrase(f"number {n}")).counter for n in range(6)}
    assert counters == {7}


@pytest.mark.parametrize("changes", [1, 2, 5, 9, 20, 33])
def test_a_process_killed_while_it_replaces_the_file_leaves_one_that_opens(
    keystore: Path, slot: CredentialFile, changes: int
) -> None:
    writer = (
        "import sys; from pathlib import Path\n"
        "from cardd.kms.masters.keystore import add_slot, drop_slot\n"
        "from cardd.kms.masters.slots import CredentialFile\n"
        "path, slot = Path(sys.argv[1]), CredentialFile(Path(sys.argv[2]))\n"
        "while True:\n"
        "    add_slot(path, slot, slot); print('.', flush=True); drop_slot(path, slot)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", writer, keystore, slot.path], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(changes):
        process.stdout.readline()
    process.kill()
    process.communicate(timeout=10)
    assert open_keystore(keystore, slot).counter >= 2 * changes


def test_a_new_generation_is_current_and_the_one_before_it_stays(
    keystore: Path, slot: CredentialFile
) -> None:
    before = open_keystore(keystore, slot)
    assert add_generation(keystore, slot, BADGE_PURPOSES) == 2
    assert add_generation(keystore, slot, BADGE_PURPOSES) == 3
    after = open_keystore(keystore, slot)
    assert after.counter == 3
    for purpose in BADGE_PURPOSES:
        assert (after.current(purpose), after.generations(purpose)) == (3, (1, 2, 3))
        assert after.mac(purpose, 1, b"m") == before.mac(purpose, 1, b"m")
        assert len({after.mac(purpose, each, b"m") for each in (1, 2, 3)}) == 3
    for purpose in (Purpose.TRANSPORT, Purpose.REGISTRY):
        assert (after.current(purpose), after.generations(purpose)) == (1, (1,))
    assert after.open(before.seal(b"x", b"row"), b"row") == Secret(b"x")
    states = [key["state"] for key in json.loads(keystore.read_bytes())["keys"]]
    assert states.count("previous") == 2 * len(BADGE_PURPOSES)


def test_a_keystore_that_is_full_takes_no_generation_and_stays_as_it_was(
    keystore: Path, slot: CredentialFile
) -> None:
    room = (form.MAXIMUM_KEYS - len(Purpose) - 2) // len(BADGE_PURPOSES)
    for _ in range(room):
        add_generation(keystore, slot, BADGE_PURPOSES)
    with pytest.raises(Refused) as caught:
        add_generation(keystore, slot, BADGE_PURPOSES)
    assert caught.value.code is Code.CONFLICT
    assert open_keystore(keystore, slot).counter == 1 + room
