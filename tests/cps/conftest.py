"""One test IGC-Santé for all of these tests: RSA keys of 4096 bits take their time."""

import pytest

from simulators.pki import Pki


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.create(tmp_path_factory.mktemp("igc-sante") / "pki")
