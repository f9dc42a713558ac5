"""What is a KMIP server's own: names in TLS, and a server that goes, stalls or talks rubbish."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cardd.errors import Code, KmsUnavailable, Refused, StartCode, StartError
from cardd.kms.masters import kmip_link
from cardd.kms.masters import kmip_messages as k
from cardd.kms.masters.held import HeldMasterKeys, HeldMasters, create_masters
from cardd.kms.masters.kmip import KmipKeys
from cardd.kms.masters.kmip_link import Identity, KmipLink, Server
from cardd.kms.masters.names import Names
from cardd.kms.masters.opening import create_keys, open_keys
from cardd.kms.masters.outage import PAUSE_S
from cardd.kms.ports import Purpose
from tests.kms.kms_world import configuration
from tests.kms.masters_world import Backend, on_kmip, with_kms
from tests.limits import ends_soon
from tests.services.certificates import Authority
from tests.services.fixtures import KmipServer, free_port, new_kmip_server, running_kmip

pytestmark = pytest.mark.services

MESSAGE = b"a message of more than a block"


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, kmip_authority: Authority) -> Path:
    """The folder of a server that tests start and stop, whose certificate names localhost alone."""
    folder = tmp_path_factory.mktemp("own-kmip")
    new_kmip_server(folder, kmip_authority, ("localhost",))
    return folder


def identity(server: KmipServer) -> Identity:
    certificate, key = server.client_certificate, server.client_key
    return Identity(certificate, key, server.authority.certificate)


@contextmanager
def keys_of(link: KmipLink) -> Iterator[KmipKeys]:
    with closing(link):
        yield KmipKeys(link, Names(link.server.prefix))


def refusal(backend: Backend) -> StartCode:
    with pytest.raises(StartError) as caught, open_keys(backend.kms):
        pass
    return caught.value.code


def test_a_server_that_went_is_said_so_at_once_and_is_used_when_it_is_back(
    tmp_path: Path, kmip_authority: Authority
) -> None:
    folder = tmp_path / "went-kmip"
    folder.mkdir()
    server, watch = new_kmip_server(folder, kmip_authority, ("localhost",)), Watch()
    place = Server("localhost", server.port, "cardd")
    with keys_of(KmipLink(place, identity(server), monotonic=watch)) as holder:
        with running_kmip(folder):
            create_masters(HeldMasterKeys(holder))
            masters = HeldMasters(holder)
            before = masters.mac(Purpose.PICC, 1, MESSAGE)
        with ends_soon():
            for _ in range(50):
                with pytest.raises(KmsUnavailable, match="cannot be used"):
                    masters.mac(Purpose.PICC, 1, MESSAGE)
        with running_kmip(folder):
            with pytest.raises(KmsUnavailable):  # nobody tries again within the pause
                masters.mac(Purpose.PICC, 1, MESSAGE)
            watch.time += PAUSE_S
            assert masters.mac(Purpose.PICC, 1, MESSAGE) == before
        with running_kmip(folder):  # the kept connection is dead, and nobody notices
            assert masters.mac(Purpose.PICC, 1, MESSAGE) == before


def test_a_certificate_of_another_host_is_refused(
    own: Path, tmp_path: Path, kmip_authority: Authority
) -> None:
    server = server_of(own, kmip_authority)
    config = configuration(tmp_path)
    with running_kmip(own):
        elsewhere = Backend("kmip", on_kmip(config, tmp_path, server, "127.0.0.1"))
        with pytest.raises(StartError, match="IP address mismatch") as caught:
            enter(create_keys(elsewhere.kms))
        assert caught.value.code is StartCode.MASTERS_CREDENTIALS
        here = Backend("kmip", on_kmip(config, tmp_path, server, "localhost"))
        assert refusal(here) is StartCode.MASTERS_NOT_FOUND


def server_of(folder: Path, authority: Authority) -> KmipServer:
    """Describe the server of a folder, of which the fixture kept nothing."""
    text = (folder / "server.conf").read_text()
    port = int(next(line for line in text.splitlines() if line.startswith("port="))[5:])
    client = authority.folder / f"client-{folder.name}.pem"
    return KmipServer("127.0.0.1", port, authority, client, client.with_suffix(".key"))


def enter(manager: object) -> None:
    with manager:  # type: ignore[attr-defined]
        pass


def test_an_authority_or_a_client_that_is_not_the_server_s_is_refused(
    kmip_server: KmipServer, tmp_path: Path
) -> None:
    other = Authority.create(tmp_path, "another authority")
    certificate, key = other.issue("stranger")
    good = on_kmip(configuration(tmp_path), tmp_path, kmip_server)
    assert good.kms.kmip is not None
    right = good.kms.kmip
    for changes, code in (
        ({"authority": other.certificate}, StartCode.MASTERS_CREDENTIALS),
        ({"certificate": certificate, "key": key}, StartCode.MASTERS_CREDENTIALS),
        ({"key": key}, StartCode.MASTERS_CREDENTIALS),
        ({"key": tmp_path / "none"}, StartCode.MASTERS_CREDENTIALS),
        ({"authority": tmp_path / "none"}, StartCode.MASTERS_CREDENTIALS),
        ({"authority": key}, StartCode.MASTERS_CREDENTIALS),
    ):
        given = {name: getattr(right, name) for name in ("certificate", "key", "authority")}
        changed = type(right)(**{**given, **changes})
        assert refusal(Backend("kmip", with_kms(good, kmip=changed))) is code, changes
    assert refusal(Backend("kmip", good)) is StartCode.MASTERS_NOT_FOUND


def test_a_key_that_others_may_read_is_refused(kmip_server: KmipServer, tmp_path: Path) -> None:
    config = on_kmip(configuration(tmp_path), tmp_path, kmip_server)
    open_key = tmp_path / "open.key"
    open_key.write_bytes(kmip_server.client_key.read_bytes())
    open_key.chmod(0o644)
    assert config.kms.kmip is not None
    changed = type(config.kms.kmip)(
        certificate=config.kms.kmip.certificate, key=open_key, authority=config.kms.kmip.authority
    )
    assert refusal(Backend("kmip", with_kms(config, kmip=changed))) is StartCode.MASTERS_CREDENTIALS


def test_nobody_listening_is_said_so(kmip_server: KmipServer, tmp_path: Path) -> None:
    config = on_kmip(configuration(tmp_path), tmp_path, kmip_server)
    nowhere = with_kms(config, masters=f"kmip://127.0.0.1:{free_port()}")
    assert refusal(Backend("kmip", nowhere)) is StartCode.MASTERS_UNAVAILABLE


@pytest.mark.parametrize(
    "url",
    [
        "kmip://",
        "kmip://:5696",
        "kmip://h:0",
        "kmip://h:65536",
        "kmip://h:x",
        "kmip://user@h",
        "kmip://user:secret@h",
        "kmip://h/a/b",
        "kmip://h?x=1",
        "kmip://h#x",
        "kmip://[::1",
    ],
)
def test_an_address_that_says_less_or_more_is_refused(url: str) -> None:
    with pytest.raises(StartError) as caught:
        kmip_link.parse(url)
    assert caught.value.code is StartCode.CONFIG_INVALID


def test_an_address_has_a_port_and_a_prefix_of_its_own_or_the_usual_ones() -> None:
    assert kmip_link.parse("kmip://kms.example") == Server("kms.example", 5696, "cardd")
    assert kmip_link.parse("kmip://[::1]:1/site-2") == Server("::1", 1, "site-2")


@contextmanager
def impostor(
    authority: Authority, answer: Callable[[ssl.SSLSocket], None]
) -> Iterator[tuple[int, list[int]]]:
    """Run a TLS server with a good certificate that does as it likes; count its connections."""
    certificate, key = authority.issue("impostor", hosts=("localhost",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    counted: list[int] = []

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
                counted.append(1)
                with context.wrap_socket(connection, server_side=True) as wrapped:
                    wrapped.settimeout(20)
                    answer(wrapped)
            except (OSError, ValueError):
                if listener.fileno() == -1:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1], counted
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(20)


def request(connection: ssl.SSLSocket) -> None:
    assert connection.recv(65536)


RUBBISH = {
    "nothing": b"",
    "half a header": b"\x42\x00\x7b\x01",
    "half an answer": b"\x42\x00\x7b\x01\x00\x00\x01\x00abc",
    "an answer of 4 GiB": b"\x42\x00\x7b\x01\xff\xff\xff\xff",
    "an empty answer": b"\x42\x00\x7b\x01\x00\x00\x00\x00",
    "another tag": b"\x42\x00\x78\x01\x00\x00\x00\x08" + bytes(8),
    "zeros": bytes(8),
    "text": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("name", RUBBISH)
def test_an_answer_that_is_rubbish_makes_the_kms_unavailable(
    kmip_server: KmipServer, name: str
) -> None:
    def answer(connection: ssl.SSLSocket) -> None:
        request(connection)
        connection.sendall(RUBBISH[name])

    with impostor(kmip_server.authority, answer) as (port, _):
        link = KmipLink(Server("localhost", port, "cardd"), identity(kmip_server))
        with closing(link), ends_soon(), pytest.raises(KmsUnavailable):
            link.call(k.locate("cardd"))


def test_a_server_that_stalls_is_given_up_and_left_alone_for_the_pause(
    kmip_server: KmipServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kmip_link, "CALL_LIMIT_S", 0.5)
    leave = threading.Event()

    def answer(connection: ssl.SSLSocket) -> None:
        request(connection)
        leave.wait(20)

    with impostor(kmip_server.authority, answer) as (port, counted):
        link = KmipLink(
            Server("localhost", port, "cardd"), identity(kmip_server), monotonic=Watch()
        )
        with closing(link):
            for _ in range(5):
                with pytest.raises(KmsUnavailable, match="in time"):
                    link.call(k.locate("cardd"))
        leave.set()
    assert len(counted) == 1


def test_a_key_that_another_operator_made_too_is_told_and_not_used(
    kmip_server: KmipServer, tmp_path: Path
) -> None:
    backend = Backend("kmip", on_kmip(configuration(tmp_path), tmp_path, kmip_server))
    place = kmip_link.parse(backend.kms.masters)
    with create_keys(backend.kms):
        pass
    with keys_of(KmipLink(place, identity(kmip_server))) as holder:
        link, names = holder._link, holder._names
        link.call(k.create(names.master((Purpose.PICC, 2), promoted=False), place.prefix))
        with pytest.raises(Refused, match="at the same time") as caught:
            holder.generate((Purpose.PICC, 2))
        assert caught.value.code is Code.CONFLICT
        assert holder.find()[Purpose.PICC, 2] is False
        link.call(k.create(names.master((Purpose.PICC, 1), promoted=True), place.prefix))
        with pytest.raises(KmsUnavailable, match="two masters"):
            holder.find()
    assert refusal(backend) is StartCode.MASTERS_UNAVAILABLE


def test_a_master_that_the_server_s_keeper_revoked_makes_the_kms_unavailable(
    kmip_server: KmipServer, tmp_path: Path
) -> None:
    backend = Backend("kmip", on_kmip(configuration(tmp_path), tmp_path, kmip_server))
    with create_keys(backend.kms):
        pass
    place = kmip_link.parse(backend.kms.masters)
    with keys_of(KmipLink(place, identity(kmip_server))) as holder:
        masters = HeldMasters(holder)
        holder._link.call(k.revoke(holder._uids[Purpose.PICC, 1]))
        with pytest.raises(KmsUnavailable, match="refuses"):
            masters.mac(Purpose.PICC, 1, MESSAGE)
        assert masters.mac(Purpose.APP_MASTER, 1, MESSAGE)
