"""`cardctl trust`: lists fetched from a server on loopback that may be anything."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardd.cli.cardctl.main import cardctl
from cardd.config import Trust
from cardd.cps.trust_authorities import Authority, read_authorities
from cardd.cps.trust_crls import Crl, CrlError, read_crl
from cardd.cps.trust_http import FetchError, Limits, fetch
from cardd.cps.trust_update import Outcome, Update, file_of, update, urls
from cardd.errors import Code
from simulators.pki import Issuer, Pki
from tests.cps.trust_world import DAY, NOW, TrustWorld, serial_of, trust_world

pytestmark = pytest.mark.unit

Answer = Callable[[BaseHTTPRequestHandler], None]
ROOT_LIST = "/ACR-FO-TEST.crl"
QUICK = Limits(timeout_s=2.0, max_bytes=64 * 1024, max_redirects=3)


class Server(ThreadingHTTPServer):
    """Answers each path as its entry says; counts what was asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.stopping = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients go away in the middle: that is what is tested."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.answers.get(self.path, status(404))(self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
        """Log nothing."""


def body(content: bytes) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def status(code: int, location: str | None = None) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        if location is not None:
            handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def raw(content: bytes) -> Answer:
    return lambda handler: handler.wfile.write(content) and None


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Send bytes without a length, slowly enough never to fill anything."""
    assert isinstance(handler.server, Server)
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.stopping.wait(0.02):
        handler.wfile.write(b"x")


def flood(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(bytes(64 * 1024))


def silent(handler: BaseHTTPRequestHandler) -> None:
    assert isinstance(handler.server, Server)
    handler.server.stopping.wait(30)


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def pki(running: Server, tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Give a PKI whose certificates say that the lists are on the server."""
    return Pki.create(tmp_path_factory.mktemp("lists") / "pki", crl_base=running.address)


@pytest.fixture
def server(running: Server, pki: Pki) -> Server:
    running.answers = {ROOT_LIST: body(pki.crl(now=NOW, issuer=None))}
    running.asked = []
    return running


@pytest.fixture
def world(pki: Pki, tmp_path: Path, server: Server) -> TrustWorld:
    """Give a world without lists, and a server that has both."""
    world = trust_world(pki, tmp_path).with_(crl_urls=(f"{server.address}/cards.crl",))
    for file in world.settings.crls.iterdir():
        file.unlink()
    server.answers["/cards.crl"] = body(crl(world))
    return world


def crl(
    world: TrustWorld, *, at: datetime = NOW, life: timedelta = 7 * DAY,
    issuer: Issuer | None = Issuer.PERSONNES,
) -> bytes:  # fmt: skip
    return world.pki.crl(now=at, life=life, issuer=issuer)


def updated(world: TrustWorld, limits: Limits = QUICK) -> Update:
    """Update all lists; return what became of the cards', the one of the configuration."""
    cards, root = update(world.settings, NOW.timestamp(), limits)
    assert root.url == world.pki.naming.root_crl
    return cards


def test_a_list_is_fetched_and_used(world: TrustWorld) -> None:
    card = world.issue()
    assert world.code(card) is Code.REVOCATION_UNAVAILABLE
    done = updated(world)
    assert done.outcome is Outcome.UPDATED
    assert done.file.stat().st_mode & 0o777 == 0o644
    world.check(card)
    assert updated(world).outcome is Outcome.UNCHANGED


def test_what_is_revoked_on_a_new_list_is_refused(world: TrustWorld, server: Server) -> None:
    card = world.issue()
    updated(world)
    world.pki.revoke(serial_of(card))
    server.answers["/cards.crl"] = body(crl(world, at=NOW + timedelta(seconds=1)))
    assert updated(world).outcome is Outcome.UPDATED
    assert world.code(card) is Code.CERTIFICATE_REVOKED


def test_the_folder_is_made(world: TrustWorld) -> None:
    elsewhere = world.with_(crls=world.settings.crls / "a" / "b")
    assert updated(elsewhere).outcome is Outcome.UPDATED


def test_a_folder_that_cannot_be_written_is_told(world: TrustWorld) -> None:
    file = world.settings.crls / "file"
    file.write_bytes(b"")
    failed = updated(world.with_(crls=file))
    assert failed.outcome is Outcome.FAILED
    assert str(file) in (failed.why or "")


@pytest.mark.parametrize(
    "answer",
    [
        status(404),
        status(500),
        body(b""),
        body(b"<html>no list</html>"),
        raw(b""),
        raw(b"SSH-2.0-x\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nshort"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"),
        flood,
        status(302),
        status(302, "https://127.0.0.1/cards.crl"),
        status(302, "file:///etc/passwd"),
        status(302, "http://[/"),
        status(302, "/cards.crl"),
    ],
)
def test_whatever_the_server_does_the_former_list_stays(
    world: TrustWorld, server: Server, answer: Answer
) -> None:
    former = updated(world).file.read_bytes()
    server.answers["/cards.crl"] = answer
    failed = updated(world)
    assert failed.outcome is Outcome.FAILED
    assert failed.why
    assert failed.file.read_bytes() == former
    world.check(world.issue())


def test_a_server_that_never_ends_is_left_after_its_time(world: TrustWorld, server: Server) -> None:
    for answer in (silent, endless):
        server.answers["/cards.crl"] = answer
        limits = Limits(timeout_s=0.3, max_bytes=64 * 1024)
        assert updated(world, limits).outcome is Outcome.FAILED


def test_redirects_are_followed_within_bounds(world: TrustWorld, server: Server) -> None:
    server.answers |= {
        "/moved.crl": status(301, "/moved-again.crl"),
        "/moved-again.crl": status(307, f"{server.address}/cards.crl"),
    }
    moved = world.with_(crl_urls=(f"{server.address}/moved.crl",))
    assert updated(moved).outcome is Outcome.UPDATED
    failed = updated(moved, Limits(2.0, 64 * 1024, max_redirects=1))
    assert failed.outcome is Outcome.FAILED


def test_lists_that_do_not_count_are_not_kept(world: TrustWorld, server: Server) -> None:
    former = updated(world).file.read_bytes()
    for bad in (
        crl(world, issuer=Issuer.IMPOSTOR),
        crl(world, issuer=Issuer.STRANGER),
        crl(world, at=NOW - 8 * DAY),
        crl(world, at=NOW + DAY),
        crl(world, at=NOW - timedelta(hours=1)),  # older than the one that is here
    ):
        server.answers["/cards.crl"] = body(bad)
        assert updated(world).outcome is Outcome.FAILED
    assert updated(world).file.read_bytes() == former


def test_the_lists_of_the_authorities_are_fetched_too(world: TrustWorld) -> None:
    authorities = read_authorities(world.settings)
    assert urls(world.settings, authorities) == [
        *world.settings.crl_urls,
        world.pki.naming.root_crl,
    ]


def test_two_urls_never_share_a_file_and_no_url_leaves_the_folder(tmp_path: Path) -> None:
    named = [
        "http://a/list.crl",
        "http://b/list.crl",
        "http://a/../../etc/passwd",
        "http://a/",
        "http://a/.crl",
        "http://a/%2e%2e%2fx.crl",
        "http://a/" + "x" * 300,
    ]
    files = [file_of(tmp_path, url) for url in named]
    assert len(set(files)) == len(named)
    for file in files:
        assert file.parent == tmp_path
        assert not file.name.startswith(".")
        assert file.suffix == ".crl"


@pytest.mark.parametrize(
    "url",
    [
        "https://host/x", "ftp://host/x", "http:///x", "http://host:0/x", "http://host:99999/x",
        "http://ho st/x", "http://host/a b", "http://host/é", "http://host/\r\nX: y", "x", "",
        "http://[::1/x",
    ],
)  # fmt: skip
def test_only_plain_http_urls_are_fetched(url: str) -> None:
    with pytest.raises(FetchError):
        fetch(url, QUICK)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_answer_is_a_body_or_a_documented_error(server: Server, content: bytes) -> None:
    server.answers["/any"] = raw(content)
    with suppress(FetchError):
        fetch(f"{server.address}/any", QUICK)


# The parser of lists


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_list_whose_signed_part_was_changed_is_none(
    pki: Pki, list_der: bytes, data: st.DataObject
) -> None:
    changed = bytearray(list_der)
    position = data.draw(st.integers(0, len(list_der) - 1))
    changed[position] ^= data.draw(st.integers(1, 255))
    try:
        read_crl(bytes(changed), authorities)
    except CrlError:
        return
    # Around the signed part, two encodings mean the same.
    assert x509.load_der_x509_crl(list_der).tbs_certlist_bytes in changed


@given(st.binary(max_size=300))
def test_any_bytes_are_a_list_or_a_documented_error(
    authorities: tuple[Authority, ...], content: bytes
) -> None:
    for whole in (content, b"-----BEGIN X509 CRL-----\n" + content):
        with pytest.raises(CrlError):
            read_crl(whole, authorities)


@pytest.fixture(scope="module")
def list_der(pki: Pki) -> bytes:
    return pki.crl(now=NOW)


@pytest.fixture(scope="module")
def authorities(pki: Pki) -> tuple[Authority, ...]:
    return read_authorities(Trust(roots=pki.roots, intermediates=pki.intermediates))


def test_a_list_in_pem_is_read(authorities: tuple[Authority, ...], list_der: bytes) -> None:
    pem = x509.load_der_x509_crl(list_der).public_bytes(Encoding.PEM)
    assert isinstance(read_crl(pem, authorities), Crl)


# The commands


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cardctl, [str(each) for each in arguments])


@pytest.fixture
def config_file(world: TrustWorld, tmp_path: Path) -> Path:
    trust = world.settings
    file = tmp_path / "cardd.toml"
    file.write_text(
        '[badge]\nsystem_identifier = "0011223344556677"\n[trust]\n'
        f'roots = "{trust.roots}"\nintermediates = "{trust.intermediates}"\n'
        f'crls = "{trust.crls}"\ncrl_urls = {json.dumps(trust.crl_urls)}\n'
    )
    return file


def test_the_command_fetches_and_shows(config_file: Path, server: Server) -> None:
    shown = run("trust", "show", "--config", config_file)
    assert shown.exit_code == 0
    assert "cardctl trust update" in shown.output
    done = run("trust", "update", "--config", config_file)
    assert done.exit_code == 0, done.output
    assert sorted(server.asked) == sorted(["/cards.crl", ROOT_LIST])
    shown = run("trust", "show", "--config", config_file)
    assert shown.output.count("fresh") == 2
    assert "TEST AC RACINE IGC-SANTE FORT" in shown.output


def test_the_command_fails_where_one_list_does(config_file: Path, server: Server) -> None:
    server.answers["/cards.crl"] = status(404)
    done = run("trust", "update", "--config", config_file, "--json")
    assert done.exit_code == 1
    items = json.loads(done.output)["items"]
    assert [each["outcome"] for each in items] == ["failed", "updated"]
    assert "404" in items[0]["why"]


def test_show_says_what_is_wrong_with_a_file(config_file: Path, world: TrustWorld) -> None:
    (world.settings.crls / "garbage.crl").write_bytes(b"\x1b[2Jgarbage")
    (world.settings.crls / "old.crl").write_bytes(crl(world, at=NOW - 8 * DAY))
    shown = run("trust", "show", "--config", config_file, "--json")
    lists = {each["file"]: each["state"] for each in json.loads(shown.output)["crls"]}
    assert lists == {"garbage.crl": "unusable", "old.crl": "expired"}
    assert "\x1b" not in run("trust", "show", "--config", config_file).output


@pytest.mark.parametrize("command", ["show", "update"])
def test_without_authorities_or_configuration_the_command_says_so(
    config_file: Path, world: TrustWorld, tmp_path: Path, command: str
) -> None:
    for file in world.settings.roots.iterdir():
        file.unlink()
    refused = run("trust", command, "--config", config_file)
    assert refused.exit_code == 1
    assert "trust_unavailable" in refused.output
    missing = run("trust", command, "--config", tmp_path / "none.toml")
    assert missing.exit_code == 1
    assert "config_not_found" in missing.output
