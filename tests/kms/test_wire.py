"""What the wire adds to the key service: who calls, over which connection, and what it may."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from cardd.config import Config
from cardd.config_kms import KmsRight
from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms import messages as m
from cardd.kms.ports import KeyService, Right
from cardd.kms.remote import remote_key_service
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import Relay, configuration, encoded, holder, tapped
from tests.kms.wire_world import (
    Certificates,
    Served,
    client,
    events,
    fingerprint,
    in_thread,
    served,
    serving,
)

pytestmark = pytest.mark.unit

UID = bytes.fromhex("04010203040506")


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


def test_a_handle_is_of_the_connection_that_it_was_given_on(
    service: KeyService, running: Served, certificates: Certificates
) -> None:
    badge = VirtualDesfire.factory("ev2")
    encoded(service, badge, holder(service).id)
    badge.reset()
    step = service.begin(m.Tap(uid=badge.uid))
    answers = tuple(map(badge.transmit, step.commands))

    def elsewhere() -> object:
        service.health()
        return service.next(step.handle, answers)

    stolen = in_thread(elsewhere)
    assert isinstance(stolen, Refused)
    assert stolen.code is Code.TIMEOUT
    without_connection = in_thread(lambda: service.next(step.handle, answers))
    assert isinstance(without_connection, KmsUnavailable)
    assert isinstance(service.next(step.handle, answers), m.Step), "the thief did not use it up"


def test_a_handle_dies_with_its_connection(service: KeyService, running: Served) -> None:
    badge = VirtualDesfire.factory("ev2")
    encoded(service, badge, holder(service).id)
    handles = running.backing.kms._core.handles._running
    assert isinstance(in_thread(lambda: service.begin(m.Tap(uid=badge.uid))), m.Step)
    # The thread has ended, and its connection with it.
    ended = threading.Event()
    for _ in range(2000):
        if not handles:
            break
        ended.wait(0.01)
    assert not handles


def test_the_device_is_that_of_the_configuration(
    config: Config, certificates: Certificates, desk: dict[str, Any]
) -> None:
    cases: list[tuple[str | None, str]] = [(None, "desk"), ("ward-3", "ward-3")]
    for device, expected in cases:
        one = client(**desk, device=device)
        with (
            served(serving(config, one, tls=certificates.of_server())) as running,
            remote_key_service((running.https,), certificates.of_client()) as service,
        ):
            badge = VirtualDesfire.factory("ev2")
            encoded(service, badge, holder(service, f"A{expected}").id)
            (assertion,) = tapped(service, badge, "https://a.test").assertions
            claims = jwt.decode(assertion, options={"verify_signature": False})
            assert claims["device"] == expected


def test_on_the_socket_the_user_is_the_client_and_the_device_is_the_sites(config: Config) -> None:
    one = client(user=str(os.getuid()), device=None)
    with (
        served(serving(config, one)) as running,
        remote_key_service((running.unix,), None) as service,
    ):
        badge = VirtualDesfire.factory("ev2")
        encoded(service, badge, holder(service).id)
        (assertion,) = tapped(service, badge, "https://a.test").assertions
        claims = jwt.decode(assertion, options={"verify_signature": False})
        assert claims["device"] == "desk-1"


@pytest.mark.parametrize(
    ("rights", "procedure", "code"),
    [
        (("tap",), m.Tap(uid=UID), Code.BADGE_UNKNOWN),
        (("people",), m.Tap(uid=UID), Code.FORBIDDEN),
        (("tap",), m.Prepare(uid=UID), Code.FORBIDDEN),
        (("encode",), m.Encode(uid=UID), Code.FORBIDDEN),
        (("encode-factory",), m.Encode(uid=UID), Code.FORBIDDEN),
        (("tap", "encode"), m.Rekey(uid=UID), Code.FORBIDDEN),
        (("tap", "encode"), m.Wipe(uid=UID), Code.FORBIDDEN),
        (("tap", "encode"), m.Inspect(uid=UID), Code.FORBIDDEN),
    ],
)
def test_a_client_has_the_rights_that_are_listed_and_no_others(
    config: Config,
    certificates: Certificates,
    desk: dict[str, Any],
    rights: tuple[KmsRight, ...],
    procedure: m.Procedure,
    code: Code,
) -> None:
    one = client(**desk, rights=rights, audiences=("https://a.test",))
    with (
        served(serving(config, one, tls=certificates.of_server())) as running,
        remote_key_service((running.https,), certificates.of_client()) as service,
    ):
        with pytest.raises(Refused) as caught:
            service.begin(procedure)
        assert caught.value.code is code
        if "tap" in rights:
            asked_for = (m.AssertionRequest(audience="https://b.test", nonce="n" * 22),)
            with pytest.raises(Refused) as caught:
                service.begin(m.Tap(uid=UID, requests=asked_for))
            assert caught.value.code is Code.FORBIDDEN


def test_every_right_of_the_service_can_be_given() -> None:
    assert set(KmsRight.__args__) == {right.value for right in Right}  # type: ignore[attr-defined]


def test_beyond_the_badges_of_an_hour_it_is_refused_with_when_to_come_again(
    config: Config, certificates: Certificates, desk: dict[str, Any], tmp_path: Path
) -> None:
    one = client(**desk, badges_per_hour=2)
    with (
        served(serving(config, one, tls=certificates.of_server())) as running,
        remote_key_service((running.https,), certificates.of_client()) as service,
    ):
        for _ in range(2):
            with pytest.raises(Refused, match="registry"):
                service.begin(m.Tap(uid=UID))
        with pytest.raises(Refused) as caught:
            service.begin(m.Tap(uid=UID))
        assert caught.value.code is Code.RATE_LIMITED
        assert 0 < caught.value.facts["retry_after"] <= 3600
        # A reload does not give the hour back.
        running.reload(running.config)
        with pytest.raises(Refused) as caught:
            service.begin(m.Tap(uid=UID))
        assert caught.value.code is Code.RATE_LIMITED
    codes = [facts["code"] for facts in events(tmp_path, "refused")]
    assert codes == ["badge_unknown", "badge_unknown", "rate_limited"]


def test_a_stranger_is_refused_and_recorded_once(
    config: Config, certificates: Certificates, tmp_path: Path
) -> None:
    other = client("other", user="12345")
    with (
        served(serving(config, other, tls=certificates.of_server())) as running,
        remote_key_service((running.unix,), None) as on_unix,
        remote_key_service((running.https,), certificates.of_client()) as over_tls,
    ):
        for service in (on_unix, over_tls):
            for call in (lambda s: s.begin(m.Tap(uid=UID)), lambda s: s.badges(m.Page())):
                with pytest.raises(Refused) as caught:
                    call(service)
                assert caught.value.code is Code.FORBIDDEN
            assert "keys" in service.jwks(), "public keys are for everybody"
    assert len(events(tmp_path, "stranger.refused")) == 2


def test_a_certificate_must_bear_the_name_that_it_is_listed_for(
    config: Config, certificates: Certificates
) -> None:
    mistaken = client("reception", fingerprint=fingerprint(certificates.client[0]))
    with (
        served(serving(config, mistaken, tls=certificates.of_server())) as running,
        remote_key_service((running.https,), certificates.of_client()) as service,
        pytest.raises(Refused, match="does not bear that name") as caught,
    ):
        service.challenge()
    assert caught.value.code is Code.FORBIDDEN


def test_two_threads_have_their_own_connections_and_do_not_wait_for_each_other(
    service: KeyService, running: Served, certificates: Certificates
) -> None:
    badges = [VirtualDesfire.factory("ev2") for _ in range(2)]
    for number, badge in enumerate(badges):
        encoded(service, badge, holder(service, f"A{number}").id)
    first = Relay(service, badges[0])
    first.badge.reset()
    step = service.begin(m.Tap(uid=badges[0].uid))
    # In the middle of it, another reader taps.
    assert isinstance(in_thread(lambda: tapped(service, badges[1])), m.Authenticated)
    while isinstance(step, m.Step):
        step = service.next(step.handle, tuple(map(badges[0].transmit, step.commands)))  # type: ignore[assignment]
    assert isinstance(step, m.Authenticated)
