"""Clients that mean harm: floods, half requests, huge headers, other protocols."""

import contextlib
import json
import socket
import time

import pytest

from cardd.api import connections
from tests.api.face_world import AUDIENCE, NONCE, OBSERVER, World, as_uid
from tests.limits import ends_soon

pytestmark = pytest.mark.faults

HEAD = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n"


def answer_of(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one answer to the end of the connection."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while chunk := connection.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, body


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"X: " + b"a" * 20_000 + b"\r\n\r\n",
        HEAD + b"".join(b"X-%d: a\r\n" % number for number in range(200)) + b"\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Bad Header: x\r\n\r\n",
        HEAD + b"X: a\x00b\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[:48]),
)
def test_what_is_no_request_gets_a_problem_and_the_door(shared: World, sent: bytes) -> None:
    connection = shared.socket()
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(sent)
    status, headers, body = answer_of(connection)
    connection.close()
    assert 400 <= status < 500
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["code"] in {"invalid_request", "not_found"}
    assert shared.ask("GET", "/v1/status").status == 200


def test_a_flood_of_connections_leaves_others_and_oneself_served(fresh: World) -> None:
    flood = [fresh.socket() for _ in range(200)]
    for number, each in enumerate(flood):
        with contextlib.suppress(OSError):
            each.sendall(HEAD if number % 2 else b"")
    assert fresh.ask("GET", "/v1/status").status == 200
    script = "print(json.dumps(Client(sys.argv[1]).status().badge))"
    assert as_uid(OBSERVER, script, str(fresh.main)) is True
    for each in flood:
        each.close()
    assert fresh.ask("GET", "/v1/readers").status == 200


def test_connections_in_use_are_not_closed_for_new_ones(fresh: World) -> None:
    streams = []
    for _ in range(connections.MAX_CONNECTIONS_PER_UID):
        stream = fresh.socket()
        stream.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stream.recv(12) == b"HTTP/1.1 200"
        streams.append(stream)
    refused = fresh.socket()
    status, headers, body = answer_of(refused)
    refused.close()
    assert (status, json.loads(body)["code"]) == (429, "rate_limited")
    assert headers["retry-after"] == "1"
    script = "print(json.dumps(Client(sys.argv[1]).status().badge))"
    assert as_uid(OBSERVER, script, str(fresh.main)) is True
    for stream in streams:
        stream.close()


def test_half_a_request_is_given_up_after_a_while(
    fresh: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cardd.api.server.KEEPALIVE_S", 0.2)
    monkeypatch.setattr("cardd.api.requests.BODY_TIMEOUT_S", 0.2)
    half = fresh.socket()
    half.sendall(HEAD)
    silent = fresh.socket()
    for each in (half, silent):
        assert each.recv(100) == b""
        each.close()
    slow = fresh.socket()
    slow.sendall(
        b"POST /v1/authentications HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{"
    )
    with ends_soon():
        status, _, body = answer_of(slow)
    assert (status, json.loads(body)["code"]) == (408, "invalid_request")
    slow.close()


def test_a_client_that_vanishes_in_its_wait_leaves_no_operation_behind(fresh: World) -> None:
    body = json.dumps({"audience": AUDIENCE, "nonce": NONCE, "wait_s": 30}).encode()
    gone = fresh.socket()
    gone.sendall(
        b"POST /v1/authentications HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    operations = fresh.workstation._operations

    def waiting() -> int:
        return len([each for each in operations._known.values() if not each.ended])

    limit = time.monotonic() + 10
    while not fresh.do(waiting):
        assert time.monotonic() < limit
    gone.close()
    while fresh.do(waiting):
        assert time.monotonic() < limit


def test_pipelined_requests_are_answered_in_order(shared: World) -> None:
    connection = shared.socket()
    connection.sendall(
        HEAD + b"\r\n" + HEAD.replace(b"status", b"none") + b"Connection: close\r\n\r\n"
    )
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    connection.close()
    assert received.index(b"200 OK") < received.index(b"404 Not Found")
