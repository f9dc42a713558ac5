"""A small establishment in a temporary folder: keys, a daemon, a reader, people and badges.

`make demo`, `make play` and the end-to-end tests live in it. Everything it starts, it stops by its
process id; a pcscd that runs on this machine is neither used nor touched.
"""

import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cardd.client import Client
from scripts.private_pcscd import CannotIsolate, PrivatePcscd, enter_namespace

ISSUER = "urn:cardd:demo"
START_LIMIT_S = 15.0
STOP_LIMIT_S = 8.0
COMMAND_LIMIT_S = 60.0
EVENT_LIMIT_S = 25.0
PROGRAMS = Path(sys.executable).parent

CONFIGURATION = """\
development = true

[site]
issuer = "{issuer}"
device = "desk-1"

[sockets]
path = "{folder}/cardd.sock"
admin = "{folder}/admin.sock"

[readers]
pcsc = {pcsc}
# A virtual badge does not bounce, and whoever plays may tap it twice in a second.
debounce_ms = 0

[[readers.virtual]]
name = "desk"
listen = "unix:{folder}/desk.reader"

[badge]
system_identifier = "{identifier}"

[trust]
# The PKI that virtual CPS are issued by (cardd-sim pki); never trusted where badges are real.
roots = "{folder}/pki/roots"
intermediates = "{folder}/pki/intermediates"
crls = "{folder}/pki/crls"
allow_test_cards = true

[kms]
masters = "soft:{folder}/keystore.json"
credential_file = "{folder}/keystore.credential"
registry = "sqlite:{folder}/registry.db"
audit = "{folder}/audit.jsonl"

[[access.grants]]
user = "{user}"
rights = ["observe", "authenticate", "admin"]
audiences = ["*"]

[logs]
format = "json"
"""


class WorldError(Exception):
    """Something did not do what it should; the message says what was seen."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where badges are tapped: `address` for a virtual badge, `reader` as cardd names it."""

    address: str
    reader: str
    is_pcsc: bool
    said: str


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended."""

    code: int
    output: str
    errors: str


class World:
    """A context manager. `light` does without pcscd, also where it could be had."""

    def __init__(self, *, light: bool = False, pcscd: PrivatePcscd | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cardd-"))
        self._stack = ExitStack()
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._light = light
        self._pcscd = pcscd
        self.place: Place
        self.daemon: subprocess.Popen[bytes] | None = None

    @property
    def configuration(self) -> Path:
        """The configuration file of this world."""
        return self.folder / "cardd.toml"

    @property
    def socket(self) -> Path:
        """The socket of agents."""
        return self.folder / "cardd.sock"

    @property
    def environment(self) -> dict[str, str]:
        """What the programs of this world find in their environment."""
        return {
            **os.environ,
            "PATH": f"{PROGRAMS}:{os.environ.get('PATH', '')}",
            "CARDD_SOCKET": str(self.socket),
            "CARDD_ADMIN_SOCKET": str(self.folder / "admin.sock"),
            "CARDD_SIM_READER": self.place.address,
            "PYTHONUNBUFFERED": "1",
        }

    def __enter__(self) -> Self:
        try:
            self.place = self._find_place()
            self.configuration.write_text(
                CONFIGURATION.format(
                    issuer=ISSUER,
                    folder=self.folder,
                    pcsc=str(self.place.is_pcsc).lower(),
                    identifier=secrets.token_hex(8),
                    user=os.getuid(),
                )
            )
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _find_place(self) -> Place:
        """Use a pcscd of our own where this machine lets us, else the built-in reader."""
        why = "asked for" if self._light else ""
        if not why and importlib.util.find_spec("smartcard") is None:
            why = "pyscard is not installed"
        if not why and self._pcscd is None:
            try:
                enter_namespace()
            except CannotIsolate as reason:
                why = str(reason)
            else:
                self._pcscd = self._stack.enter_context(PrivatePcscd())
        if why or self._pcscd is None:
            return Place(
                f"unix:{self.folder}/desk.reader", "desk", False,
                f"the built-in virtual reader, without pcscd ({why})",
            )  # fmt: skip
        return Place(
            self._pcscd.addresses[0], self._pcscd.readers[0], True,
            "a pcscd of its own with the virtual reader driver vpcd",
        )  # fmt: skip

    def start_daemon(self) -> None:
        """Start cardd, and return once it says that its sockets listen (sd_notify)."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            (self.folder / "notify").unlink(missing_ok=True)
            manager.bind(str(self.folder / "notify"))
            log = (self.folder / "cardd.log").open("wb")
            self.daemon = self.start(
                "cardd", "--config", self.configuration, stderr=log,
                extra={"NOTIFY_SOCKET": str(self.folder / "notify")},
            )  # fmt: skip
            log.close()
            manager.settimeout(0.1)
            # A daemon that cannot start never notifies: look at it in between.
            for _ in range(int(START_LIMIT_S / 0.1)):
                try:
                    if b"READY=1" in manager.recv(4096):
                        return
                except TimeoutError:
                    if self.daemon.poll() is not None:
                        break
        raise WorldError(f"cardd did not start:\n{self.daemon_log()}")

    def daemon_log(self) -> str:
        """Return what cardd logged."""
        log = self.folder / "cardd.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def start(
        self, *command: str | Path, extra: Mapping[str, str] | None = None, **streams: Any
    ) -> subprocess.Popen[bytes]:
        """Start a program that is stopped at the latest when the world ends."""
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=self.folder,
            env={**self.environment, **(extra or {})},
            stdin=streams.pop("stdin", subprocess.DEVNULL),
            # Ctrl-C on the terminal is for the demo itself, which then stops what it started.
            start_new_session=True,
            **streams,
        )
        self._stack.callback(stop, process)
        return process

    def run(self, *command: str | Path, stdin: str = "", expect: int | None = 0) -> Ran:
        """Run a program to its end; raise WorldError where its exit code is not `expect`."""
        ended = subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            text=True,
            capture_output=True,
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
        if expect is not None and ended.returncode != expect:
            raise WorldError(
                f"{' '.join(map(str, command))} ended with {ended.returncode}, not {expect}:\n"
                f"{ended.stdout}{ended.stderr}"
            )
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    def ask(self, *command: str) -> Any:
        """Run `cardctl --json` and return what it printed."""
        return json.loads(self.run("cardctl", "--json", *command).output)

    def insert(self, card: Path | str, *options: str) -> subprocess.Popen[bytes]:
        """Put a virtual badge on the reader, until `take_away`."""
        return self.start("cardd-sim", "insert", card, *options, stdout=subprocess.DEVNULL)

    def take_away(self, inserted: subprocess.Popen[bytes]) -> None:
        """Take a badge off the reader, and return once cardd has seen that."""
        stop(inserted)
        self.await_empty()

    def await_card(self, kind: str) -> None:
        """Return once a reader has a card that cardd has recognised as of this type."""
        with Client(self.socket).events(timeout_s=EVENT_LIMIT_S) as events:
            seen = [
                reader["card"]["type"] for reader in next(events).data["readers"] if reader["card"]
            ]
            while kind not in seen:
                event = next(events)
                if event.type == "card.identified":
                    seen.append(event.data["type"])

    def await_empty(self) -> None:
        """Return once no reader has a card.

        pcscd looks every 0.4 s: a badge that comes sooner would pass for the one before it.
        """
        with Client(self.socket).events(timeout_s=EVENT_LIMIT_S) as events:
            occupied = {reader["name"] for reader in next(events).data["readers"] if reader["card"]}
            while occupied:
                event = next(events)
                if event.type == "card.removed":
                    occupied.discard(event.reader)


def stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> int:
    """End a process that was started here; return its exit code."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    return process.wait()


def as_root_where_possible(arguments: Sequence[str]) -> None:
    """Go on as root where sudo asks for no password: a private pcscd needs it. Else return."""
    if os.geteuid() == 0 or shutil.which("sudo") is None:
        return
    if subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0:
        # Without byte code: root's would be in the way of this user's `make clean`.
        program = ["sudo", "-n", sys.executable, "-B", *arguments]
        os.execvp("sudo", program)  # noqa: S606 - the same program
