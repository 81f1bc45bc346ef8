"""A program whose SQLite store is removed under it is told so, wherever it waits."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

import tenure
from tenure.errors import NotLeader, StoreReplaced

pytestmark = pytest.mark.slow


async def test_who_waits_for_an_office_is_told_when_the_stores_file_is_gone(tmp_path: Path) -> None:
    url, told = f"sqlite://{tmp_path}/tenure.db", False
    async with (
        tenure.connect(url, machine="one", lease_s=5) as one,
        tenure.connect(url, machine="two", lease_s=2) as two,
    ):
        # Its own term ends with its lease, as always; it may have left the block by then.
        with contextlib.suppress(NotLeader):
            async with one.office("cron").hold():
                for path in tmp_path.glob("tenure.db*"):
                    path.unlink()
                with pytest.raises(StoreReplaced, match="removed or replaced while it was in use"):
                    async with two.office("cron").hold(timeout_s=60):
                        pytest.fail("it can't be held")
                told = True
    assert told
