"""The real faces on real sockets: a real workstation and key service, and real peers."""

import asyncio
import contextlib
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cardd import assembly
from cardd.api.backing import Backing
from cardd.api.server import serve
from cardd.badges.inspection.case import Policy
from cardd.badges.model import Scheme
from cardd.clock import SystemClock
from cardd.config import Config, Trust, parse
from cardd.cps.trust import TrustStore
from cardd.errors import CardRemoved
from cardd.kms import messages as m
from cardd.kms.ports import BADGE_PURPOSES
from cardd.presence.inspecting import Inspector
from cardd.presence.workstation import Workstation
from cardd.readers.ports import CardInserted, CardWithdrawn, Listener, ReaderAdded
from simulators.desfire.picc import VirtualDesfire

AUDIENCE = "https://app.test"
NONCE = "n" * 22
OBSERVER, AGENT, STRANGER = 12345, 12346, 12347
READER = "desk"


class DeskConnection:
    """A connection to whatever badge lies on the desk reader."""

    def __init__(self, source: "DeskSource") -> None:
        self._source = source
        self._badge = source.badge

    @property
    def atr(self) -> bytes:
        return VirtualDesfire.atr

    def transmit(self, command: bytes) -> bytes:
        if self._badge is None or self._source.badge is not self._badge:
            raise CardRemoved("the badge is gone")
        return self._badge.transmit(command)

    def control(self, code: int, data: bytes) -> bytes:
        raise CardRemoved("this reader has no controls")

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def reset(self) -> None:
        if self._badge is not None:
            self._badge.reset()

    def close(self) -> None:
        pass


class DeskSource:
    """One reader in this process; the test puts badges on it."""

    name = "test"

    def __init__(self) -> None:
        self.badge: VirtualDesfire | None = None
        self._listener: Listener = lambda _event: None

    def start(self, listener: Listener) -> None:
        self._listener = listener
        listener(ReaderAdded(READER))

    def stop(self) -> None:
        self._listener = lambda _event: None

    def connect(self, reader: str) -> DeskConnection:
        return DeskConnection(self)

    def heartbeat(self) -> float:
        return time.monotonic()

    def put(self, badge: VirtualDesfire) -> None:
        badge.reset()
        self.badge = badge
        self._listener(CardInserted(READER, badge.atr))

    def take(self) -> None:
        self.badge = None
        self._listener(CardWithdrawn(READER))


@dataclass(slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


class World:
    """A daemon's API in this process, on its own thread and loop."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder = folder
        self.config = config
        self.desk = DeskSource()
        self.main = config.sockets.path
        self.admin = config.sockets.admin
        self.badges: list[VirtualDesfire] = []
        self.workstation: Workstation
        self.keys: Any
        self._loop = asyncio.new_event_loop()
        self._leave = asyncio.Event()

    async def live(self, keys: Any, started: "Future[None]") -> None:
        """Serve until told to leave."""
        self.keys = keys
        self.workstation = Workstation(
            service=keys,
            inspector=Inspector(keys, Policy("F5CA4D", Scheme.EV1_AES)),
            sources=[self.desk],
            settings=self.config.presence,
            debounce_ms=0,
            clock=SystemClock(),
            trust=TrustStore(Trust()),
        )
        await self.workstation.start()
        site = self.config.site
        backing = Backing(self.workstation, keys, site.issuer, site.device, "0.0.test")
        try:
            async with serve(backing, self.config.access, self.config.sockets):
                started.set_result(None)
                await self._leave.wait()
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise
        finally:
            await self.workstation.stop()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the daemon's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def do(self, function: Callable[[], Any]) -> Any:
        """Call a function on the daemon's loop."""

        async def call() -> Any:
            return function()

        return self.run(call())

    def leave(self) -> None:
        """Tell the daemon to stop."""
        with contextlib.suppress(RuntimeError):  # it has stopped already
            self._loop.call_soon_threadsafe(self._leave.set)

    def encode(self, product: str = "ev2", **holder: Any) -> m.Encoded:
        """Register a person and encode a badge for them, straight at the key service."""
        badge = VirtualDesfire.factory(product)
        self.badges.append(badge)
        number = f"S{len(self.badges):04}"
        person = self.keys.add_holder(m.NewHolder(**{"staff_number": number, **holder}))
        step = self.keys.begin(m.Encode(badge.uid, person.id))
        while isinstance(step, m.Step):
            answers = tuple(badge.transmit(command) for command in step.commands)
            step = self.keys.next(step.handle, answers)
        assert isinstance(step, m.Encoded)
        return step

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        admin: bool = False,
        raw: bytes | None = None,
    ) -> Answer:
        """Send one request as root and return the answer."""
        connection = self.connection(admin=admin)
        sent = dict(headers or {})
        content = raw
        if body is not None:
            content = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body=content, headers=sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def connection(self, *, admin: bool = False) -> http.client.HTTPConnection:
        """Return an HTTP connection to a face."""
        connection = http.client.HTTPConnection("localhost", timeout=20)
        connection.sock = self.socket(admin=admin)
        return connection

    def socket(self, *, admin: bool = False) -> socket.socket:
        """Return a bare connection to a face."""
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.connect(str(self.admin if admin else self.main))
        connected.settimeout(20)
        return connected

    def serve_in_thread(self, started: "Future[None]") -> threading.Thread:
        """Start the daemon's thread."""

        def body() -> None:
            with (
                contextlib.suppress(BaseException),
                assembly.open_key_service(self.config) as keys,
            ):
                self._loop.run_until_complete(self.live(keys, started))
            self._loop.close()

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        return thread


def configuration(folder: Path, access: str = "") -> Config:
    """Return a configuration with everything in one folder."""
    credential = folder / "credential"
    credential.touch(mode=0o600)
    credential.write_bytes(bytes(range(32)))
    return parse(
        f"""
        [site]
        issuer = "https://cardd.test"
        device = "desk-1"
        [sockets]
        path = "{folder}/cardd.sock"
        admin = "{folder}/admin.sock"
        [badge]
        system_identifier = "4E585020416275"
        [kms]
        masters = "soft:{folder}/keystore.json"
        credential_file = "{credential}"
        registry = "sqlite:{folder}/registry.db"
        audit = "{folder}/audit.jsonl"
        [[access.grants]]
        user = "0"
        rights = ["observe", "authenticate", "admin"]
        audiences = ["{AUDIENCE}", "https://other.test"]
        [[access.grants]]
        user = "{OBSERVER}"
        rights = ["observe"]
        [[access.grants]]
        user = "{AGENT}"
        rights = ["authenticate"]
        audiences = ["{AUDIENCE}"]
        {access}
        """,
        "test",
    )


@contextmanager
def world() -> Iterator[World]:
    """Run the daemon's API in a folder that other users may enter."""
    with tempfile.TemporaryDirectory(prefix="cardd-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        config = configuration(folder)
        assembly.create_key_service(config)
        assembly.add_generation(config, BADGE_PURPOSES)  # so that there is one to re-key to
        here = World(folder, config)
        started: Future[None] = Future()
        thread = here.serve_in_thread(started)
        try:
            started.result(20)
            yield here
        finally:
            here.leave()
            thread.join(20)
            assert not thread.is_alive()


def as_uid(uid: int, script: str, *arguments: str) -> Any:
    """Run a Python script as another user, after the imports; return the JSON that it prints."""
    preamble = (
        "import json, os, socket, sys\n"
        "from cardd.client import *\n"
        f"os.setgroups([]); os.setgid({uid}); os.setuid({uid})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", preamble + script, *arguments],
        capture_output=True,
        timeout=30,
        check=True,
        text=True,
    )
    return json.loads(done.stdout)
