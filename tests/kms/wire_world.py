"""A real key service behind the wire: in this process, on its own loop, as cardd-kms serves it."""

import asyncio
import hashlib
import http.client
import json
import os
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from cardd import assembly
from cardd.api.kms_calls import KmsBacking
from cardd.api.kms_clients import ClientTable
from cardd.api.kms_server import KmsServer, serve_kms
from cardd.config import Config
from cardd.config_kms import KmsClient, KmsRight, Listen, Tls
from cardd.kms import messages as m
from cardd.kms.ports import KeyService, Right
from cardd.kms.remote import remote_key_service
from cardd.worker import Workers
from tests.kms.kms_world import MovedClock
from tests.limits import SOON_S
from tests.services.certificates import Authority

Way = Literal["embedded", "unix", "tls"]
WAYS: tuple[Way, ...] = ("embedded", "unix", "tls")
HOST = "127.0.0.1"
EVERYTHING: tuple[KmsRight, ...] = tuple(right.value for right in Right)  # type: ignore[misc]


@dataclass(frozen=True)
class Certificates:
    """An authority of servers and one of clients, and a certificate of each."""

    servers: Authority
    clients: Authority
    server: tuple[Path, Path]
    client: tuple[Path, Path]

    @classmethod
    def create(cls, folder: Path) -> "Certificates":
        """Make them all; the client is called desk."""
        made = []
        for name in ("servers", "clients"):
            (folder / name).mkdir(parents=True)
            made.append(Authority.create(folder / name, f"authority of {name}"))
        servers, clients = made
        return cls(servers, clients, servers.issue("kms", hosts=(HOST,)), clients.issue("desk"))

    def of_server(self, pair: tuple[Path, Path] | None = None) -> Tls:
        """Return [kms.tls] of the key service."""
        certificate, key = pair or self.server
        return Tls(certificate=certificate, key=key, authority=self.clients.certificate)

    def of_client(self, pair: tuple[Path, Path] | None = None) -> Tls:
        """Return [kms.tls] of the workstation."""
        certificate, key = pair or self.client
        return Tls(certificate=certificate, key=key, authority=self.servers.certificate)


def fingerprint(certificate: Path) -> str:
    """Return what openssl prints of a certificate with -fingerprint -sha256."""
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    return hashlib.sha256(der).digest().hex(":").upper()


def client(name: str = "desk", **members: Any) -> KmsClient:
    """Return a client that may do everything at will, but for what is given."""
    wanted: dict[str, Any] = {
        "device": "desk-1",
        "rights": EVERYTHING,
        "audiences": ("*",),
        "badges_per_hour": 100_000,
        **members,
    }
    return KmsClient(name=name, **wanted)


def serving(
    config: Config, *clients: KmsClient, tls: Tls | None = None, jwks: bool = False, **listen: Any
) -> Config:
    """Return the configuration of a key service that listens in the folder of its registry."""
    folder = Path(config.kms.registry.removeprefix("sqlite:")).parent
    addresses = {"https": f"{HOST}:0" if tls else None, "jwks": f"{HOST}:0" if jwks else None}
    at = Listen(socket=folder / "kms.sock", **{**addresses, **listen})
    kms = msgspec.structs.replace(config.kms, listen=at, clients=clients, tls=tls)
    return msgspec.structs.replace(config, kms=kms)


class Served:
    """A key service that serves, until `stop`."""

    def __init__(self, config: Config, clock: MovedClock | None = None) -> None:
        self.config = config
        self._clock = clock
        self._loop = asyncio.new_event_loop()
        self._leave = asyncio.Event()
        self._started: Future[None] = Future()
        self.server: KmsServer
        self.backing: KmsBacking
        self._thread = threading.Thread(target=self._run, name="key service", daemon=True)
        self._thread.start()
        self._started.result(20)

    @property
    def unix(self) -> str:
        """Its URL on the Unix socket."""
        return f"unix:{self.config.kms.listen.socket}"

    @property
    def https(self) -> str:
        """Its URL over TLS."""
        return f"https://{HOST}:{self.port}"

    @property
    def port(self) -> int:
        """The port of the listener for clients with a certificate."""
        assert self.server.https is not None
        return self.server.https[1]

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on its loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def do(self, function: Callable[[], Any]) -> Any:
        """Call a function on its loop."""

        async def call() -> Any:
            return function()

        return self.run(call())

    def reload(self, config: Config) -> None:
        """Take clients and certificates anew, as after SIGHUP."""
        self.run(self.server.reload(config))

    def stop(self) -> None:
        """Stop serving, and close the key service."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._leave.set)
            self._thread.join(20)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with assembly.open_kms(self.config, self._clock) as kms:
                self._loop.run_until_complete(self._serve(kms))
                self._loop.run_until_complete(self._abort_all())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)
        finally:
            self._loop.close()

    async def _abort_all(self) -> None:
        """Break what was still shaking hands: a process that ends does the same."""
        for transport in tuple(self._loop._transports.values()):  # type: ignore[attr-defined]
            transport.abort()
        await asyncio.sleep(0.01)

    async def _serve(self, kms: Any) -> None:
        workers = Workers("kms", 4)
        workers.start()
        self.backing = KmsBacking(kms, workers, ClientTable.resolve(self.config), "0.0.test")
        try:
            async with serve_kms(self.backing, self.config) as self.server:
                self._started.set_result(None)
                await self._leave.wait()
        finally:
            workers.stop(5)


@contextmanager
def served(config: Config, clock: MovedClock | None = None) -> Iterator[Served]:
    """Create the key service's files where they are missing, and serve it."""
    if not Path(config.kms.masters.removeprefix("soft:")).exists():
        assembly.create_key_service(config)
    running = Served(config, clock)
    try:
        yield running
    finally:
        running.stop()


@contextmanager
def reached(
    way: Way, config: Config, clock: MovedClock, certificates: Certificates
) -> Iterator[KeyService]:
    """Open the key service of a configuration as one client reaches it in this way."""
    if way == "embedded":
        if not Path(config.kms.masters.removeprefix("soft:")).exists():
            assembly.create_key_service(config)
        with assembly.open_key_service(config, clock) as service:
            yield service
        return
    if way == "unix":
        tls, known_by = None, {"user": str(os.getuid())}
    else:
        tls, known_by = (
            certificates.of_server(),
            {"fingerprint": fingerprint(certificates.client[0])},
        )
    with served(serving(config, client(**known_by), tls=tls), clock) as running:
        url = running.unix if way == "unix" else running.https
        with remote_key_service((url,), certificates.of_client()) as service:
            yield service


class Heard:
    """A listener that remembers, and waits."""

    def __init__(self) -> None:
        self._told: queue.SimpleQueue[m.Notice] = queue.SimpleQueue()

    def __call__(self, notice: m.Notice) -> None:
        self._told.put(notice)

    def next(self) -> m.Notice:
        return self._told.get(timeout=SOON_S)

    @property
    def empty(self) -> bool:
        return self._told.empty()


def in_thread(function: Callable[[], object]) -> object:
    """Call a function in another thread, over whose connection it goes; return what it does."""
    result: queue.SimpleQueue[object] = queue.SimpleQueue()

    def run() -> None:
        try:
            result.put(function())
        except Exception as error:  # noqa: BLE001 - it is looked at by the test
            result.put(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(SOON_S)
    return result.get(timeout=1)


def events(folder: Path, name: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "audit.jsonl").read_text().splitlines())
    return [line["facts"] for line in lines if line["event"] == name]


def on_socket(running: Served) -> http.client.HTTPConnection:
    """Return a connection to the Unix socket."""
    connection = http.client.HTTPConnection("kms")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(SOON_S)
    connection.sock.connect(str(running.config.kms.listen.socket))
    return connection


def asked(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> Any:
    """Return the status and the JSON body of an answer."""
    raw = None if body is None else json.dumps(body).encode()
    connection.request(method, path, raw, {"Content-Type": "application/json"} if raw else {})
    response = connection.getresponse()
    content = response.read()
    return response.status, json.loads(content) if content else None
