"""What tests of every folder share: a private pcscd with two virtual readers."""

from collections.abc import Iterator

import pytest

from scripts.private_pcscd import PrivatePcscd, enter_namespace
from tests.simulators.pcsc_side import await_empty

pytest_plugins = [
    "tests.budget",
    "tests.desfire_coverage",
    "tests.examples",
    "tests.services.fixtures",
]


@pytest.fixture(scope="session")
def own_network() -> None:
    """Move this process to a network of its own: a loopback, and nothing else.

    What listens there for a whole session asks for this first: it could not be reached any more
    once another fixture has moved. It fails, with the reason, where namespaces are not permitted.
    """
    enter_namespace()


@pytest.fixture(scope="session")
def _pcscd(own_network: None) -> Iterator[PrivatePcscd]:
    with PrivatePcscd() as server:
        yield server


@pytest.fixture
def pcscd(_pcscd: PrivatePcscd) -> PrivatePcscd:
    """Give a running private pcscd with empty readers; a test may stop, kill and start it."""
    _pcscd.start()
    await_empty(*_pcscd.readers)
    return _pcscd
