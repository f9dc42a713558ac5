import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cardd.clock import SystemClock
from cardd.errors import KmsUnavailable, StartCode, StartError
from cardd.kms.audit.recording import open_audit
from cardd.kms.audit.verification import verify
from cardd.kms.masters.keystore import create, open_keystore
from cardd.kms.masters.slots import CredentialFile

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root"),
]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                return ballast


@pytest.mark.parametrize("durable", [True, False])
def test_a_full_disk_stops_the_audit_and_room_on_it_lets_it_go_on(
    small_disk: Path, durable: bool
) -> None:
    path = small_disk / "audit.jsonl"
    answered = []
    with open_audit(path, SystemClock(), "kms-1") as audit:
        audit.record("tap", number=0, durable=durable)
        answered.append(0)
        ballast = fill(small_disk)
        number, refused = 0, 0
        while refused < 5:
            number += 1
            try:
                audit.record("tap", number=number, durable=durable)
            except KmsUnavailable:
                refused += 1
            else:
                answered.append(number)
        with pytest.raises(KmsUnavailable, match="No space left"):
            audit.record("tap", number=number, durable=durable)
        assert verify(path).lines == 1 + len(answered)
        ballast.unlink()
        audit.record("tap", number=number + 1, durable=durable)
        answered.append(number + 1)
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [line["facts"]["number"] for line in lines if line["event"] == "tap"] == answered
    assert [line["event"] for line in lines[-2:]] == ["audit.resumed", "tap"]
    assert lines[-2]["facts"]["refused"] == 6
    assert verify(path).lines == len(answered) + 2


def test_a_full_disk_at_the_recovery_of_a_torn_line_is_said_and_nothing_is_lost(
    small_disk: Path,
) -> None:
    path = small_disk / "audit.jsonl"
    with open_audit(path, SystemClock(), "kms-1") as audit:
        while path.stat().st_size < 4096 - 400:
            audit.record("tap", text="x" * 100)
        count = verify(path).lines
    with path.open("ab") as file:
        file.write(b'{"seq":' + b" " * (4096 - path.stat().st_size - 7))
    ballast = fill(small_disk)
    with pytest.raises(StartError) as error:
        open_audit(path, SystemClock(), "kms-1")
    assert error.value.code is StartCode.AUDIT_UNAVAILABLE
    ballast.unlink()
    open_audit(path, SystemClock(), "kms-1").close()
    assert verify(path).lines == count + 1


def test_a_keystore_that_does_not_fit_the_disk_is_not_there_at_all(
    small_disk: Path, tmp_path: Path
) -> None:
    credential = tmp_path / "credential"
    credential.touch(mode=0o600)
    credential.write_bytes(os.urandom(32))
    ballast = fill(small_disk)
    with pytest.raises(StartError) as error:
        create(small_disk / "keystore.json", CredentialFile(credential))
    assert error.value.code is StartCode.KEYSTORE_UNAVAILABLE
    assert list(small_disk.iterdir()) == [ballast]
    ballast.unlink()
    create(small_disk / "keystore.json", CredentialFile(credential))
    assert open_keystore(small_disk / "keystore.json", CredentialFile(credential)).counter == 1
