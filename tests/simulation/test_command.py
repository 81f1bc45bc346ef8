"""`python -m tenure.simulation`: what it prints, and how it exits."""

from __future__ import annotations

import subprocess
import sys


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tenure.simulation", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_it_prints_seeds_hours_events_and_faults_by_kind() -> None:
    done = simulate("--seeds", "4", "--hours", "0.25", "--from", "3", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    words = {line.split("  ")[0].strip(): line.split()[-1] for line in done.stdout.splitlines()}
    assert {"seeds", "simulated hours", "faults", "wishes", "violations"} <= set(words)
    assert (words["seeds"], words["simulated hours"], words["violations"]) == ("4", "1.0", "0")


def test_a_violation_is_told_with_the_commands_that_show_it_again_and_exits_1() -> None:
    done = simulate("--seeds", "1", "--bug", "debt-forgotten")
    assert done.returncode == 1
    assert "FAILED  promise 2" in done.stdout
    assert "make simulate SEEDS=1 HOURS=1 FROM=0 ARGS='--bug debt-forgotten'" in done.stdout
    trace = next(line for line in done.stdout.splitlines() if line.startswith("  trace:"))
    again = simulate(*trace.split("tenure.simulation ")[1].split())
    assert again.returncode == 1
    assert "FAILED  promise 2" in again.stdout
    assert "is elected" in again.stdout


def test_a_trace_of_many_seeds_is_refused() -> None:
    done = simulate("--seeds", "2", "--trace")
    assert done.returncode == 2
    assert "--trace shows one seed" in done.stderr
