"""What the tests of hook tools share: a unit's world."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.agent.tools.unit_world import UnitWorld, unit_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[UnitWorld]:
    async with unit_world(tmp_path) as world:
        yield world
