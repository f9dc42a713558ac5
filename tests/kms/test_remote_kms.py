"""The way to a key service that is away, mute, unwell or something else: bounded, and no storm."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms import addresses, links
from cardd.kms import messages as m
from cardd.kms.addresses import Addresses
from cardd.kms.backoff import FIRST_S, LONGEST_S, Backoff
from cardd.kms.remote import remote_key_service
from tests.kms.kms_world import configuration
from tests.kms.wire_world import Certificates, client, fingerprint, in_thread, served, serving
from tests.limits import SOON_S, ends_soon

pytestmark = pytest.mark.unit

TAP = m.Tap(uid=bytes.fromhex("04010203040506"))
HEALTHY = b'{"available":true,"why":null}'
UNWELL = b'{"code":"kms_unavailable","detail":"the disk is full","title":"x","status":503}'


def answer(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@contextmanager
def peer(path: Path, say: Callable[[], bytes | None]) -> Iterator[list[bytes]]:
    """Listen at a path and answer each request; None hangs up. Gives the requests' first lines."""
    asked: list[bytes] = []
    connections: list[socket.socket] = []
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()

    def attend(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while request := connection.recv(65536):
                if request.startswith((b"GET", b"POST", b"DELETE")):
                    asked.append(request.split(b"\r\n")[0])
                if b"POST" in request[:4] and not request.endswith(b"}"):
                    connection.recv(65536)
                said = say()
                if said is None:
                    return
                connection.sendall(said)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                connections.append(connection)
                threading.Thread(target=attend, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield asked
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def test_after_a_failure_nobody_asks_for_a_while_and_then_one_at_a_time() -> None:
    now = [100.0]
    backoff = Backoff(lambda: now[0], lambda: 1.0)
    assert backoff.may_try()
    assert backoff.may_try(), "while it works, everybody may"
    backoff.failed("away")
    backoff.failed("away")
    assert not backoff.may_try()
    now[0] += FIRST_S
    assert backoff.may_try()
    assert not backoff.may_try(), "one is at it"
    backoff.failed("still away")
    now[0] += FIRST_S
    assert not backoff.may_try(), "it waits longer each time; two failures at once were one"
    now[0] += FIRST_S
    assert backoff.may_try()
    backoff.released()
    assert backoff.may_try()
    backoff.succeeded()
    assert backoff.may_try()
    assert backoff.may_try()
    assert backoff.why == "still away"


def test_the_wait_grows_to_its_limit_and_is_not_the_same_for_all() -> None:
    now = [0.0]
    lucky = Backoff(lambda: now[0], lambda: 0.0)
    for _ in range(40):
        lucky.failed("away")
        now[0] += LONGEST_S
        assert lucky.may_try()
    lucky.failed("away")
    now[0] += LONGEST_S / 2
    assert lucky.may_try()


def test_a_key_service_that_is_away_is_unavailable_at_once(tmp_path: Path) -> None:
    with remote_key_service((f"unix:{tmp_path}/none",), None) as service:
        for call in (
            lambda: service.begin(TAP),
            lambda: service.next("handle", ()),
            lambda: service.badges(m.Page()),
            lambda: service.end_presence("sid", "r"),
            service.challenge,
        ):
            with ends_soon(), pytest.raises(KmsUnavailable) as caught:
                call()
            assert caught.value.code is Code.KMS_UNAVAILABLE
        service.abort("handle")
        health = service.health()
        assert not health.available
        assert "No such file" in str(health.why)


def test_a_mute_one_is_asked_no_more_while_it_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cardd.kms.backoff.FIRST_S", 3600.0)
    monkeypatch.setattr("cardd.kms.backoff.LONGEST_S", 3600.0)
    monkeypatch.setattr("cardd.kms.remote.ANSWER_S", 0.2)
    with (
        peer(tmp_path / "mute", lambda: b"") as asked,
        remote_key_service((f"unix:{tmp_path}/mute",), None) as service,
    ):
        with ends_soon(), pytest.raises(KmsUnavailable, match="in time"):
            service.begin(TAP)
        for _ in range(100):
            with pytest.raises(KmsUnavailable, match="in time"):
                service.begin(TAP)
        assert len(asked) == 1


def test_the_next_one_is_used_where_the_first_is_away_and_nothing_is_lost(tmp_path: Path) -> None:
    urls = (f"unix:{tmp_path}/none", f"unix:{tmp_path}/there")
    with (
        peer(tmp_path / "there", lambda: answer(HEALTHY)) as asked,
        remote_key_service(urls, None) as service,
    ):
        for _ in range(3):
            assert service.health().available
        assert len(asked) == 3


def test_the_first_one_is_used_again_for_new_connections(tmp_path: Path) -> None:
    urls = (f"unix:{tmp_path}/first", f"unix:{tmp_path}/second")
    with (
        peer(tmp_path / "second", lambda: answer(HEALTHY)) as second,
        remote_key_service(urls, None) as service,
    ):
        assert service.health().available
        with peer(tmp_path / "first", lambda: answer(HEALTHY)) as first:
            for _ in range(2000):
                in_thread(service.health)
                if first:
                    break
            assert first
            assert service.health().available, "the kept one stays"
            assert second


def test_another_replica_is_asked_where_one_cannot_judge(tmp_path: Path) -> None:
    unwell = answer(UNWELL, "503 Service Unavailable", "application/problem+json")
    urls = (f"unix:{tmp_path}/unwell", f"unix:{tmp_path}/well")
    with (
        peer(tmp_path / "unwell", lambda: unwell) as asked,
        remote_key_service(urls[:1], None) as alone,
        remote_key_service(urls, None) as both,
    ):
        for _ in range(3):
            with pytest.raises(KmsUnavailable, match="the disk is full"):
                alone.badges(m.Page())
        assert len(asked) == 3, "it answers: there is nothing to wait for"
        with peer(tmp_path / "well", lambda: answer(b'{"items":[],"next":null}')):
            assert both.badges(m.Page()).items == ()
        with pytest.raises(KmsUnavailable):
            both.badges(m.Page())


def test_what_must_not_be_done_twice_is_not_sent_twice(tmp_path: Path) -> None:
    urls = (f"unix:{tmp_path}/a", f"unix:{tmp_path}/b")
    with (
        peer(tmp_path / "a", lambda: None) as first,
        peer(tmp_path / "b", lambda: answer(HEALTHY)) as second,
        remote_key_service(urls, None) as service,
    ):
        with pytest.raises(KmsUnavailable):
            service.revoke_badge("x", "lost")
        assert (len(first), len(second)) == (1, 0)
        assert service.health().available, "this one may be asked anywhere"
        assert len(second) == 1


@pytest.mark.parametrize(
    "said",
    [
        answer(b"<html>", kind="text/html"),
        answer(b"{}"),
        answer(b'{"available": 1}'),
        answer(b"\xff"),
        answer(b'{"code":"no_such_code","detail":"x"}', "400 x", "application/problem+json"),
        answer(b"nothing", "500 x", "application/problem+json"),
        answer(HEALTHY, "302 Found"),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    ],
)
def test_what_is_no_key_service_is_unavailable(
    tmp_path: Path, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = said.endswith(b"{") or b"-1" in said
    monkeypatch.setattr("cardd.kms.remote.ANSWER_S", 0.2 if waits else SOON_S)
    with (
        peer(tmp_path / "odd", lambda: said),
        remote_key_service((f"unix:{tmp_path}/odd",), None) as service,
    ):
        with pytest.raises(KmsUnavailable):
            service.badges(m.Page())
        assert not service.health().available


def test_an_endless_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MAX_ANSWER_BYTES", 10_000)
    with (
        peer(tmp_path / "long", lambda: answer(b"[" * 10_001)),
        remote_key_service((f"unix:{tmp_path}/long",), None) as service,
        pytest.raises(KmsUnavailable),
    ):
        service.badges(m.Page())


def test_a_refusal_is_a_refusal_with_its_facts(tmp_path: Path) -> None:
    body = b'{"code":"rate_limited","detail":"slow","retry_after":7,"status":429,"title":"t"}'
    said = answer(body, "429 Too Many", "application/problem+json")
    with (
        peer(tmp_path / "strict", lambda: said),
        remote_key_service((f"unix:{tmp_path}/strict",), None) as service,
        pytest.raises(Refused) as caught,
    ):
        service.begin(TAP)
    assert caught.value.code is Code.RATE_LIMITED
    assert caught.value.facts == {"retry_after": 7}


def test_nothing_is_asked_after_the_end(tmp_path: Path) -> None:
    with (
        peer(tmp_path / "there", lambda: answer(HEALTHY)) as asked,
        remote_key_service((f"unix:{tmp_path}/there",), None) as service,
    ):
        assert service.health().available
        asked.clear()
        service.close()  # type: ignore[attr-defined]
        assert "stopping" in str(service.health().why)
        service.watch(lambda _notice: None)()
        assert asked == []


def test_a_connection_that_the_server_closed_meanwhile_is_opened_anew(
    tmp_path: Path, certificates: Certificates
) -> None:
    config = configuration(tmp_path)
    desk = client(fingerprint=fingerprint(certificates.client[0]))
    settings = serving(config, desk, tls=certificates.of_server())
    with served(settings) as running:
        port = running.port
        with remote_key_service((running.https,), certificates.of_client()) as service:
            # The same port, as after a restart.
            again = serving(config, desk, tls=certificates.of_server(), https=f"127.0.0.1:{port}")
            assert service.health().available
            running.stop()
            with served(again):
                assert service.badges(m.Page()).items == ()


def test_looking_a_host_up_is_bounded_and_what_was_found_last_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.1", 8443))]
    looks: list[str] = []

    def look(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        looks.append(host)
        if len(looks) > 1:
            released.wait(SOON_S)
        if len(looks) == 3:
            raise socket.gaierror(-2, "Name or service not known")
        return list(found)

    monkeypatch.setattr(addresses.socket, "getaddrinfo", look)
    monkeypatch.setattr(addresses, "LOOK_UP_S", 0.05)
    known = Addresses("kms.test", 8443)
    other = Addresses("other.test", 8443)
    assert known.find() == ((socket.AF_INET, ("192.0.2.1", 8443)),)
    assert known.find() == ((socket.AF_INET, ("192.0.2.1", 8443)),), "the last that was found"
    with pytest.raises(TimeoutError):
        other.find()
    assert len(looks) == 3
    with pytest.raises(TimeoutError):
        other.find()
    assert len(looks) == 3, "one look-up at a time"
    released.set()
    for _ in range(2000):
        with contextlib.suppress(TimeoutError, socket.gaierror):
            if other.find():
                break
    assert other.find()
