"""The protocol through hours of faults: no promise is broken, and what is healed makes progress."""

from __future__ import annotations

import os

import pytest

from tenure.simulation.many import Task, run_all, told_of
from tenure.simulation.scenario import StoreKind, draw

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
@pytest.mark.parametrize("store", ["etcd", "early etcd"])
def test_a_store_with_members_of_its_own_breaks_no_promise(store: StoreKind) -> None:
    """Its leader changes; the former one answers renewals for a moment, and on old versions ends leases early."""
    assert broken([Task(seed, 1.0, store=store) for seed in range(1000, 1030)]) == []


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


def test_a_few_seeds_have_each_kind_of_store() -> None:
    assert {draw(seed).store for seed in range(20)} == {"embedded", "etcd", "early etcd"}


@pytest.mark.slow
def test_a_former_leader_of_the_store_answers_renewals_and_an_old_one_ends_leases() -> None:
    counts = {kind for seed in range(6) for kind in Task(seed, 0.5, store="early etcd").run().counts}
    assert counts >= {
        "leader of the store changes",
        "renewed by a former leader",
        "lease ended by a former leader",
        "lease ended early",
    }
