"""The simulation can fail: each rule of the protocol, switched off, breaks a promise within 500 seeds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tenure.simulation.bugs import BUGS
from tenure.simulation.many import Task, hunt

TABLE = Path(__file__).with_name("README.md")
SEEDS = 500
LONG = {
    "any-lease",
    "claims-over-work",
    "debt-on-slewed-clock",
    "forerunner-forgotten",
    "hook-unbound",
    "no-drift",
    "older-folder-taken-up",
    "saved-lease-believed",
    "slewed-clock-alone",
    "verdict-debt-forgotten",
    "verdict-not-on-disk",
    "work-not-waited-for",
    "write-in-next-term",
}
"""Those that take more than a few seeds."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in BUGS]
)
def test_a_planted_bug_is_found_within_500_seeds(name: str) -> None:
    found = hunt(name, 0, SEEDS, 1.0)
    assert found is not None, f"without {BUGS[name].rule!r} nothing is broken in {SEEDS} seeds"
    assert re.match(r"promise \d|progress$|a term|a transfer", found.promise), "found by a promise, not by a crash"


def test_what_is_found_is_found_again_by_the_command_that_is_told() -> None:
    found = hunt("debt-forgotten", 0, SEEDS, 1.0)
    assert found is not None
    again = Task(found.seed, (found.simulated_ns // 1_000_000_000 + 1) / 3600, "debt-forgotten").run()
    assert (again.promise, again.what, again.events) == (found.promise, found.what, found.events)


def test_the_table_of_bugs_names_each_with_its_rule() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|", TABLE.read_text(encoding="utf-8"), re.MULTILINE))
    assert rows == {bug.name: bug.rule for bug in BUGS.values()}
