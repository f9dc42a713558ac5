"""What a key service does while its audit cannot be written, on a real disk that is full."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cardd import assembly
from cardd.config import Config
from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms import messages as m
from cardd.kms.audit.checkpoints import CheckpointKeys
from cardd.kms.audit.verification import verify
from cardd.kms.ports import KeyService
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import Relay, configuration, encoded, holder, key_service, tapped

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root"),
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB, for the audit alone."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def config(tmp_path: Path, disk: Path) -> Config:
    made = configuration(tmp_path)
    return msgspec.structs.replace(
        made, kms=msgspec.structs.replace(made.kms, audit=disk / "audit.jsonl")
    )


def fill(disk: Path, service: KeyService) -> Path:
    """Take all the room that is left, and that in the audit's last page too."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    with suppress(KmsUnavailable):
        for number in count():
            holder(service, f"filler-{number}")
    return ballast


def lines(config: Config) -> list[dict[str, Any]]:
    return [json.loads(line) for line in config.kms.audit.read_text().splitlines()]


def test_keys_rest_while_nothing_can_be_recorded_and_what_protects_goes_on(
    config: Config, disk: Path
) -> None:
    with key_service(config) as service:
        kept, stolen, fresh = (VirtualDesfire.factory("ev2") for _ in range(3))
        encoded(service, kept, holder(service, "A1").id)
        receipt = encoded(service, stolen, holder(service, "A2").id)
        here, there = tapped(service, kept), tapped(service, stolen)
        assert here.sid is not None
        assert there.sid is not None
        ballast = fill(disk, service)

        for procedure in (m.Tap(uid=kept.uid), m.Encode(uid=fresh.uid, holder=None)):
            with pytest.raises(KmsUnavailable, match="No space left") as caught:
                Relay(service, kept if procedure.uid == kept.uid else fresh).run(procedure)
            assert caught.value.code is Code.KMS_UNAVAILABLE
        request = m.AssertionRequest(audience="https://a.test", nonce="n" * 22)
        with pytest.raises(KmsUnavailable):
            service.assertions(here.sid, (request,))
        health = service.health()
        assert not health.available
        assert "the audit cannot be written: No space left" in str(health.why)

        assert service.revoke_badge(receipt.badge, "stolen").state == "revoked"
        service.end_presence(here.sid, "logout")

        ballast.unlink()
        assert service.health().available
        with pytest.raises(Refused) as refused:
            Relay(service, stolen).run(m.Tap(uid=stolen.uid))
        assert refused.value.code is Code.BADGE_REVOKED
        with pytest.raises(Refused):
            service.assertions(here.sid, (request,))
        tapped(service, kept)

    after = lines(config)
    at = next(index for index, line in enumerate(after) if line["event"] == "audit.resumed")
    gap, revoked, ended_with_it, ended = after[at : at + 4]
    assert "No space left" in gap["facts"]["reason"]
    assert gap["facts"]["refused"] >= 4
    assert (gap["facts"]["recorded_late"], gap["facts"]["not_recorded"]) == (3, 0)
    assert (revoked["event"], ended["event"]) == ("badge.revoked", "presence.ended")
    assert ended_with_it["facts"]["sid"] == there.sid
    assert (revoked["facts"]["badge"], revoked["facts"]["late"]) == (receipt.badge, True)
    assert ended["facts"]["sid"] == here.sid
    assert after[at - 1]["time"] <= revoked["facts"]["at"] <= revoked["time"]
    report = verify(config.kms.audit, keys=CheckpointKeys(assembly.public_keys(config)))
    assert report.checkpoints == 2


def test_a_key_service_that_stops_on_a_full_disk_starts_when_there_is_room(
    config: Config, disk: Path
) -> None:
    with key_service(config) as service:
        ballast = fill(disk, service)
    ballast.unlink()
    with key_service(config) as service:
        assert service.health().available
        holder(service, "A1")
