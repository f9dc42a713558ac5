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
def _pcscd() -> Iterator[PrivatePcscd]:
    # Fails, with the reason, where namespaces are not permitted: a skip would hide the main job.
    enter_namespace()
    with PrivatePcscd() as server:
        yield server


@pytest.fixture
def pcscd(_pcscd: PrivatePcscd) -> PrivatePcscd:
    """Give a running private pcscd with empty readers; a test may stop, kill and start it.

    The first use moves this process to a network of its own: a loopback, and nothing else.
    """
    _pcscd.start()
    await_empty(*_pcscd.readers)
    return _pcscd
