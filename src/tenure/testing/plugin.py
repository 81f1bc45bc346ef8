"""The pytest plugin: `pytest_plugins = ["tenure.testing.plugin"]` in the root conftest.py gives the fixture `tenure_world`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tenure.testing.world import World


@pytest.fixture
def tenure_world() -> Iterator[World]:
    """A store in memory, in virtual time, with nobody in it yet: see `tenure.testing.World`."""
    from tenure.testing.world import World

    with World() as world:
        yield world
