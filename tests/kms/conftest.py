"""A test IGC-Santé and the cards of one person, made once: RSA keys take their time."""

from datetime import UTC, datetime

import pytest

from simulators.pki import Pki, Profile, Usage
from tests.kms.cps_world import NOW, Card, issued


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
