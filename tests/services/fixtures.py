"""A SoftHSM2 token, a PyKMIP server and a PostgreSQL, real ones; a pytest plugin."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.services.certificates import Authority
from tests.services.postgres_cluster import own_postgres
from tests.services.processes import service

# Its own program says nothing on its output: when it is ready stands in its log file alone.
_KMIP_SERVER = """
import logging
logging.basicConfig(level=logging.INFO)
from kmip.services.server.server import main
main()
"""


@dataclass(frozen=True, slots=True)
class Token:
    """A SoftHSM2 token. The module reads its place from $SOFTHSM2_CONF, which is set."""

    module: Path
    label: str
    pin: str
    directory: Path


@dataclass(frozen=True, slots=True)
class KmipServer:
    """A KMIP server on loopback that asks for a client certificate of `authority`."""

    host: str
    port: int
    authority: Authority
    client_certificate: Path
    client_key: Path


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL cluster on a Unix socket in `directory`, that trusts who can reach it."""

    directory: Path
    port: int = 5432
    user: str = "postgres"

    def url(self, database: str) -> str:
        """Return the address of a database as kms.registry names it."""
        return f"postgresql://{self.user}@/{database}?host={self.directory}&port={self.port}"


@pytest.fixture(scope="session")
def softhsm_module() -> Path:
    """Find SoftHSM2's module."""
    places = (Path("/usr/lib/softhsm/libsofthsm2.so"), *Path("/usr/lib").glob("*/softhsm/*.so"))
    return next(place for place in places if place.exists())


@pytest.fixture(scope="session")
def softhsm(softhsm_module: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give SoftHSM2 a folder of its own for this session; return it."""
    folder = tmp_path_factory.mktemp("softhsm")
    configuration = folder / "softhsm2.conf"
    (folder / "tokens").mkdir()
    configuration.write_text(
        f"directories.tokendir = {folder / 'tokens'}\n"
        "objectstore.backend = file\nlog.level = ERROR\n"
    )
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    yield folder
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


@pytest.fixture
def token(softhsm: Path, softhsm_module: Path, request: pytest.FixtureRequest) -> Token:
    """Initialise a new, empty token, named after the test."""
    label = f"t{abs(hash(request.node.nodeid)) % 10**12}"
    subprocess.run(
        [
            *("softhsm2-util", "--module", softhsm_module, "--init-token", "--free"),
            *("--label", label, "--pin", "12345678", "--so-pin", "87654321"),
        ],
        check=True,
        capture_output=True,
        timeout=20,
    )
    return Token(softhsm_module, label, "12345678", softhsm / "tokens")


@pytest.fixture(scope="session")
def kmip_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Make the authority of the KMIP server and of its clients."""
    return Authority.create(tmp_path_factory.mktemp("kmip-pki"), "KMIP test authority")


@pytest.fixture(scope="session")
def kmip_server(
    kmip_authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KmipServer]:
    """Run PyKMIP's server on a port of 127.0.0.1."""
    folder = tmp_path_factory.mktemp("kmip")
    server = new_kmip_server(folder, kmip_authority, ("localhost", "127.0.0.1"))
    with running_kmip(folder):
        yield server


def new_kmip_server(folder: Path, authority: Authority, hosts: tuple[str, ...]) -> KmipServer:
    """Prepare a KMIP server whose files are in a folder and whose certificate names `hosts`."""
    certificate, key = authority.issue(f"server-{folder.name}", hosts=hosts)
    client_certificate, client_key = authority.issue(f"client-{folder.name}")
    (folder / "policy").mkdir()
    port = free_port()
    (folder / "server.conf").write_text(
        "[server]\nhostname=127.0.0.1\n"
        f"port={port}\ncertificate_path={certificate}\nkey_path={key}\n"
        f"ca_path={authority.certificate}\nauth_suite=TLS1.2\n"
        f"policy_path={folder / 'policy'}\nenable_tls_client_auth=True\nlogging_level=INFO\n"
        f"database_path={folder / 'pykmip.db'}\n"
    )
    return KmipServer("127.0.0.1", port, authority, client_certificate, client_key)


@contextmanager
def running_kmip(folder: Path) -> Iterator[None]:
    """Run the KMIP server of a folder; its keys stay there."""
    options = ("-f", folder / "server.conf", "-l", folder / "server.log")
    command = (sys.executable, "-c", _KMIP_SERVER, *options)
    # It takes SIGTERM for an interruption of a client's call, and goes on.
    with service(command, ready="Starting connection", stop=signal.SIGINT):
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL of its own, as an ordinary user, on a Unix socket alone."""
    with own_postgres() as cluster, cluster.running():
        yield Postgres(cluster.folder)


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """Empty the database of the tests, which are alone with it, and return its address."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as server:
        if not server.execute("SELECT 1 FROM pg_database WHERE datname = 'test'").fetchone():
            server.execute("CREATE DATABASE test")
        server.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = 'test'"
        )
    with psycopg.connect(postgres.url("test"), autocommit=True) as database:
        database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return postgres.url("test")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens at now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
