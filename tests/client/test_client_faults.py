"""A daemon that is absent, mute, or answers nonsense: DaemonUnavailable, and in time."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardd.client import CarddProblem, Client, DaemonUnavailable
from tests.limits import ends_soon

pytestmark = pytest.mark.faults


class Impostor:
    """Answers every connection with the same bytes; with None it answers nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answer: bytes | None = b""
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(16)
        self._held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            request = connection.recv(65536)
            if not request:
                connection.close()
                return
            if self.answer is None:
                self._held.append(connection)
                continue
            connection.sendall(self.answer)
            connection.close()

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(self.path))
        self._thread.join(10)
        for each in (*self._held, self._listening):
            each.close()

    def content(self, body: bytes, status: str = "200 OK") -> None:
        """Answer with a whole response."""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.answer = head.encode() + body


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[Impostor]:
    server = Impostor(tmp_path / "a.sock")
    yield server
    server.close()


def test_an_absent_daemon_is_unavailable_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnavailable, match="is cardd running"):
        Client(tmp_path / "none.sock").status()
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "dead.sock"))
    dead.close()
    with pytest.raises(DaemonUnavailable, match="has stopped"):
        Client(tmp_path / "dead.sock").status()
    with pytest.raises(DaemonUnavailable):
        Client(tmp_path / "none.sock").events()


def test_a_mute_daemon_is_given_up_in_time(impostor: Impostor) -> None:
    impostor.answer = None
    with ends_soon(), pytest.raises(DaemonUnavailable, match="in time"):
        Client(impostor.path, timeout_s=0.2).status()


def test_a_daemon_that_accepts_nobody_is_given_up_in_time(tmp_path: Path) -> None:
    path = tmp_path / "full.sock"
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as first:
        full.bind(str(path))
        full.listen(0)
        first.connect(str(path))
        with ends_soon(), pytest.raises(DaemonUnavailable, match="in time"):
            Client(path, timeout_s=0.2).status()


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b"[]", b"{}", b"7", b'{"can":3}', b'{"items":3}', b"\xff"]
)
def test_an_answer_of_no_sense_is_unavailable(impostor: Impostor, body: bytes) -> None:
    impostor.content(body)
    client = Client(impostor.path, timeout_s=5)
    for call in (client.status, client.readers, client.presences):
        with pytest.raises(DaemonUnavailable):
            call()
    with pytest.raises(DaemonUnavailable):
        client.assertion("sid", "https://app.test")


def test_a_refusal_without_a_problem_is_unavailable(impostor: Impostor) -> None:
    impostor.content(b"<html>", "502 Bad Gateway")
    with pytest.raises(DaemonUnavailable):
        Client(impostor.path, timeout_s=5).status()
    impostor.content(b'{"code":"x"}', "418 Teapot")
    with pytest.raises(CarddProblem) as caught:
        Client(impostor.path, timeout_s=5).status()
    assert (caught.value.code, caught.value.status) == ("x", 418)


def test_a_stream_that_breaks_or_lies_is_unavailable(impostor: Impostor) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
    impostor.answer = head + b'\r\n{"no":"event"}\n'
    with Client(impostor.path).events() as events, pytest.raises(DaemonUnavailable):
        next(events)
    for answer in (b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 x\r\n\r\n", b"HTTP/1.1 200"):
        impostor.answer = answer
        with pytest.raises(DaemonUnavailable):
            Client(impostor.path).events()
    impostor.content(b'{"code":"forbidden"}', "403 Forbidden")
    with pytest.raises(CarddProblem):
        Client(impostor.path).events()


def test_an_event_id_of_two_lines_is_a_mistake_of_the_caller(impostor: Impostor) -> None:
    with pytest.raises(ValueError, match="Last-Event-ID"):
        Client(impostor.path).events("x\r\nX: y")


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(answer=st.binary(max_size=200), http=st.booleans())
def test_no_bytes_whatever_raise_anything_else(
    impostor: Impostor, answer: bytes, http: bool
) -> None:
    impostor.answer = (b"HTTP/1.1 200 OK\r\n" if http else b"") + answer
    with pytest.raises((DaemonUnavailable, CarddProblem)):
        Client(impostor.path, timeout_s=5).status()
