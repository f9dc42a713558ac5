"""The real daemon's API for the client's tests."""

from collections.abc import Iterator

import pytest

from tests.api.face_world import World, world


@pytest.fixture
def fresh() -> Iterator[World]:
    """Give an API of its own."""
    with world() as here:
        yield here
