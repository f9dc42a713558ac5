"""Certificates that are wrong, on either side: no request is answered, and why is told."""

import contextlib
import dataclasses
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from cardd.config import Config
from cardd.config_kms import Tls
from cardd.errors import Code, KmsUnavailable, Refused, StartCode, StartError
from cardd.kms import messages as m
from cardd.kms.remote import remote_key_service
from cardd.kms.tls import client_context, public_context, server_context
from tests.kms.kms_world import configuration
from tests.kms.wire_world import HOST, Certificates, Served, client, fingerprint, served, serving
from tests.limits import SOON_S

pytestmark = pytest.mark.unit


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configuration(tmp_path)


@contextmanager
def kms(config: Config, certificates: Certificates, tls: Tls) -> Iterator[Served]:
    desk = client(fingerprint=fingerprint(certificates.client[0]))
    with served(serving(config, desk, tls=tls)) as running:
        yield running


def refused(url: str, tls: Tls) -> str:
    """Return why a workstation cannot use a key service."""
    with (
        remote_key_service((url,), tls) as service,
        pytest.raises(KmsUnavailable) as caught,
    ):
        service.begin(m.Tap(uid=bytes.fromhex("04010203040506")))
    return str(caught.value)


def test_the_right_certificates_are_taken_and_tls_1_3_is_spoken(
    config: Config, certificates: Certificates
) -> None:
    with kms(config, certificates, certificates.of_server()) as running:
        with remote_key_service((running.https,), certificates.of_client()) as service:
            assert service.health().available
        context = client_context(certificates.of_client())
        with (
            socket.create_connection((HOST, running.port), timeout=SOON_S) as connection,
            context.wrap_socket(connection, server_hostname=HOST) as secured,
        ):
            assert secured.version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("another authority", "self-signed certificate|unable to get local issuer"),
        ("expired", "certificate has expired"),
        ("another host", "IP address mismatch"),
        ("of a client", "unsuitable certificate purpose"),
    ],
)
def test_a_wrong_certificate_of_the_server_is_refused_by_the_workstation(
    config: Config, certificates: Certificates, kind: str, reason: str
) -> None:
    name = kind.replace(" ", "-")
    pair = {
        "another authority": lambda: certificates.clients.issue(name, hosts=(HOST,)),
        "expired": lambda: certificates.servers.issue(name, hosts=(HOST,), expired=True),
        "another host": lambda: certificates.servers.issue(name, hosts=("kms.test", "127.0.0.2")),
        "of a client": lambda: certificates.servers.issue(name),
    }[kind]()
    with kms(config, certificates, certificates.of_server(pair)) as running:
        why = refused(running.https, certificates.of_client())
    assert "its certificate is refused here" in why
    assert any(each in why for each in reason.split("|")), why


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("another authority", "certificate in certificate chain"),
        ("expired", "certificate has expired"),
        ("of a server", "unsuitable certificate purpose"),
    ],
)
def test_a_wrong_certificate_of_a_workstation_is_refused_by_the_server(
    config: Config,
    certificates: Certificates,
    kind: str,
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = f"desk-{kind.replace(' ', '-')}"
    pair = {
        "another authority": lambda: certificates.servers.issue(name),
        "expired": lambda: certificates.clients.issue(name, expired=True),
        "of a server": lambda: certificates.clients.issue(name, hosts=(HOST,)),
    }[kind]()
    # Also where its fingerprint is listed.
    desk = client(name, fingerprint=fingerprint(pair[0]))
    settings = serving(config, desk, tls=certificates.of_server())
    with served(settings) as running:
        why = refused(running.https, certificates.of_client(pair))
        assert "its own log may say why" in why, "the alert is lost where the connection is reset"
    log = capsys.readouterr().out
    assert "api.tls_refused" in log
    assert reason in log


def test_a_workstation_without_a_certificate_is_refused(
    config: Config, certificates: Certificates
) -> None:
    context = ssl.create_default_context(cafile=certificates.servers.certificate)
    with (
        kms(config, certificates, certificates.of_server()) as running,
        socket.create_connection((HOST, running.port), timeout=SOON_S) as connection,
        context.wrap_socket(connection, server_hostname=HOST) as secured,
        contextlib.suppress(OSError),  # an alert, or the end of the connection
    ):
        secured.sendall(b"GET /v1/health HTTP/1.1\r\nHost: kms\r\n\r\n")
        assert secured.recv(1) == b""


def test_the_server_speaks_no_tls_1_2(config: Config, certificates: Certificates) -> None:
    context = client_context(certificates.of_client())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        kms(config, certificates, certificates.of_server()) as running,
        socket.create_connection((HOST, running.port), timeout=SOON_S) as connection,
        pytest.raises(OSError),  # noqa: PT011 - an alert, or the end of the connection
    ):
        context.wrap_socket(connection, server_hostname=HOST)


def test_the_workstation_speaks_no_tls_1_2(certificates: Certificates) -> None:
    context = server_context(certificates.of_server())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_server((HOST, 0)) as listening:
        listening.settimeout(SOON_S)

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, pytest.raises(OSError):  # noqa: PT011 - the client's alert
                context.wrap_socket(connection, server_side=True)

        thread = threading.Thread(target=serve)
        thread.start()
        why = refused(f"https://{HOST}:{listening.getsockname()[1]}", certificates.of_client())
        thread.join(SOON_S)
    assert "TLS" in why


def test_a_renewed_certificate_of_a_workstation_takes_the_place_of_the_old_one(
    config: Config, certificates: Certificates, tmp_path: Path
) -> None:
    (tmp_path / "renewed").mkdir()
    again = dataclasses.replace(certificates.clients, folder=tmp_path / "renewed")
    old, new = certificates.client, again.issue("desk")
    place = tmp_path / "desk.pem", tmp_path / "desk.key"
    place[1].touch(mode=0o600)

    def install(pair: tuple[Path, Path]) -> None:
        for source, target in zip(pair, place, strict=True):
            target.write_bytes(source.read_bytes())

    def listed(*pairs: tuple[Path, Path]) -> Config:
        desk = client(fingerprint=tuple(fingerprint(pair[0]) for pair in pairs))
        return serving(config, desk, tls=certificates.of_server())

    install(old)
    with (
        served(listed(old)) as running,
        remote_key_service((running.https,), certificates.of_client(place)) as service,
    ):
        assert service.badges(m.Page()).items == ()
        running.reload(listed(old, new))
        install(new)
        assert service.badges(m.Page()).items == ()
        running.reload(listed(new))
        with pytest.raises(Refused) as caught:
            service.badges(m.Page())
        assert caught.value.code is Code.FORBIDDEN, "the connection is of the old certificate"
        assert service.badges(m.Page()).items == ()


@pytest.mark.parametrize("make", [client_context, server_context, public_context])
def test_files_that_cannot_be_used_are_told(
    certificates: Certificates, tmp_path: Path, make: Callable[[Tls], ssl.SSLContext]
) -> None:
    tls = certificates.of_server()
    open_to_all = tmp_path / "open.key"
    open_to_all.write_bytes(tls.key.read_bytes())
    open_to_all.chmod(0o644)
    nothing = tmp_path / "nothing.pem"
    nothing.touch()
    encrypted = tmp_path / "encrypted.key"
    encrypted.touch(mode=0o600)
    encrypted.write_bytes(
        load_pem_private_key(tls.key.read_bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
        )
    )
    unusable = [
        msgspec.structs.replace(tls, key=open_to_all),
        msgspec.structs.replace(tls, key=tmp_path / "none"),
        msgspec.structs.replace(tls, key=certificates.client[1]),
        msgspec.structs.replace(tls, key=encrypted),
        msgspec.structs.replace(tls, certificate=nothing),
        msgspec.structs.replace(tls, certificate=tmp_path),
    ]
    if make is not public_context:
        unusable.append(msgspec.structs.replace(tls, authority=nothing))
        unusable.append(msgspec.structs.replace(tls, authority=certificates.client[0]))
    for each in unusable:
        with pytest.raises(StartError) as caught:
            make(each)
        assert caught.value.code is StartCode.TLS_UNUSABLE
    make(tls)


def test_a_workstation_says_at_its_start_that_its_files_cannot_be_used(
    certificates: Certificates, tmp_path: Path
) -> None:
    missing = msgspec.structs.replace(certificates.of_client(), key=tmp_path / "none")
    with (
        pytest.raises(StartError) as caught,
        remote_key_service(("https://127.0.0.1:1",), missing),
    ):
        pass
    assert caught.value.code is StartCode.TLS_UNUSABLE
