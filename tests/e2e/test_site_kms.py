"""A workstation and a key service of its own, two processes: taps, a kill, a restart, a stop."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jwt
import pytest

from cardd import assembly
from cardd.client import AdminClient
from cardd.config import load
from cardd.kms import messages as m
from scripts.world import PROGRAMS, stop
from simulators.desfire.picc import VirtualDesfire
from simulators.link import insert
from tests.e2e.daemon_world import EVENT_S, Desk, enrolled, wait_for
from tests.services.processes import service as process

pytestmark = pytest.mark.e2e

AUDIENCE = "https://sso.test"
NONCE = "n" * 22
SERVE = "kms.ready"

# What a service manager does between fork and exec: LISTEN_PID is the process that will serve.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="cardd-kms")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Site(Desk):
    """A workstation whose key service is another process."""

    @property
    def kms_configuration(self) -> Path:
        """The configuration of the key service."""
        return self.folder / "cardd-kms.toml"

    @property
    def kms_socket(self) -> Path:
        """Where the key service listens."""
        return self.folder / "kms.sock"

    def part(self) -> None:
        """Give the workstation and the key service a file each."""
        text = self.configuration.read_text()
        start, rest = text.split("[kms]\n")
        own, access = rest.split("[[access.grants]]", 1)
        client = f"""
[kms.listen]
socket = "{self.kms_socket}"

[[kms.clients]]
name = "desk-1"
user = "{os.getuid()}"
device = "ward-3"
rights = ["tap", "prepare", "encode", "encode-factory", "people", "revoke", "cps"]
audiences = ["{AUDIENCE}"]

[logs]
format = "json"
"""
        self.kms_configuration.write_text(f"{start}[kms]\n{own}{client}")
        urls = f'[kms]\nurls = ["unix:{self.kms_socket}"]\n\n'
        self.configuration.write_text(f"{start}{urls}[[access.grants]]{access}")

    @contextmanager
    def serving(self) -> Iterator["subprocess.Popen[str]"]:
        """Run the key service."""
        command = (PROGRAMS / "cardd-kms", "serve", "--config", self.kms_configuration)
        with process(command, ready=SERVE) as running:
            yield running


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(light=True) as made:
        made.part()
        made.run("cardd-kms", "init", "--config", made.kms_configuration)
        made.admin = AdminClient(made.folder / "admin.sock", language="en")
        yield made


def killed(running: "subprocess.Popen[str]") -> None:
    running.kill()
    running.wait(EVENT_S)


def claims(assertion: str) -> dict[str, object]:
    return jwt.decode(assertion, options={"verify_signature": False})


def test_a_tap_is_judged_by_another_process_which_may_die_and_come_back(site: Site) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(site.serving())
        site.start_daemon()
        badge, holder = enrolled(site)
        events = stack.enter_context(site.admin.events(timeout_s=EVENT_S))
        with insert(badge, site.address):
            tap = wait_for(events, "tap", outcome="succeeded")
        assert tap.data["holder"]["id"] == holder
        wait_for(events, "card.removed")
        statement = claims(site.admin.assertion(tap.data["sid"], AUDIENCE, NONCE))
        assert statement["sub"] == holder
        assert statement["device"] == "ward-3", "the key service says which device that is"

        killed(first)
        with insert(badge, site.address):
            wait_for(events, "tap", outcome="refused", code="kms_unavailable")
        wait_for(events, "card.removed")
        assert not site.admin.status().badge

        stack.enter_context(site.serving())
        wait_for(events, "service.restored")
        with insert(badge, site.address):
            again = wait_for(events, "tap", outcome="succeeded")
        assert again.data["holder"]["id"] == holder
        assert site.stop_daemon() == 0


def test_a_revocation_elsewhere_ends_the_presence_here_also_after_an_absence(site: Site) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(site.serving())
        site.start_daemon()
        badge, _ = enrolled(site)
        events = stack.enter_context(site.admin.events(timeout_s=EVENT_S))
        with insert(badge, site.address):
            started = wait_for(events, "presence.started")
        # The workstation does not hear it: it is told at the key service, while nobody is there.
        killed(first)
        revoke_offline(site)
        stack.enter_context(site.serving())
        ended = wait_for(events, "presence.ended")
        assert ended.data["sid"] == started.data["sid"]
        assert site.stop_daemon() == 0


def revoke_offline(site: Site) -> None:
    """Revoke every badge with the key service embedded in this process."""
    with assembly.open_key_service(load(site.kms_configuration)) as keys:
        for badge in keys.badges(m.Page()).items:
            keys.revoke_badge(badge.id, "lost")


def test_it_stops_cleanly_with_workstations_connected_and_tells_its_manager(site: Site) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(site.folder / "manager"))
        manager.settimeout(EVENT_S)
        running = site.start(
            "cardd-kms", "serve", "--config", site.kms_configuration,
            extra={"NOTIFY_SOCKET": str(site.folder / "manager")}, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert manager.recv(100) == b"READY=1"
        site.start_daemon()
        assert site.admin.status().badge
        running.send_signal(signal.SIGHUP)
        assert manager.recv(100) == b"RELOADING=1"
        assert manager.recv(100) == b"READY=1"
        assert stop(running) == 0
        assert manager.recv(100) == b"STOPPING=1"
    assert not site.kms_socket.exists()
    assert site.stop_daemon() == 0


def test_an_inherited_socket_is_served_and_left_in_place(site: Site) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(site.kms_socket))
        listening.listen()
        # Away from 3, to which it goes.
        raised = os.dup(listening.fileno() + 0)
        os.dup2(raised, 100)
        os.close(raised)
    program = [str(PROGRAMS / "cardd-kms"), "serve", "--config", str(site.kms_configuration)]
    running = subprocess.Popen(
        [sys.executable, "-c", ACTIVATE, "100", *program],
        pass_fds=[100],
        stderr=subprocess.DEVNULL,
    )
    os.close(100)
    site.start_daemon()
    assert site.admin.status().badge
    assert stop(running) == 0
    assert site.kms_socket.exists()
    assert site.stop_daemon() == 0


def test_a_workstation_starts_without_its_key_service(site: Site) -> None:
    site.start_daemon()
    status = site.admin.status()
    assert not status.badge
    with site.serving(), site.admin.events(timeout_s=EVENT_S) as events:
        snapshot = next(events)
        if not snapshot.data["status"]["can"]["badge"]:
            wait_for(events, "service.restored")
        assert site.admin.status().badge
    assert site.stop_daemon() == 0


def test_the_files_of_the_two_are_not_taken_for_each_other(site: Site) -> None:
    ended = site.run("cardd-kms", "serve", "--config", site.configuration, expect=78)
    assert ended.errors.startswith("cardd-kms: config_invalid: ")


def test_a_badge_that_nobody_encoded_is_refused_by_name(site: Site) -> None:
    with site.serving(), ExitStack() as stack:
        site.start_daemon()
        events = stack.enter_context(site.admin.events(timeout_s=EVENT_S))
        with insert(VirtualDesfire.factory("ev2"), site.address):
            wait_for(events, "tap", outcome="refused", code="badge_unknown")
        assert site.stop_daemon() == 0
