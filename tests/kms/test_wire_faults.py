"""Key services that die: behind a balancer or alone, in the middle of taps and of encodings."""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cardd import assembly
from cardd.config import Config, load
from cardd.errors import KmsUnavailable
from cardd.kms import messages as m
from cardd.kms.ports import KeyService
from cardd.kms.remote import remote_key_service
from simulators.desfire.picc import VirtualDesfire
from tests.kms.balancer import balancer
from tests.kms.kms_world import Relay, encoded, holder, tapped
from tests.kms.wire_world import EVERYTHING, HOST, Certificates, fingerprint
from tests.limits import SOON_S
from tests.services.processes import service as process

pytestmark = pytest.mark.faults

PROGRAM = Path(sys.executable).parent / "cardd-kms"
TAPS = 40


@dataclass(frozen=True)
class Replica:
    """A process of cardd-kms."""

    running: "subprocess.Popen[str]"
    config: Config

    @property
    def target(self) -> tuple[str, int]:
        assert self.config.kms.listen.https is not None
        return HOST, int(self.config.kms.listen.https.rpartition(":")[2])

    def kill(self) -> None:
        """End it as a power cut does."""
        os.kill(self.running.pid, signal.SIGKILL)
        self.running.wait(SOON_S)


def written(folder: Path, name: str, port: int, certificates: Certificates) -> Path:
    """Write the configuration of a replica; they share keystore and registry."""
    credential = folder / "credential"
    if not credential.exists():
        credential.touch(mode=0o600)
        credential.write_bytes(bytes(range(32)))
    path = folder / f"{name}.toml"
    path.write_text(
        f"""
        [site]
        issuer = "https://cardd.test"
        [badge]
        system_identifier = "4E585020416275"
        [kms]
        masters = "soft:{folder}/keystore.json"
        credential_file = "{credential}"
        registry = "sqlite:{folder}/registry.db"
        audit = "{folder}/{name}.jsonl"
        replica = "{name}"
        [kms.listen]
        socket = "{folder}/{name}.sock"
        https = "{HOST}:{port}"
        [kms.tls]
        certificate = "{certificates.server[0]}"
        key = "{certificates.server[1]}"
        authority = "{certificates.clients.certificate}"
        [[kms.clients]]
        name = "desk"
        fingerprint = "{fingerprint(certificates.client[0])}"
        rights = {list(EVERYTHING)}
        audiences = ["*"]
        badges_per_hour = 100000
        """
    )
    return path


@contextmanager
def replica(path: Path) -> Iterator[Replica]:
    """Run a replica as long as the block, or until it is killed."""
    with process((PROGRAM, "serve", "--config", path), ready="kms.ready") as running:
        yield Replica(running, load(path))


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in taken]


class Reader(threading.Thread):
    """A reader's worker that taps one badge over and over."""

    def __init__(
        self, service: KeyService, badge: VirtualDesfire, progress: "queue.Queue[str]"
    ) -> None:
        super().__init__(daemon=True)
        self._service = service
        self._badge = badge
        self._progress = progress
        self.ended: list[str] = []
        self.strange: list[BaseException] = []

    def run(self) -> None:
        """Tap; note how each tap ended."""
        for _ in range(TAPS):
            try:
                outcome = Relay(self._service, self._badge).run(m.Tap(uid=self._badge.uid))
                assert isinstance(outcome, m.Authenticated)
                self.ended.append("success")
            except KmsUnavailable:
                self.ended.append("unavailable")
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                self.strange.append(error)
            self._progress.put("tap")


def wait_for_taps(progress: "queue.Queue[str]", count: int) -> None:
    for _ in range(count):
        progress.get(timeout=SOON_S)


@pytest.fixture
def configurations(tmp_path: Path, certificates: Certificates) -> list[Path]:
    ports = free_ports(2)
    paths = [
        written(tmp_path, name, port, certificates)
        for name, port in zip(("one", "two"), ports, strict=True)
    ]
    assembly.create_key_service(load(paths[0]))
    return paths


def test_two_readers_tap_through_a_balancer_while_a_replica_is_killed(
    configurations: list[Path], certificates: Certificates
) -> None:
    with (
        replica(configurations[0]) as one,
        replica(configurations[1]) as two,
        balancer(one.target, two.target) as way,
        remote_key_service((way.url,), certificates.of_client()) as service,
    ):
        badges = [VirtualDesfire.factory("ev2") for _ in range(2)]
        for number, badge in enumerate(badges):
            encoded(service, badge, holder(service, f"A{number}").id)
        progress: queue.Queue[str] = queue.Queue()
        readers = [Reader(service, badge, progress) for badge in badges]
        for reader in readers:
            reader.start()
        wait_for_taps(progress, TAPS // 2)
        one.kill()
        for reader in readers:
            reader.join(SOON_S)
            assert not reader.is_alive()
            assert reader.strange == []
            assert len(reader.ended) == TAPS
            assert reader.ended[-1] == "success", "the other replica goes on"
        for badge in badges:
            assert tapped(service, badge, "https://a.test").assertions


def test_a_kill_between_two_steps_is_a_clean_end_and_the_next_tap_succeeds(
    configurations: list[Path], certificates: Certificates
) -> None:
    badge = VirtualDesfire.factory("ev2")
    with ExitStack() as stack:
        first = stack.enter_context(replica(configurations[0]))
        url = f"https://{HOST}:{first.target[1]}"
        service = stack.enter_context(remote_key_service((url,), certificates.of_client()))
        encoded(service, badge, holder(service).id)
        for steps in (1, 2):
            badge.reset()
            step = service.begin(m.Tap(uid=badge.uid))
            for _ in range(steps - 1):
                answers = tuple(map(badge.transmit, step.commands))
                following = service.next(step.handle, answers)
                assert isinstance(following, m.Step)
                step = following
            first.kill()
            with pytest.raises(KmsUnavailable):
                service.next(step.handle, tuple(map(badge.transmit, step.commands)))
            with pytest.raises(KmsUnavailable):
                service.begin(m.Tap(uid=badge.uid))
            first = stack.enter_context(replica(configurations[0]))
            assert awaited(service, badge)


def test_an_encoding_that_a_kill_cut_is_finished_by_the_other_replica(
    configurations: list[Path], certificates: Certificates
) -> None:
    with (
        replica(configurations[0]) as one,
        replica(configurations[1]) as two,
        balancer(one.target, two.target) as way,
        remote_key_service((way.url,), certificates.of_client()) as service,
    ):
        who = holder(service).id
        badge = VirtualDesfire.factory("ev2")
        badge.reset()
        step: m.Step | m.Outcome = service.begin(m.Encode(uid=badge.uid, holder=who))
        while isinstance(step, m.Step) and (step.progress is None or step.progress[0] < 3):
            step = service.next(step.handle, tuple(map(badge.transmit, step.commands)))
        assert isinstance(step, m.Step)
        one.kill()  # the first connection through the balancer is its
        with pytest.raises(KmsUnavailable):
            service.next(step.handle, tuple(map(badge.transmit, step.commands)))
        assert encoded(service, badge, who).holder is not None
        assert tapped(service, badge, "https://a.test").assertions


def awaited(service: KeyService, badge: VirtualDesfire) -> m.Authenticated:
    """Tap until the key service is back; every failure until then is a clean one."""
    pause = threading.Event()
    for _ in range(2000):
        try:
            return tapped(service, badge)
        except KmsUnavailable:
            pause.wait(0.01)
    raise AssertionError("the key service did not come back")
