"""`make demo-settings` and `make demo-singleton`: they verify their own steps; here, that they end well and leave nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.test_demo import left

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from demo_singleton import Count, judge
from demo_world import NotAsPromised

SETTINGS = (
    r"three units have applied and acknowledged red",
    r"the two that live have blue",
    r"the leader knows who is missing: web/\d",
    r"web/3 is waited for before its machine has started",
    r"web/3 has blue, too; it never had red",
    r"the leader knows why web/\d is missing  \(agent lost for \d+ s\)",
    r"web/\d took it up where it stood: still version 2, and web/\d is missing",
    r"web/\d has applied what it missed",
    r"the leader knows that blue is everywhere",
    r"web/\d is no member any more, and nobody waits for it: version 3 is everywhere",
)
SINGLETON = (
    r"three units are there",
    r"web/\d counts on  \([\d.]+ s after the last number of web/\d\)",
    r"web/\d's counter was ended [\d.]+ s after the kill",
    r"web/\d's counter was ended [\d.]+ s after it was frozen",
    r"web/\d counts on  \([\d.]+ s after it was frozen; lease 8 s\)",
    r"SIGCONT: web/\d goes on, and doesn't count",
    r"web/\d runs it again, in the same term",
    r"1 to \d+: no number twice, none left out",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "promises"), [("settings", SETTINGS), ("singleton", SINGLETON)], ids=["settings", "singleton"]
)
def test_the_demo_verifies_each_step_and_leaves_nothing_behind(
    root: Path, tmp_path: Path, name: str, promises: tuple[str, ...]
) -> None:
    (tmp_path / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, root / "examples" / f"demo_{name}.py", "--lease", "8"],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout
    for promise in (*promises, "all agents that ran handed over and ended"):
        assert len(re.findall("✓ " + promise, done.stdout)) >= 2, f"{promise}\n{done.stdout}"
    assert "\x1b" not in done.stdout
    assert "Traceback" not in done.stdout
    assert left(tmp_path) == []


ONE = Count(7, 10, "web/0", 1000)


@pytest.mark.parametrize(
    "following",
    [Count(7, 11, "web/1", 1001), Count(9, 11, "web/1", 1001), Count(8, 9, "web/1", 1001), Count(8, 10, "web/1", 1001)],
    ids=["a number twice", "a number left out", "an older term", "two units in one term"],
)
def test_the_counters_judge_sees_two_that_count_at_once(following: Count) -> None:
    judge([ONE, Count(8, 10, "web/0", 1001), Count(9, 11, "web/1", 1002)])
    with pytest.raises(NotAsPromised):
        judge([ONE, following])
