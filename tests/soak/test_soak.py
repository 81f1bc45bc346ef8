"""The soak, for a short time; and that it can fail."""

from __future__ import annotations

import pytest

from tests.soak.holds import overlaps, run, soaking
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.mark.timeout(300)
def test_under_faults_two_commands_never_run_at_the_same_time() -> None:
    with soaking(seed=2) as soak:
        assert run(soak, 40, print) == []
        assert len(soak.seen()) > 3


@pytest.mark.timeout(300)
def test_the_soak_finds_an_overlap_where_there_is_no_guard() -> None:
    with soaking(seed=1, guarded=False) as soak:
        until(soak.seen, within_s=30)

        def found() -> list[tuple[int, int]]:
            soak.freeze_the_holder()
            return overlaps(soak.seen())

        until(found, within_s=60)
