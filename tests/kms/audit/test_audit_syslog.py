import datetime
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cardd.config_kms import Tls
from cardd.errors import StartCode, StartError
from cardd.kms.audit import delivery, syslog, syslog_link
from cardd.kms.audit.delivery import Delivery
from cardd.kms.audit.syslog_link import SyslogLink, context
from tests.kms.audit.audit_world import FixedClock, Scene, until
from tests.kms.audit.syslog_server import SyslogServer
from tests.services.certificates import Authority

pytestmark = pytest.mark.faults

# RFC 5424, 6: the parts of a message, each within its limit.
MESSAGE = re.compile(
    r"<(?P<pri>[0-9]{1,3})>1 (?P<time>[^ ]+) (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) "
    r"(?P<process>[!-~]{1,128}) (?P<id>[!-~]{1,32}) - (?P<text>.*)"
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("syslog"), "syslog authority")


@pytest.fixture(scope="module")
def identity(authority: Authority) -> tuple[Path, Path]:
    return authority.issue("server", hosts=("localhost", "127.0.0.1"))


@pytest.fixture
def server(identity: tuple[Path, Path]) -> Iterator[SyslogServer]:
    with SyslogServer(*identity) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(delivery, "LAST_RETRY_S", 0.05)
    monkeypatch.setattr(syslog_link, "TIMEOUT_S", 2.0)


@contextmanager
def linked(
    port: int, authority: Path, host: str = "localhost", tls: Tls | None = None
) -> Iterator[Delivery]:
    link = SyslogLink((host, port), context(authority, tls), "kms-1", FixedClock())
    with Delivery("syslog", link) as made:
        yield made


def texts(messages: list[str]) -> list[str]:
    found = [MESSAGE.fullmatch(message) for message in messages]
    return [match["text"] for match in found if match]


def test_a_message_is_as_rfc_5424_says() -> None:
    octets = syslog.message("a.b.c", time=FixedClock().now(), host="kms-1", process=42)
    match = MESSAGE.fullmatch(octets.decode())
    assert match is not None
    assert match["pri"] == str(13 * 8 + 5)  # log audit, notice
    assert datetime.datetime.fromisoformat(match["time"]).timestamp() == FixedClock().now()
    assert (match["host"], match["app"], match["process"]) == ("kms-1", "cardd-kms", "42")
    assert (match["id"], match["text"]) == ("audit.checkpoint", "a.b.c")
    assert syslog.framed(octets) == str(len(octets)).encode() + b" " + octets


def test_checkpoints_arrive_on_one_connection_and_verify_the_file(
    server: SyslogServer, authority: Authority, tmp_path: Path
) -> None:
    scene = Scene(tmp_path)
    with linked(server.port, authority.certificate) as witness:
        for taps in (3, 4):
            with scene.opened(witness=witness) as audit:
                for _ in range(taps):
                    audit.record("tap")
        received = server.wait_for(4)
        assert witness.trouble() is None
    assert server.accepted == 1
    assert server.faults == []
    scene.witness.write_text("\n".join(received) + "\n")
    assert scene.report().witnessed is not None
    scene.write(scene.lines()[:-3])
    assert scene.finding(witness=True)[0] == "truncated"


def test_a_server_that_is_away_is_shown_and_gets_everything_when_it_is_back(
    identity: tuple[Path, Path], authority: Authority
) -> None:
    server = SyslogServer(*identity)
    server.start()
    with linked(server.port, authority.certificate) as witness:
        witness.tell("one")
        server.wait_for(1)
        until(lambda: not witness._waiting)
        server.stop()
        witness.tell("two")
        witness.tell("three")
        until(witness.trouble)
        assert "2 checkpoints wait for it" in str(witness.trouble())
        server.start()
        messages = texts(server.wait_for(4))
        until(lambda: witness.trouble() is None)
    server.stop()
    # The one before may have been lost with the server: it comes again.
    assert messages == ["one", "one", "two", "three"]


def test_more_than_can_wait_leaves_the_latest(
    identity: tuple[Path, Path], authority: Authority
) -> None:
    server = SyslogServer(*identity)
    server.start()
    server.stop()
    with linked(server.port, authority.certificate) as witness:
        for number in range(delivery.MAXIMUM_WAITING + 20):
            witness.tell(f"number {number}")
        until(witness.trouble)
        server.start()
        until(lambda: texts(server.messages)[-1:] == [f"number {delivery.MAXIMUM_WAITING + 19}"])
    server.stop()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_certificate_for_another_host_is_not_taken(authority: Authority, host: str) -> None:
    with SyslogServer(*authority.issue("elsewhere", hosts=("elsewhere.test",))) as server:
        with linked(server.port, authority.certificate, host) as witness:
            witness.tell("one")
            until(witness.trouble)
            assert "certificate" in str(witness.trouble()).lower()
        assert server.messages == []


def test_a_certificate_of_another_authority_is_not_taken(
    server: SyslogServer, tmp_path: Path
) -> None:
    stranger = Authority.create(tmp_path, "stranger")
    with linked(server.port, stranger.certificate) as witness:
        witness.tell("one")
        until(witness.trouble)
        assert "certificate" in str(witness.trouble()).lower()
    assert server.messages == []


def test_a_server_that_wants_a_certificate_gets_that_of_the_key_service(
    identity: tuple[Path, Path], authority: Authority
) -> None:
    certificate, key = authority.issue("kms-1")
    tls = Tls(certificate=certificate, key=key, authority=authority.certificate)
    with SyslogServer(*identity, clients=authority.certificate) as server:
        with linked(server.port, authority.certificate, tls=tls) as witness:
            witness.tell("one")
            assert texts(server.wait_for(1)) == ["one"]
        with linked(server.port, authority.certificate) as stranger:
            stranger.tell("two")
            until(stranger.trouble)
        assert texts(server.messages) == ["one"]


def test_an_authority_that_is_none_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for path in (tmp_path / "none.pem", tmp_path / "empty.pem"):
        with pytest.raises(StartError) as caught:
            context(path, None)
        assert caught.value.code is StartCode.TLS_UNUSABLE
