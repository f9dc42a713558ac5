"""What the key service answers on the wire to any request, and what becomes of it at the client."""

import contextlib
import http.client
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cardd.api.kms_server import CONNECTIONS_EACH
from cardd.config import Config
from cardd.errors import Code, Refused
from cardd.kms import messages as m
from cardd.kms.ports import KeyService
from cardd.kms.remote import remote_key_service
from cardd.kms.tls import client_context
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import configuration, holder, refusal
from tests.kms.wire_world import (
    HOST,
    Certificates,
    Served,
    asked,
    client,
    fingerprint,
    on_socket,
    served,
    serving,
)
from tests.limits import SOON_S

pytestmark = pytest.mark.unit


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configuration(tmp_path)


@pytest.fixture
def desk(certificates: Certificates) -> dict[str, Any]:
    return {"fingerprint": fingerprint(certificates.client[0])}


@pytest.fixture
def running(config: Config, certificates: Certificates, desk: dict[str, Any]) -> Iterator[Served]:
    with served(serving(config, client(**desk), tls=certificates.of_server())) as started:
        yield started


@pytest.fixture
def service(running: Served, certificates: Certificates) -> Iterator[KeyService]:
    with remote_key_service((running.https,), certificates.of_client()) as opened:
        yield opened


def test_public_keys_are_published_without_a_client_certificate_and_nothing_else(
    config: Config, certificates: Certificates, desk: dict[str, Any]
) -> None:
    settings = serving(config, client(**desk), tls=certificates.of_server(), jwks=True)
    context = ssl.create_default_context(cafile=certificates.servers.certificate)
    with served(settings) as running:
        assert running.server.jwks is not None
        connection = http.client.HTTPSConnection(
            HOST, running.server.jwks[1], context=context, timeout=SOON_S
        )
        status, keys = asked(connection, "GET", "/jwks")
        assert status == 200
        assert keys["keys"][0]["kty"] == "EC"
        assert asked(connection, "GET", "/v1/health")[0] == 404
        assert asked(connection, "POST", "/v1/procedures", {"type": "tap", "uid": ""})[0] == 404
        connection.close()


@contextmanager
def hostile_socket(config: Config) -> Iterator[http.client.HTTPConnection]:
    with served(serving(config, client(user=str(os.getuid())))) as running:
        connection = on_socket(running)
        yield connection
        connection.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/v1/procedures", {"type": "sign", "uid": "BAECAwQFBg=="}, 400, "invalid_request"),
        ("POST", "/v1/procedures", {"type": "tap", "uid": "!"}, 400, "invalid_request"),
        ("POST", "/v1/procedures", {"type": "tap"}, 400, "invalid_request"),
        (
            "POST",
            "/v1/procedures",
            {"type": "tap", "uid": "BAECAwQFBg==", "device": "another"},
            400,
            "invalid_request",
        ),
        ("POST", "/v1/procedures", {"type": "tap", "uid": "A" * 70_000}, 413, "invalid_request"),
        ("POST", "/v1/procedures/x", {"answers": [""] * 65}, 400, "invalid_request"),
        ("POST", "/v1/procedures/x", {"answers": []}, 504, "timeout"),
        ("DELETE", "/v1/procedures/x", {"answers": []}, 400, "invalid_request"),
        ("GET", "/v1/procedures", None, 405, "invalid_request"),
        ("GET", "/v1/nothing", None, 404, "not_found"),
        ("GET", "/v1/holders?limit=0", None, 400, "invalid_request"),
        ("GET", "/v1/holders?surprise=1", None, 400, "invalid_request"),
        ("GET", f"/v1/notices?since={'x' * 65}", None, 400, "invalid_request"),
        ("POST", "/v1/presences/none/assertions", {"requests": []}, 404, "not_found"),
        ("POST", "/v1/presences/none/end", {"reason": "r" * 129}, 400, "invalid_request"),
        ("POST", "/v1/cps-authentications", {"proof": "e30.e30.e30"}, 403, "proof_invalid"),
        ("POST", "/v1/holders", {"staff_number": " x"}, 400, "invalid_request"),
        ("POST", "/v1/badges/none/revoke", {"reason": "boredom"}, 400, "invalid_request"),
    ],
)
def test_a_hostile_request_is_a_problem_with_a_stable_code(
    config: Config, method: str, path: str, body: Any, status: int, code: str
) -> None:
    with hostile_socket(config) as connection:
        answered, problem = asked(connection, method, path, body)
        assert (answered, problem["code"]) == (status, code), problem
        assert problem["user_message"]


def test_the_document_describes_every_verb(config: Config) -> None:
    with hostile_socket(config) as connection:
        status, document = asked(connection, "GET", "/openapi.json")
    assert status == 200
    verbs = {
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
    }
    assert verbs >= {"begin", "next_step", "abort", "authenticate_cps", "get_notices", "get_jwks"}
    step = document["components"]["schemas"]["Step"]
    assert step["properties"]["commands"]["items"]["contentEncoding"] == "base64"


def test_a_text_that_is_no_unicode_is_refused_before_it_is_sent(service: KeyService) -> None:
    for call in (
        lambda: service.holder("\ud800"),
        lambda: service.holders(m.Page(q="\ud800")),
        lambda: service.add_holder(m.NewHolder(staff_number="\ud800")),
    ):
        with pytest.raises(Refused) as caught:
            call()
        assert caught.value.code is Code.INVALID_REQUEST


@pytest.mark.parametrize("name", ["a/b", "..", "a b", "é", "%2F", "a?b#c", ""])
def test_any_name_reaches_the_service_as_it_is(service: KeyService, name: str) -> None:
    with pytest.raises(Refused) as caught:
        service.holder(name)
    assert caught.value.code is Code.NOT_FOUND


def test_a_name_with_odd_signs_is_found(service: KeyService) -> None:
    added = service.add_holder(m.NewHolder(staff_number="A/1 é%2F?#"))
    assert service.holder("A/1 é%2F?#") == added
    assert service.holders(m.Page(q="é%2F?#")).items == (added,)


def test_a_refusal_keeps_its_code_and_its_facts(service: KeyService) -> None:
    holder(service)
    badge = VirtualDesfire.factory("ev2")
    assert refusal(service, badge, m.Tap(uid=badge.uid)) is Code.BADGE_UNKNOWN
    with pytest.raises(Refused) as caught:
        service.add_holder(m.NewHolder(staff_number="A1"))
    assert caught.value.code is Code.CONFLICT
    assert "type" not in caught.value.facts


def test_a_connection_that_says_nothing_is_ended(
    config: Config,
    certificates: Certificates,
    desk: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cardd.api.listener.HANDSHAKE_S", 0.2)
    monkeypatch.setattr("cardd.api.kms_server.KEEPALIVE_S", 0.2)
    settings = serving(config, client(**desk), tls=certificates.of_server())
    context = client_context(certificates.of_client())
    with (
        served(settings) as running,
        socket.create_connection((HOST, running.port), timeout=SOON_S) as silent,
        socket.create_connection((HOST, running.port), timeout=SOON_S) as connected,
        context.wrap_socket(connected, server_hostname=HOST) as idle,
    ):
        idle.sendall(b"POST /v1/procedures HTTP/1.1\r\nHost:")
        with contextlib.suppress(ConnectionResetError):
            assert silent.recv(1) == b""
        while idle.recv(1000):  # it may be told that it was too slow
            pass


def test_a_client_with_too_many_connections_loses_its_oldest_idle_ones_alone(
    service: KeyService,
    running: Served,
    certificates: Certificates,
) -> None:
    other = certificates.clients.issue("many")
    many = client("many", fingerprint=fingerprint(other[0]))
    desk = client(fingerprint=fingerprint(certificates.client[0]))
    running.reload(serving(running.config, desk, many, tls=certificates.of_server()))
    assert service.health().available
    context = client_context(certificates.of_client(other))
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(CONNECTIONS_EACH + 2):
            plain = socket.create_connection((HOST, running.port), timeout=SOON_S)
            secured = stack.enter_context(context.wrap_socket(plain, server_hostname=HOST))
            connection = http.client.HTTPConnection("kms")
            connection.sock = secured
            assert asked(connection, "GET", "/v1/health")[0] == 200
            connections.append(secured)
        for oldest in connections[:2]:
            assert oldest.recv(1) == b""
    assert service.health().available
