"""One test IGC-Santé and a card of it for all of these tests: making RSA keys takes its time."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from simulators.cps import VirtualCps
from simulators.issuing import issue_cps
from simulators.pki import Pki


@dataclass(frozen=True)
class Issued:
    """A PKI, and a card of it as it was handed out."""

    pki: Pki
    folder: Path
    content: dict[str, object]

    def card(self) -> VirtualCps:
        """Return the card, fresh."""
        return VirtualCps.from_json(self.content)


@pytest.fixture(scope="session")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    folder = tmp_path_factory.mktemp("igc-sante") / "pki"
    pki = Pki.create(folder)
    return Issued(pki, folder, issue_cps("cps", "Camille Martin", pki, None).to_json())


@pytest.fixture(scope="session")
def another_root(tmp_path_factory: pytest.TempPathFactory, issued: Issued) -> Issued:
    """A PKI of the same names and other keys, and the first one's card."""
    folder = tmp_path_factory.mktemp("another-igc-sante") / "pki"
    return Issued(Pki.create(folder), folder, issued.content)
