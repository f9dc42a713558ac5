"""A key service of a test's own; a test IGC-Santé and the cards of one person, made once."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cardd.config import Config
from cardd.kms.ports import KeyService
from simulators.pki import Pki, Profile, Usage
from tests.kms.cps_world import NOW, Card, Desk, desk, issued
from tests.kms.kms_world import MovedClock, configuration, key_service


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configuration(tmp_path)


@pytest.fixture
def service(config: Config, clock: MovedClock) -> Iterator[KeyService]:
    with key_service(config, clock) as opened:
        yield opened


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.create(
        tmp_path_factory.mktemp("pki") / "pki", now=datetime.fromtimestamp(NOW, tz=UTC)
    )


@pytest.fixture(scope="session")
def card(pki: Pki) -> Card:
    return issued(pki, Profile())


@pytest.fixture(scope="session")
def technical(pki: Pki) -> Card:
    return issued(pki, Profile(usage=Usage.TECHNICAL))


@pytest.fixture
def here(tmp_path: Path, pki: Pki) -> Iterator[Desk]:
    with desk(tmp_path, pki) as opened:
        yield opened


@pytest.fixture
def who(here: Desk) -> str:
    return here.add()
