"""The main job on each backend: created from the command line, it encodes, taps and re-keys."""

import json
from pathlib import Path

import jwt
import pytest

from cardd import assembly
from cardd.cli.kms.main import main
from cardd.config import load
from cardd.errors import KmsUnavailable
from cardd.kms import messages as m
from cardd.kms.masters.opening import add_generation, open_keys
from cardd.kms.ports import BADGE_PURPOSES, Purpose
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import (
    MovedClock,
    Relay,
    configuration,
    encoded,
    holder,
    rekeyed,
    tapped,
)
from tests.kms.masters_world import BACKENDS, Backend, backend_named, on_token, written
from tests.services.fixtures import Token

pytestmark = pytest.mark.services


@pytest.fixture(params=BACKENDS)
def backend(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Backend:
    return backend_named(request.param, tmp_path, request, monkeypatch)


def run(file: Path, *command: str) -> None:
    assert main([*command, "--config", str(file)]) == 0


def test_a_badge_is_encoded_tapped_and_re_keyed(
    backend: Backend, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(backend, tmp_path)
    run(file, "init")
    config, clock = load(file), MovedClock()
    badge = VirtualDesfire.factory("ev2")
    with assembly.open_key_service(config, clock) as service:
        person = holder(service)
        assert encoded(service, badge, person.id).generation == 1
        assert tapped(service, badge).holder.id == person.id
    assert add_generation(config.kms, BADGE_PURPOSES) == 2
    with assembly.open_key_service(config, clock) as service:
        assert tapped(service, badge).holder.id == person.id
        receipt = rekeyed(service, badge)
        assert (receipt.previous_generation, receipt.generation) == (1, 2)
        outcome = tapped(service, badge, "https://app.test")
    capsys.readouterr()
    run(file, "jwks")
    (jwk,) = json.loads(capsys.readouterr().out)["keys"]
    (assertion,) = outcome.assertions
    claims = jwt.decode(
        assertion,
        jwt.PyJWK(jwk),
        algorithms=["ES256"],
        audience="https://app.test",
        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )
    assert claims["sub"] == person.id


def test_a_second_creation_changes_nothing(
    backend: Backend, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(backend, tmp_path)
    run(file, "init")
    badge = VirtualDesfire.factory("ev2")
    with assembly.open_key_service(load(file), MovedClock()) as service:
        encoded(service, badge, holder(service).id)
    with pytest.raises(SystemExit) as caught:
        main(["init", "--config", str(file)])
    assert caught.value.code == 78
    assert "exist" in capsys.readouterr().err
    with assembly.open_key_service(load(file), MovedClock()) as service:
        assert isinstance(Relay(service, badge).run(m.Tap(uid=badge.uid)), m.Authenticated)
    with open_keys(backend.kms) as keys:
        assert [keys.masters.generations(each) for each in Purpose] == [(1,)] * len(Purpose)


def test_health_and_taps_tell_of_masters_that_went_away(token: Token, tmp_path: Path) -> None:
    config = on_token(configuration(tmp_path), tmp_path, token)
    assembly.create_key_service(config)
    badge = VirtualDesfire.factory("ev2")
    with assembly.open_key_service(config, MovedClock()) as service:
        encoded(service, badge)
        assert service.health() == m.Health(available=True)
        away = token.directory.with_name("away")
        token.directory.rename(away)
        token.directory.mkdir()
        try:
            health = service.health()
            with pytest.raises(KmsUnavailable):
                Relay(service, badge).run(m.Tap(uid=badge.uid))
        finally:
            token.directory.rmdir()
            away.rename(token.directory)
    assert not health.available
    assert "is not there" in str(health.why)
