"""The protocol through hours of faults: no promise is broken, and what is healed makes progress."""

from __future__ import annotations

import os

import pytest

from tenure.simulation.many import Task, run_all, told_of

FAULTS_AT_LEAST = 20


def broken(tasks: list[Task]) -> list[str]:
    """What was broken, with the commands that show it; and that none of the hours was an easy one."""
    told: list[str] = []
    for task, result in zip(tasks, run_all(tasks, os.cpu_count() or 1), strict=True):
        if result.promise:
            told += told_of(result, task)
        else:
            assert result.simulated_ns == int(task.hours * 3_600_000_000_000)
            if task.hours >= 1:
                assert result.faults >= FAULTS_AT_LEAST
                assert result.counts["progress seen"]
    return told


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_500_seeds_of_an_hour_break_no_promise() -> None:
    assert broken([Task(seed, 1.0) for seed in range(500)]) == []


@pytest.mark.slow
@pytest.mark.parametrize("confirm_renewals", [False, True], ids=["unconfirmed", "confirmed"])
def test_a_store_whose_leases_may_end_early_has_one_holder_all_the_same(confirm_renewals: bool) -> None:
    tasks = [Task(seed, 1.0, may_end_early=True, confirm_renewals=confirm_renewals) for seed in range(30)]
    assert broken(tasks) == []


@pytest.mark.slow
def test_renewals_that_must_be_confirmed_break_no_promise() -> None:
    assert broken([Task(seed, 1.0, confirm_renewals=True) for seed in range(30)]) == []


def test_a_few_minutes_of_faults_break_no_promise() -> None:
    assert broken([Task(seed, 0.2) for seed in range(8)]) == []


def test_most_kinds_of_faults_come_in_a_few_seeds() -> None:
    counts = {kind for seed in range(6) for kind in Task(seed, 0.5).run().counts}
    assert counts >= {
        "cut off",
        "store silent",
        "store stalled",
        "agent stopped",
        "agent killed",
        "host asleep",
        "clock slewed",
        "mirror stalled",
        "transfer",
        "release",
        "SIGTERM",
        "unit removed",
        "request lost",
        "request late",
        "request doubled",
        "answer lost",
        "tool late",
        "hook hangs",
        "killed between decisions",
        "stopped between decisions",
    }
