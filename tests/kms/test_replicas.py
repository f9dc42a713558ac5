"""Two key services, each a process of its own, on one PostgreSQL."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from cardd import assembly
from cardd.config import Config, load
from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms import messages as m
from cardd.kms.audit.verification import entries
from cardd.kms.masters.opening import open_keys
from cardd.kms.ports import KeyService
from cardd.kms.remote import remote_key_service
from cardd.store.opening import configured
from cardd.store.sealing import MastersSealer
from cardd.store.verification.audited import open_audited
from cardd.store.verification.walking import Verification
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import NONCE, Relay, encoded, holder, tapped
from tests.kms.wire_world import EVERYTHING, Heard
from tests.limits import SOON_S
from tests.services.processes import service as process

pytestmark = pytest.mark.services

PROGRAM = Path(sys.executable).parent / "cardd-kms"
ASKED = m.AssertionRequest(audience="https://a.test", nonce=NONCE)


@dataclass(frozen=True)
class Replica:
    """A process of cardd-kms."""

    running: "subprocess.Popen[str]"
    config: Config

    @property
    def url(self) -> str:
        return f"unix:{self.config.kms.listen.socket}"

    def kill(self) -> None:
        """End it as a power cut does."""
        os.kill(self.running.pid, signal.SIGKILL)
        self.running.wait(SOON_S)


class Site:
    """Replicas that share masters and registry; whoever reaches one is its `client`."""

    def __init__(self, folder: Path, registry: str, stack: ExitStack) -> None:
        self._folder = folder
        self._registry = registry
        self._stack = stack
        self.configs: list[Config] = []

    def start(self, name: str, client: str = "desk") -> Replica:
        """Start a replica; the first makes what they share."""
        path = self._written(name, client)
        config = load(path)
        if not self.configs:
            assembly.create_key_service(config)
        self.configs.append(config)
        command = (PROGRAM, "serve", "--config", path)
        return Replica(self._stack.enter_context(process(command, ready="kms.ready")), config)

    def reach(self, *replicas: Replica) -> KeyService:
        """Return the key service as a station reaches it, by the first replica that answers."""
        urls = tuple(replica.url for replica in replicas)
        return self._stack.enter_context(remote_key_service(urls, None))

    def faults(self) -> list[str]:
        """Verify the registry against the audits of all replicas."""
        config = self.configs[0]
        with open_keys(config.kms) as keys, open_audited() as audited:
            for each in self.configs:
                audited.take(each.kms.replica, entries(each.kms.audit))
            run = Verification(configured(config.kms), MastersSealer(keys.masters), audited)
            return [str(finding) for finding in run.findings()]

    def _written(self, name: str, client: str) -> Path:
        credential = self._folder / "credential"
        if not credential.exists():
            credential.touch(mode=0o600)
            credential.write_bytes(bytes(range(32)))
        path = self._folder / f"{name}.toml"
        path.write_text(
            f"""
            [site]
            issuer = "https://cardd.test"
            [badge]
            system_identifier = "4E585020416275"
            [kms]
            masters = "soft:{self._folder}/keystore.json"
            credential_file = "{credential}"
            registry = "{self._registry}"
            audit = "{self._folder}/{name}.jsonl"
            replica = "{name}"
            [kms.listen]
            socket = "{self._folder}/{name}.sock"
            [[kms.clients]]
            name = "{client}"
            user = "{os.getuid()}"
            device = "{client}"
            rights = {list(EVERYTHING)}
            audiences = ["*"]
            badges_per_hour = 100000
            """
        )
        return path


@pytest.fixture
def site(tmp_path: Path, postgres_url: str) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path, postgres_url, stack)


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Make calls at the same moment; return what each returns, or the code of its refusal."""
    barrier, results = threading.Barrier(len(calls)), [None] * len(calls)

    def run(at: int, call: Callable[[], object]) -> None:
        barrier.wait(SOON_S)
        try:
            results[at] = call()  # type: ignore[call-overload]
        except Refused as refused:
            results[at] = refused.code  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
        assert not thread.is_alive()
    return list(results)


def test_a_uid_is_enrolled_once(site: Site) -> None:
    """Two stations with two cards that say the same UID, at the same moment."""
    services = [site.reach(site.start(f"kms-{n}", f"desk-{n}")) for n in (1, 2)]
    for n in range(4):
        uid = b"\x04\x11\x22\x33\x44\x55" + bytes((n,))
        stations = [Relay(service, VirtualDesfire.factory("ev2", uid=uid)) for service in services]
        results = at_once(*(partial(each.run, m.Encode(uid=uid)) for each in stations))
        done = [each for each in results if isinstance(each, m.Encoded)]
        assert len(done) == 1, results
        assert [each for each in results if each not in done] in (
            [Code.CONFLICT],
            [Code.ALREADY_ACTIVE],
        )
        found = services[0].badges(m.Page(q=uid.hex())).items
        assert [each.id for each in found] == [done[0].badge]
    assert site.faults() == []


def test_a_person_gets_no_second_badge_from_another_desk(site: Site) -> None:
    services = [site.reach(site.start(f"kms-{n}", f"desk-{n}")) for n in (1, 2)]
    for n in range(3):
        who = holder(services[0], f"A{n}").id
        blanks = [VirtualDesfire.factory("ev2") for _ in services]
        stations = zip(services, blanks, strict=True)
        results = at_once(*(partial(encoded, *station, who) for station in stations))
        assert sorted(type(each) is m.Encoded for each in results) == [False, True], results
        assert Code.CONFLICT in results
    assert site.faults() == []


def test_a_revocation_at_one_replica_is_seen_by_the_other_at_once(site: Site) -> None:
    one, two = (site.reach(site.start(name)) for name in ("kms-1", "kms-2"))
    badge = VirtualDesfire.factory("ev2")
    number = encoded(one, badge, holder(one).id).number
    heard = Heard()
    stop = two.watch(heard)
    assert isinstance(heard.next(), m.Resync)
    sid = tapped(two, badge).sid
    assert sid is not None
    assert two.assertions(sid, (ASKED,))
    one.revoke_badge(number, "stolen")
    with pytest.raises(Refused):
        two.assertions(sid, (ASKED,))
    with pytest.raises(Refused) as caught:
        tapped(two, badge)
    assert caught.value.code is Code.BADGE_REVOKED
    assert heard.next() == m.PresenceEnded(sid, "badge_revoked")
    assert heard.empty
    stop()
    assert site.faults() == []


def test_a_revocation_between_two_steps_of_a_tap_at_the_other_replica_wins(site: Site) -> None:
    one, two = (site.reach(site.start(name)) for name in ("kms-1", "kms-2"))
    badge = VirtualDesfire.factory("ev2")
    number = encoded(one, badge, holder(one).id).number
    badge.reset()
    step: m.Step | m.Outcome = two.begin(m.Tap(uid=badge.uid))
    one.revoke_badge(number, "lost")
    with pytest.raises(Refused) as caught:  # noqa: PT012 - a loop of one call
        while isinstance(step, m.Step):
            step = two.next(step.handle, tuple(map(badge.transmit, step.commands)))
    assert caught.value.code is Code.BADGE_REVOKED


def test_a_replica_killed_in_the_middle_of_taps_costs_a_retry_at_most(site: Site) -> None:
    one, two = site.start("kms-1"), site.start("kms-2")
    service = site.reach(one, two)
    badges = [VirtualDesfire.factory("ev2") for _ in range(2)]
    for n, badge in enumerate(badges):
        encoded(service, badge, holder(service, f"A{n}").id)
    tapping, killed = threading.Semaphore(0), threading.Event()
    ended: list[str] = []
    strange: list[BaseException] = []

    def tap_on(badge: VirtualDesfire) -> None:
        after = 0
        while after < 3:
            try:
                tapped(service, badge)
                ended.append("success")
                after += killed.is_set()
            except KmsUnavailable:
                ended.append("unavailable")
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                strange.append(error)
                return
            finally:
                tapping.release()

    readers = [threading.Thread(target=tap_on, args=(badge,)) for badge in badges]
    for reader in readers:
        reader.start()
    for _ in range(12):
        assert tapping.acquire(timeout=SOON_S)
    one.kill()
    killed.set()
    for reader in readers:
        reader.join(SOON_S)
        assert not reader.is_alive()
    assert strange == []
    assert ended.count("unavailable") <= 4, "one retry of each reader, or two"
    assert site.faults() == []


@pytest.mark.parametrize("cut", [8, 29, 47])
def test_a_replica_killed_in_the_middle_of_an_encoding_loses_no_badge(site: Site, cut: int) -> None:
    one, two = site.start("kms-1"), site.start("kms-2")
    service = site.reach(one, two)
    badge = VirtualDesfire.factory("ev2")
    who = holder(service).id
    badge.reset()
    step: m.Step | m.Outcome = service.begin(m.Encode(uid=badge.uid, holder=who))
    for _ in range(cut):
        assert isinstance(step, m.Step)
        step = service.next(step.handle, tuple(map(badge.transmit, step.commands)))
    one.kill()
    assert isinstance(step, m.Step)
    answers = tuple(map(badge.transmit, step.commands))
    with pytest.raises((KmsUnavailable, Refused)):
        service.next(step.handle, answers)
    assert encoded(service, badge, who).holder is not None
    assert tapped(service, badge).sid is not None
    assert site.faults() == []
