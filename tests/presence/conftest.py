"""One test IGC-Santé and a card of it for these tests: making RSA keys takes its time."""

from typing import Any

import pytest

from simulators.issuing import issue_cps
from simulators.pki import Pki


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.create(tmp_path_factory.mktemp("igc-sante") / "pki")


@pytest.fixture(scope="session")
def content(pki: Pki) -> dict[str, Any]:
    return issue_cps("cps", "Camille Martin", pki, None).to_json()
