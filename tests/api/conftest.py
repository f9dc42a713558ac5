"""One daemon's API for the tests of a module."""

from collections.abc import Iterator

import pytest

from tests.api.face_world import World, world


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    """Give an API that the tests of a module share."""
    with world() as here:
        yield here


@pytest.fixture
def fresh() -> Iterator[World]:
    """Give an API of its own."""
    with world() as here:
        yield here
