"""What a client hears over the wire, and what a reload of the key service changes."""

import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cardd.config import Config
from cardd.errors import Code, Refused, StartError
from cardd.kms import messages as m
from cardd.kms.ports import KeyService
from cardd.kms.remote import remote_key_service
from cardd.kms.tls import client_context
from simulators.desfire.picc import VirtualDesfire
from tests.kms.balancer import balancer
from tests.kms.kms_world import configuration, encoded, holder, tapped
from tests.kms.wire_world import (
    HOST,
    Certificates,
    Heard,
    Served,
    client,
    events,
    fingerprint,
    in_thread,
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


def test_what_the_kms_ends_is_heard_and_what_was_missed_comes_after_a_cut(
    service: KeyService, running: Served, certificates: Certificates
) -> None:
    badges = [VirtualDesfire.factory("ev2") for _ in range(2)]
    receipts = [
        encoded(service, badge, holder(service, f"A{number}").id)
        for number, badge in enumerate(badges)
    ]
    sids = [tapped(service, badge).sid for badge in badges]
    heard = Heard()
    with (
        balancer((HOST, running.port)) as way,
        remote_key_service((way.url,), certificates.of_client()) as far,
    ):
        stop = far.watch(heard)
        assert heard.next() == m.Resync(), "nothing is known of the time before"
        service.revoke_badge(receipts[0].badge, "lost")
        assert heard.next() == m.PresenceEnded(str(sids[0]), "badge_revoked")
        way.targets.clear()
        way.cut()
        service.revoke_badge(receipts[1].badge, "lost")
        way.targets.append((HOST, running.port))
        assert heard.next() == m.PresenceEnded(str(sids[1]), "badge_revoked")
        assert heard.empty
        stop()


def test_after_a_restart_of_the_key_service_there_is_a_resync(
    config: Config, certificates: Certificates, desk: dict[str, Any]
) -> None:
    settings = serving(config, client(**desk), tls=certificates.of_server())
    heard = Heard()
    with balancer() as way, remote_key_service((way.url,), certificates.of_client()) as service:
        service.watch(heard)
        for _ in range(2):
            with served(settings) as running:
                way.targets[:] = [(HOST, running.port)]
                assert heard.next() == m.Resync()
            way.targets.clear()


def test_a_client_hears_nothing_of_the_badges_of_others(
    config: Config, certificates: Certificates, desk: dict[str, Any]
) -> None:
    other = certificates.clients.issue("other-desk")
    clients = (
        client(**desk),
        client("other-desk", fingerprint=fingerprint(other[0])),
    )
    mine, theirs = Heard(), Heard()
    with (
        served(serving(config, *clients, tls=certificates.of_server())) as running,
        remote_key_service((running.https,), certificates.of_client()) as here,
        remote_key_service((running.https,), certificates.of_client(other)) as there,
    ):
        badge = VirtualDesfire.factory("ev2")
        receipt = encoded(here, badge, holder(here).id)
        for service, heard in ((here, mine), (there, theirs)):
            service.watch(heard)
            assert heard.next() == m.Resync()
        sid = tapped(here, badge).sid
        assert sid is not None
        with pytest.raises(Refused) as caught:
            there.assertions(sid, ())
        assert caught.value.code is Code.NOT_FOUND
        there.revoke_badge(receipt.badge, "lost")
        assert mine.next() == m.PresenceEnded(sid, "badge_revoked")
        assert theirs.empty


def test_a_revoked_client_is_refused_at_its_next_request_and_its_stream_ends(
    config: Config, certificates: Certificates, desk: dict[str, Any], tmp_path: Path
) -> None:
    other = certificates.clients.issue("kept-desk")
    clients = (client(**desk), client("kept-desk", fingerprint=fingerprint(other[0])))
    settings = serving(config, *clients, tls=certificates.of_server())
    heard = Heard()
    with (
        served(settings) as running,
        balancer((HOST, running.port)) as way,
        remote_key_service((way.url,), certificates.of_client()) as revoked,
        remote_key_service((way.url,), certificates.of_client(other)) as kept,
    ):
        assert revoked.health().available
        assert kept.health().available
        kept.watch(heard)
        assert heard.next() == m.Resync()
        connections = way.accepted
        running.reload(serving(config, clients[1], tls=certificates.of_server()))
        with pytest.raises(Refused) as caught:
            revoked.badges(m.Page())
        assert caught.value.code is Code.FORBIDDEN
        assert kept.health().available
        assert way.accepted == connections, "nobody lost a connection"
        assert heard.empty
        running.reload(settings)
        assert revoked.badges(m.Page()).items == ()
        assert way.accepted == connections + 1, "it came again, and the others stayed"
    assert events(tmp_path, "client.revoked") == [{"client": "desk"}]
    assert events(tmp_path, "client.added") == [{"client": "desk"}]


def test_the_stream_of_a_revoked_client_ends(
    config: Config, certificates: Certificates, desk: dict[str, Any]
) -> None:
    settings = serving(config, client(user=str(os.getuid())), tls=certificates.of_server())
    with served(settings) as running:
        connection = on_socket(running)
        connection.request("GET", "/v1/notices")
        stream = connection.getresponse()
        assert stream.status == 200
        assert stream.readline() == b"\n"
        assert b"resync" in stream.readline()
        running.reload(serving(config, client(**desk), tls=certificates.of_server()))
        assert stream.read() in {b"", b"\n"}
        connection.close()


def test_a_renewed_certificate_serves_new_connections_and_old_ones_stay(
    config: Config, certificates: Certificates, desk: dict[str, Any], tmp_path: Path
) -> None:
    settings = serving(config, client(**desk), tls=certificates.of_server())
    renewed = certificates.servers.issue("kms-renewed", hosts=(HOST,))
    presented = []
    with (
        served(settings) as running,
        balancer((HOST, running.port)) as way,
        remote_key_service((way.url,), certificates.of_client()) as service,
    ):
        assert service.health().available
        presented.append(certificate_of(running, certificates))
        running.reload(serving(config, client(**desk), tls=certificates.of_server(renewed)))
        presented.append(certificate_of(running, certificates))
        assert service.health().available
        assert way.accepted == 1
        assert in_thread(lambda: service.health().available) is True
        assert way.accepted == 2
    assert presented == [fingerprint(certificates.server[0]), fingerprint(renewed[0])]


def certificate_of(running: Served, certificates: Certificates) -> str:
    """Return the fingerprint of the certificate that a new connection sees."""
    context = client_context(certificates.of_client())
    with (
        socket.create_connection((HOST, running.port), timeout=SOON_S) as connection,
        context.wrap_socket(connection, server_hostname=HOST) as secured,
    ):
        der = secured.getpeercert(binary_form=True)
        assert der is not None
        return hashlib.sha256(der).digest().hex(":").upper()


def test_a_reload_of_what_cannot_be_used_changes_nothing(
    service: KeyService, running: Served, certificates: Certificates, tmp_path: Path
) -> None:
    nobody = client("desk", user="no-such-user-here")
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    bad_tls = certificates.of_server((broken, certificates.server[1]))
    for config in (
        serving(running.config, nobody, tls=certificates.of_server()),
        serving(running.config, tls=bad_tls),
    ):
        with pytest.raises(StartError):
            running.reload(config)
        assert service.health().available
        assert in_thread(service.health) == m.Health(available=True)
