"""Readers to test: the real PC/SC stack, and the built-in reader."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.private_pcscd import PrivatePcscd
from tests.readers.reader_world import Desk, pcsc_desk, virtual_desk


@pytest.fixture
def fresh_pcscd(pcscd: PrivatePcscd) -> PrivatePcscd:
    """Give a pcscd that no other test has left a card or a stuck slot in."""
    pcscd.kill()
    pcscd.start()
    return pcscd


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Give a directory whose paths fit into a Unix socket address."""
    with tempfile.TemporaryDirectory(prefix="cardd-") as directory:
        yield Path(directory)


@pytest.fixture(
    params=[
        pytest.param("pcsc", marks=pytest.mark.pcscd),
        pytest.param("virtual", marks=pytest.mark.unit),
    ]
)
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    """Give a watched reader of each kind in turn."""
    if request.param == "pcsc":
        opened = pcsc_desk(request.getfixturevalue("fresh_pcscd"))
    else:
        opened = virtual_desk(f"unix:{request.getfixturevalue('short_path')}/desk.sock")
    with opened as desk:
        yield desk
