"""Old copies of keystore, registry and audit are put back while the key service is stopped."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from cardd import assembly
from cardd.clock import SystemClock
from cardd.config import Config
from cardd.errors import Code, Refused, StartCode, StartError
from cardd.kms import rollback
from cardd.kms.audit.checkpoints import CheckpointKeys
from cardd.kms.audit.recording import open_audit
from cardd.kms.audit.verification import verify
from cardd.kms.marks import MARKED, position
from cardd.kms.masters.opening import open_keys
from cardd.kms.ports import Masters, Purpose
from cardd.store.opening import configured, create_registry
from cardd.store.sealing import MastersSealer
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import (
    configuration,
    encoded,
    holder,
    key_service,
    new_generation,
    tapped,
)

pytestmark = pytest.mark.faults

KEYSTORE, REGISTRY, AUDIT = "keystore.json", "registry.db", "audit.jsonl"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = configuration(tmp_path)
    with key_service(made):
        pass
    return made


def copied(folder: Path, *names: str) -> Path:
    """Copy files as a backup of a stopped key service does."""
    backup = folder / "backup"
    backup.mkdir()
    for name in names:
        for path in folder.glob(f"{name}*"):
            shutil.copy2(path, backup / path.name)
    return backup


def put_back(folder: Path, backup: Path) -> None:
    for path in backup.iterdir():
        for newer in folder.glob(f"{path.name}*"):
            newer.unlink()
        shutil.copy2(path, folder / path.name)


def refused(config: Config) -> StartError:
    with pytest.raises(StartError) as caught, key_service(config):
        pass
    return caught.value


def accept(config: Config, reason: str = "the disk died") -> list[str]:
    with open_keys(config.kms) as keys, assembly.open_marker(config, keys.masters) as marker:
        return [finding.older.value for finding in rollback.accept(marker, reason, ("ada", "bob"))]


def events(config: Config, event: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in config.kms.audit.read_text().splitlines()]
    return [line["facts"] for line in lines if line["event"] == event]


def test_a_key_service_that_nobody_touched_starts_again_and_again(config: Config) -> None:
    for _ in range(3):
        with key_service(config):
            pass
    numbers = [facts["number"] for facts in events(config, MARKED)]
    assert numbers == list(range(1, 9))


def test_an_old_keystore_put_back_is_found_and_named(config: Config, tmp_path: Path) -> None:
    backup = copied(tmp_path, KEYSTORE)
    new_generation(config)
    with key_service(config):
        pass
    put_back(tmp_path, backup)
    error = refused(config)
    assert error.code is StartCode.KEYSTORE_ROLLED_BACK
    assert error.facts["older"] == ["keystore"]
    assert "its counter is 1, and the registry knows 2" in str(error)
    assert "accept-restore" in str(error)
    assert refused(config).code is error.code  # it was no trial


def test_an_old_registry_put_back_is_found_and_a_revocation_not_undone(
    config: Config, tmp_path: Path
) -> None:
    badge = VirtualDesfire.factory("ev2")
    with key_service(config) as service:
        receipt = encoded(service, badge, holder(service).id)
        tapped(service, badge)
    backup = copied(tmp_path, REGISTRY)
    with key_service(config) as service:
        service.revoke_badge(receipt.badge, "stolen")
    put_back(tmp_path, backup)
    error = refused(config)
    assert error.code is StartCode.REGISTRY_ROLLED_BACK
    assert error.facts["older"] == ["registry"]
    assert "its mark is number 4, and the audit knows number 6" in str(error)


def test_both_put_back_are_both_named(config: Config, tmp_path: Path) -> None:
    backup = copied(tmp_path, KEYSTORE, REGISTRY)
    new_generation(config)
    with key_service(config):
        pass
    put_back(tmp_path, backup)
    error = refused(config)
    assert error.code is StartCode.KEYSTORE_ROLLED_BACK
    assert error.facts["older"] == ["keystore", "registry"]
    assert "the audit knows 2" in str(error)


@pytest.mark.parametrize("names", [(AUDIT,), (AUDIT, KEYSTORE)])
def test_an_old_audit_put_back_is_found(
    config: Config, tmp_path: Path, names: tuple[str, ...]
) -> None:
    backup = copied(tmp_path, *names)
    with key_service(config) as service:
        holder(service)
    put_back(tmp_path, backup)
    error = refused(config)
    assert error.code is StartCode.AUDIT_ROLLED_BACK
    assert error.facts["older"] == ["audit"]
    assert "it ends at line 5, and the registry knows" in str(error)


def test_an_audit_that_was_cut_and_written_on_is_found(config: Config) -> None:
    with key_service(config) as service:
        holder(service)
    lines = config.kms.audit.read_bytes().splitlines(keepends=True)
    config.kms.audit.write_bytes(b"".join(lines[:6]))

    with open_audit(config.kms.audit, SystemClock(), config.kms.replica) as audit:
        for _ in range(10):
            audit.record("tap")
    error = refused(config)
    assert error.code is StartCode.AUDIT_ROLLED_BACK
    assert "is not the one that the registry knows" in str(error)


def test_an_audit_that_was_taken_away_is_found(config: Config) -> None:
    config.kms.audit.unlink()
    error = refused(config)
    assert error.code is StartCode.AUDIT_ROLLED_BACK
    assert "another file" in str(error)


def test_all_of_them_put_back_is_found_by_the_witness_alone(config: Config, tmp_path: Path) -> None:

    backup = copied(tmp_path, KEYSTORE, REGISTRY, AUDIT)
    with key_service(config):
        pass
    witness = tmp_path / "witness"
    witness.write_text("\n".join(str(each["jws"]) for each in events(config, "audit.checkpoint")))
    put_back(tmp_path, backup)
    keys = CheckpointKeys(assembly.public_keys(config))
    with pytest.raises(StartError, match="older copy was put back"):
        verify(config.kms.audit, keys=keys, witness=witness)
    with key_service(config):
        pass  # nothing on this machine knows better


def test_a_row_of_marks_that_is_deleted_or_changed_is_found(config: Config, tmp_path: Path) -> None:

    with closing(sqlite3.connect(tmp_path / REGISTRY)) as database, database:
        database.execute("UPDATE replica_mark SET number = 900")
    error = refused(config)
    assert error.code is StartCode.REGISTRY_UNAVAILABLE
    assert "altered" in str(error)
    with closing(sqlite3.connect(tmp_path / REGISTRY)) as database, database:
        database.execute("DELETE FROM replica_mark")
    assert refused(config).code is StartCode.REGISTRY_ROLLED_BACK


def test_a_registry_of_another_birth_is_found(config: Config, tmp_path: Path) -> None:

    for path in tmp_path.glob(f"{REGISTRY}*"):
        path.unlink()
    with open_keys(config.kms) as keys:
        sealer = MastersSealer(keys.masters)
        create_registry(configured(config.kms), sealer, assembly.site_of(config)).close()
    error = refused(config)
    assert error.code is StartCode.REGISTRY_ROLLED_BACK
    assert "the audit was written with" in str(error)


@pytest.mark.parametrize("names", [(KEYSTORE,), (REGISTRY,), (AUDIT,), (KEYSTORE, REGISTRY)])
def test_a_restore_that_is_accepted_goes_on_and_is_in_the_audit(
    config: Config, tmp_path: Path, names: tuple[str, ...]
) -> None:
    backup = copied(tmp_path, *names)
    new_generation(config)
    with key_service(config) as service:
        holder(service, "B7")
    put_back(tmp_path, backup)
    refused(config)
    older = accept(config)
    with key_service(config) as service:
        if REGISTRY in names:
            with pytest.raises(Refused) as caught:
                service.holder("B7")
            assert caught.value.code is Code.NOT_FOUND
        badge = VirtualDesfire.factory("ev2")
        encoded(service, badge, holder(service, "C9").id)
        tapped(service, badge)
    (said,) = events(config, rollback.ACCEPTED)
    assert said["older"] == ",".join(older)
    assert (said["reason"], said["operators"]) == ("the disk died", "ada,bob")
    with key_service(config):
        pass


def test_an_accepted_restore_makes_the_copy_before_it_the_older_one(
    config: Config, tmp_path: Path
) -> None:
    backup = copied(tmp_path, REGISTRY)
    with key_service(config):
        pass
    put_back(tmp_path, backup)
    accept(config)
    put_back(tmp_path, backup)
    assert refused(config).code is StartCode.REGISTRY_ROLLED_BACK


def test_where_nothing_is_older_nothing_is_accepted(config: Config) -> None:
    before = config.kms.audit.read_bytes()
    with pytest.raises(StartError) as caught:
        accept(config)
    assert caught.value.code is StartCode.NOTHING_TO_ACCEPT
    assert config.kms.audit.read_bytes() == before


def test_a_kill_in_the_middle_is_no_restore(config: Config, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.kms.kms_world import *\n"
        "config = configuration(Path(sys.argv[1]))\n"
        "import msgspec\n"
        "kms = msgspec.structs.replace(config.kms, audit_checkpoint_lines=2)\n"
        "config = msgspec.structs.replace(config, kms=kms)\n"
        "with key_service(config) as service:\n"
        "    number = 0\n"
        "    while True:\n"
        "        holder(service, f'N{number}'); print(number, flush=True); number += 1\n"
    )
    for turn in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", script.replace("'N", f"'T{turn}-"), str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for _ in range(7 + 5 * turn):
            assert process.stdout.readline()
        process.kill()
        process.wait(20)
        process.stdout.close()
    with key_service(config):
        pass


class Token:
    """Masters as a token or server has them: no counter, and one that may be put back."""

    def __init__(self, generation: int) -> None:
        self.generation = generation

    def current(self, purpose: Purpose) -> int:
        return self.generation if purpose is Purpose.PICC else 1


def test_of_an_old_token_only_a_promoted_generation_that_is_missing_shows(config: Config) -> None:
    with open_keys(config.kms) as keys:
        assert position(keys.masters) == {each.value: 1 for each in Purpose} | {"counter": 1}
        with assembly.open_marker(config, keys.masters) as opened:
            marker = replace(opened, masters=cast("Masters", Token(2)))
            assert position(marker.masters)["picc"] == 2
            assert rollback.look(marker) == []  # from a keystore to a token: no counter to compare
            marker.mark()
            (found,) = rollback.look(replace(marker, masters=cast("Masters", Token(1))))
    assert found.older is rollback.Older.KEYSTORE
    assert "the current picc master is 1, and the registry knows 2" in found.why
