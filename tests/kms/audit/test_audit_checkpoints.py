import os
import threading
from pathlib import Path
from typing import Any

import jwt
import pytest

from cardd.errors import KmsUnavailable
from cardd.kms.audit import delivery
from cardd.kms.audit.checkpointing import Checkpointer, NoWitness
from cardd.kms.audit.checkpoints import CheckpointKeys
from cardd.kms.audit.delivery import Delivery
from cardd.kms.audit.recording import open_audit
from cardd.kms.audit.witness_file import WitnessFile
from tests.kms.audit.audit_world import NEVER_S, FixedClock, Scene, new_signer, until

pytestmark = pytest.mark.unit


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(delivery, "LAST_RETRY_S", 0.05)


class Failing:
    """A key that can be taken away."""

    def __init__(self) -> None:
        self.signer = new_signer()
        self.away = False
        self.tries = 0

    def sign(self, claims: dict[str, Any], typ: str) -> str:
        self.tries += 1
        if self.away:
            raise KmsUnavailable("the token is away")
        return self.signer.sign(claims, typ)

    def jwks(self) -> dict[str, Any]:
        return self.signer.jwks()


def test_anybody_can_verify_a_checkpoint_with_the_published_keys(scene: Scene) -> None:
    scene.run(3)
    (_, jws) = scene.witness.read_text().splitlines()
    header = jwt.get_unverified_header(jws)
    assert (header["typ"], header["alg"]) == ("cardd-audit-checkpoint+jwt", "ES256")
    (key,) = jwt.PyJWKSet.from_dict(scene.signer.jwks()).keys
    claims = jwt.decode(jws, key, algorithms=["ES256"], options={"verify_iat": False})
    assert set(claims) == {"replica", "chain", "seq", "hash", "iat"}
    assert (claims["replica"], claims["seq"], claims["iat"]) == ("kms-1", 5, 1_800_000_000)


def test_so_many_lines_make_a_checkpoint(scene: Scene) -> None:
    with scene.opened(every=10) as audit:
        before = scene.path.read_bytes().count(b"audit.checkpoint")
        for _ in range(9):
            audit.record("tap")
        assert scene.path.read_bytes().count(b"audit.checkpoint") == before == 1
        audit.record("tap")
        until(lambda: scene.path.read_bytes().count(b"audit.checkpoint") == 2)
    assert scene.report(witness=False).checkpoints == 3


def test_time_makes_a_checkpoint_only_where_there_is_a_new_line(scene: Scene) -> None:
    rounds = threading.Semaphore(0)

    class Counted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            rounds.release()
            return super().wait(timeout)

    with open_audit(scene.path, FixedClock(), "kms-1") as audit:
        checkpointer = Checkpointer(
            audit,
            scene.signer,
            FixedClock(),
            witness=NoWitness(),
            every_lines=1000,
            every_s=0.01,
        )
        checkpointer._due = Counted()
        with checkpointer:
            for _ in range(5):
                assert rounds.acquire(timeout=20)
            assert audit.head.seq == 2
            audit.record("tap")
            until(lambda: audit.head.seq == 4)


def test_each_line_is_prepared_before_its_checkpoint(scene: Scene) -> None:
    with open_audit(scene.path, FixedClock(), "kms-1") as audit:
        options: dict[str, Any] = {"every_lines": 1000, "every_s": NEVER_S}
        with Checkpointer(
            audit,
            scene.signer,
            FixedClock(),
            witness=NoWitness(),
            prepare=lambda: audit.record("mark"),
            **options,
        ):
            pass
    events = [line.split(b'"event":"')[1].split(b'"')[0] for line in scene.lines()]
    assert events == [b"audit.begun", *([b"mark", b"audit.checkpoint"] * 2)]
    assert scene.report(witness=False).covered == 4


def test_a_key_that_is_away_stops_no_line_and_is_shown(scene: Scene) -> None:
    signer = Failing()
    signer.away = True
    scene.signer = signer.signer
    with (
        open_audit(scene.path, FixedClock(), "kms-1") as audit,
        Checkpointer(
            audit, signer, FixedClock(), witness=NoWitness(), every_lines=10, every_s=NEVER_S
        ) as checkpointer,
    ):
        assert "the token is away" in checkpointer.trouble()[0]
        for _ in range(9):
            audit.record("tap")
        assert signer.tries == 1  # not with each line
        signer.away = False
        audit.record("tap")
        until(lambda: checkpointer.trouble() == ())
    assert scene.report(witness=False).checkpoints == 2


def test_checkpoints_under_many_threads_all_verify(scene: Scene) -> None:
    sending = Delivery("w", WitnessFile(scene.witness))
    with sending as witness, scene.opened(every=7, witness=witness) as audit:

        def work(number: int) -> None:
            for turn in range(60):
                audit.record("tap", durable=turn % 20 == 0, thread=number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    report = scene.report()
    assert report.witnessed is not None
    assert report.lines == 1 + 240 + report.checkpoints
    assert report.checkpoints >= 3


def test_a_witness_on_a_disk_that_comes_back_gets_what_waited(scene: Scene, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    scene.witness = disk / "witness"
    sending = Delivery(str(scene.witness), WitnessFile(scene.witness))
    with sending as witness, scene.opened(every=5, witness=witness) as audit:
        until(witness.trouble)
        assert "is away (No such file or directory)" in str(witness.trouble())
        audit.record("tap", durable=True)
        disk.mkdir()
        until(lambda: witness.trouble() is None)
    assert scene.witness.stat().st_mode & 0o777 == 0o600
    assert len(scene.witness.read_text().splitlines()) == 2
    assert scene.report().witnessed is not None


def test_a_line_that_a_power_cut_tore_at_the_witness_spoils_no_other(scene: Scene) -> None:
    scene.run(2)
    scene.witness.write_bytes(scene.witness.read_bytes()[:-30])
    scene.run(2)
    assert len(scene.witness.read_text().splitlines()) == 4
    assert scene.report().witnessed is not None


def test_what_is_no_file_is_no_witness(scene: Scene, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "pipe", tmp_path / "link", tmp_path):
        with pytest.raises(OSError, match=r"regular|symbolic|directory"):
            WitnessFile(path).deliver("jws")


@pytest.mark.parametrize(
    "jwks", [{}, {"keys": []}, {"keys": 5}, {"keys": [{"kty": "oct", "k": "AA"}]}]
)
def test_what_is_no_set_of_keys_is_said_so(jwks: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="it "):
        CheckpointKeys(jwks)
