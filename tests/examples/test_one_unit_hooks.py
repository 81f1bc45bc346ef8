"""A process that is started in leader-elected and stopped in leader-settings-changed: it usually runs once. What breaks it, shown."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.examples.one_unit import HANGS, LEASE_S, service
from tests.stopping import stop
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("charm", ["one-unit-hooks", "one-unit-hooks-python"])
def test_with_hooks_alone_it_moves_with_the_leadership(root: Path, tmp_path: Path, charm: str) -> None:
    with service(tmp_path, root / "examples" / charm) as it:
        it.transfer()
        it.second_runs()
        until(lambda: not it.running(it.leader))


def test_with_hooks_alone_two_run_after_a_peaceful_hand_over_for_as_long_as_the_first_takes_to_stop(
    root: Path, tmp_path: Path
) -> None:
    with service(tmp_path, root / "examples/one-unit-hooks", "linger") as it:
        it.transfer()
        it.second_runs()
        assert it.overlaps()


def test_with_hooks_alone_two_run_when_the_agent_is_ended_in_peace(root: Path, tmp_path: Path) -> None:
    with service(tmp_path, root / "examples/one-unit-hooks") as it:
        assert it.world.end(it.leader) == 0
        it.second_runs()
        assert it.overlaps()
        assert it.running(it.leader), "and nobody is there to end the first"


def test_with_hooks_alone_two_run_when_the_agent_is_killed(root: Path, tmp_path: Path) -> None:
    with service(tmp_path, root / "examples/one-unit-hooks-python") as it:
        it.world.kill(it.leader)
        it.second_runs()
        assert it.overlaps()
        assert it.running(it.leader), "and nobody is there to end the first"


def test_with_hooks_alone_two_run_when_the_agent_is_stopped(root: Path, tmp_path: Path) -> None:
    with service(tmp_path, root / "examples/one-unit-hooks") as it:
        stop(it.world.agents[it.leader].pid)
        it.second_runs()
        os.kill(it.world.agents[it.leader].pid, signal.SIGCONT)
        assert it.overlaps()


def test_with_hooks_alone_two_run_while_another_hook_keeps_the_agent_busy(root: Path, tmp_path: Path) -> None:
    with service(tmp_path, root / "examples/one-unit-hooks-python", config_changed=HANGS) as it:
        it.world.tenure("config", "web", f"hang={it.unit(it.leader)}")
        until(lambda: it.world.hooks(it.leader, it.unit(it.leader)).count("config-changed") == 2)
        it.transfer()
        it.second_runs()
        assert it.overlaps()


def test_with_hooks_alone_two_run_when_the_process_leaves_its_session(root: Path, tmp_path: Path) -> None:
    with service(tmp_path, root / "examples/one-unit-hooks", "escape") as it:
        it.transfer()
        it.second_runs()
        assert it.overlaps()


def test_with_hooks_alone_nothing_runs_when_the_process_has_died(root: Path, tmp_path: Path) -> None:
    with service(tmp_path, root / "examples/one-unit-hooks-python") as it:
        (pid,) = it.running(it.leader)
        os.kill(pid, signal.SIGKILL)
        it.world.tenure("exec", "--unit", it.unit(it.leader), "--", "true")
        it.world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")
        assert it.pids(it.leader) == [pid]
        assert it.world.unit(it.unit(it.leader))["workload-status"]["message"] == "runs it"


def test_with_hooks_alone_it_ends_in_time_when_the_store_is_silent_and_the_agent_free(
    root: Path, tmp_path: Path
) -> None:
    with service(tmp_path, root / "examples/one-unit-hooks") as it:
        with it.silent_store():
            until(lambda: not it.running(it.leader), what="the process to be stopped")
        until(lambda: len(it.runs()) == 2, within_s=3 * LEASE_S, what="the next run, on either machine")
        assert not it.overlaps()
