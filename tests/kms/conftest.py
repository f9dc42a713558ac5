"""A test IGC-Santé and the cards of one person, made once: RSA keys take their time."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulators.pki import Pki, Profile, Usage
from tests.kms.cps_world import NOW, Card, Desk, desk, issued
from tests.kms.kms_world import MODES, Mode
from tests.kms.wire_world import Certificates


@pytest.fixture(params=MODES)
def either_mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let every configuration of a test have derived keys, and then stored ones."""
    mode: str = request.param
    monkeypatch.setattr(Mode, "keys", mode)
    return mode


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.create(
        tmp_path_factory.mktemp("pki") / "pki", now=datetime.fromtimestamp(NOW, tz=UTC)
    )


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.create(tmp_path_factory.mktemp("wire-pki"))


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
