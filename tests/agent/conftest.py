"""What the agent's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fresh store; its agents are ended afterwards."""
    world = World(tmp_path)
    yield world
    world.close()
