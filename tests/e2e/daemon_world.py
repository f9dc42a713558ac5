"""A real daemon in a process of its own, and hands that show it virtual cards."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cardd.client import AdminClient, DaemonUnavailable, Event
from cardd.client.events import EventStream
from simulators.desfire.picc import VirtualDesfire
from simulators.link import insert

PROGRAMS = Path(sys.executable).parent
READY_S = 15
EVENT_S = 10


class World:
    """A folder with everything of one daemon in it."""

    def __init__(self, folder: Path, readers: str, address: str) -> None:
        self.folder = folder
        self.address = address
        self.config = folder / "cardd.toml"
        self.log = folder / "cardd.log"
        self.socket = folder / "cardd.sock"
        self.admin = AdminClient(folder / "admin.sock", language="en")
        credential = folder / "credential"
        credential.touch(mode=0o600)
        credential.write_bytes(os.urandom(32))
        self.config.write_text(
            f"""
            [site]
            issuer = "https://cardd.test"
            device = "desk-1"
            [sockets]
            path = "{self.socket}"
            admin = "{folder}/admin.sock"
            [readers]
            debounce_ms = 0
            {readers}
            [badge]
            system_identifier = "4E585020416275"
            [kms]
            masters = "soft:{folder}/keystore.json"
            credential_file = "{credential}"
            registry = "sqlite:{folder}/registry.db"
            audit = "{folder}/audit.jsonl"
            [logs]
            level = "debug"
            [[access.grants]]
            user = "{os.getuid()}"
            rights = ["observe", "authenticate", "admin"]
            audiences = ["*"]
            """
        )
        self.process: subprocess.Popen[bytes] | None = None

    def run(
        self, program: str, *arguments: str, **options: object
    ) -> "subprocess.CompletedProcess[str]":
        """Run one of the project's programs to its end."""
        return subprocess.run(
            [PROGRAMS / program, *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env=os.environ | {"COLUMNS": "200"},
            **options,  # type: ignore[call-overload]
        )

    def start(self) -> None:
        """Start the daemon and wait until it says that it is ready."""
        if not (self.folder / "keystore.json").exists():
            made = self.run("cardd-kms", "init", "--config", str(self.config))
            assert made.returncode == 0, made.stderr
        with self.log.open("ab") as log:
            began = log.tell()
            self.process = subprocess.Popen(
                [PROGRAMS / "cardd", "--config", self.config], stderr=log, stdout=log
            )
        self.wait_for_log("daemon.ready", began)

    def wait_for_log(self, text: str, began: int = 0) -> None:
        """Wait until the daemon's log has a text."""
        assert self.process is not None
        with subprocess.Popen(
            ["tail", "-n", "+1", "-F", self.log], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as tail:
            os.set_blocking(tail.stdout.fileno(), False)  # type: ignore[union-attr]
            try:
                self._until(lambda: text.encode() in self.log.read_bytes()[began:], tail)
            finally:
                tail.kill()

    def _until(self, met: Callable[[], bool], tail: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + READY_S
        while not met():
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            select.select([tail.stdout], [], [], 0.2)
            with suppress(BlockingIOError):
                os.read(tail.stdout.fileno(), 65536)  # type: ignore[union-attr]

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End the daemon; return its exit status."""
        assert self.process is not None
        self.process.send_signal(how)
        status = self.process.wait(10)
        self.process = None
        return status

    def holder(self, number: str, name: str = "Camille") -> str:
        """Register a person; return the id."""
        return self.admin.add_holder(number, given_name=name, family_name="Martin").id


@contextmanager
def world(folder: Path, readers: str, address: str) -> Iterator[World]:
    """Run a daemon as long as the block."""
    made = World(folder, readers, address)
    made.start()
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.stop()


def wait_for(stream: EventStream, kind: str, **data: object) -> Event:
    """Return the next event of a type whose data has these members."""
    for event in stream:
        if event.type == kind and all(event.data.get(k) == v for k, v in data.items()):
            return event
    raise DaemonUnavailable(f"the stream ended before {kind}")


def on_air(badge: VirtualDesfire) -> list[bytes]:
    """Return the commands that the card itself saw: not those that its reader answered."""
    return [command for command in badge.commands if command[0] != 0xFF]


def built_in(folder: Path) -> tuple[str, str]:
    """Return the [readers] table and the address of a built-in reader."""
    listen = f"unix:{folder}/desk.sock"
    return f'pcsc = false\n[[readers.virtual]]\nname = "desk"\nlisten = "{listen}"', listen


def enrolled(desk: World, product: str = "ev2", number: str = "A1") -> tuple[VirtualDesfire, str]:
    """Encode a factory-fresh badge for a new holder; return it with the holder's id."""
    badge = VirtualDesfire.factory(product)
    holder = desk.holder(number)
    with insert(badge, desk.address):
        receipt = desk.admin.enrol(holder, timeout_s=20)
    assert receipt.holder is not None
    assert receipt.holder.id == holder
    return badge, holder
