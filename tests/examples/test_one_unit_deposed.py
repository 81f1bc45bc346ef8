"""A process that is started in leader-elected and stopped in leader-deposed: what that survives, and what it doesn't."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.agent.test_leader_deposed import guards
from tests.examples.one_unit import HANGS, LEASE_S, service
from tests.examples.test_shared_secret import statuses
from tests.fake_tools import FakeTools
from tests.stopping import stop
from tests.waiting import until

CHARMS = ("one-unit-deposed", "one-unit-deposed-python")


@pytest.mark.parametrize("name", CHARMS)
def test_what_leader_deposed_has_stopped_is_not_started_by_a_leader_elected_that_is_late(
    root: Path, tmp_path: Path, name: str
) -> None:
    """They run beside each other: a slow leader-elected may come to its start when its term is over."""
    charm, tools = tmp_path / name, FakeTools(tmp_path / "tools")
    shutil.copytree(root / "examples" / name, charm, symlinks=True)
    tools.answer(leader=True, config={"command": "exec sleep 1000"})
    run_in_term(charm, tools, "leader-deposed", 7)
    run_in_term(charm, tools, "leader-elected", 7)
    assert not (charm / "process.pid").exists()
    run_in_term(charm, tools, "leader-elected", 8)
    pid = int((charm / "process.pid").read_text())
    assert running(pid)
    run_in_term(charm, tools, "leader-elected", 8)
    assert int((charm / "process.pid").read_text()) == pid, "it is started once"
    run_in_term(charm, tools, "leader-deposed", 8)
    until(lambda: not running(pid))
    assert statuses(tools)[-1] == ["active", "stands by"]


def run_in_term(charm: Path, tools: FakeTools, hook: str, term: int) -> None:
    environment = {
        "PATH": f"{tools.bin}:{os.environ['PATH']}",
        "CHARM_DIR": str(charm),
        "JUJU_UNIT_NAME": "web/0",
        "TENURE_TERM": str(term),
        "TENURE_SECONDS_LEFT": "3.5",
    }
    subprocess.run([charm / "hooks" / hook], cwd=charm, env=environment, check=True, stdin=subprocess.DEVNULL)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_with_leader_deposed_never_two_after_a_peaceful_hand_over_however_long_the_first_takes_to_stop(
    root: Path, tmp_path: Path
) -> None:
    with service(tmp_path, root / "examples/one-unit-deposed-python", "linger") as it:
        it.transfer()
        it.second_runs()
        assert not it.overlaps()


@pytest.mark.slow
def test_with_leader_deposed_never_two_when_the_agent_is_ended_in_peace(root: Path, tmp_path: Path) -> None:
    with service(tmp_path, root / "examples/one-unit-deposed") as it:
        assert it.world.end(it.leader) == 0
        it.second_runs()
        assert not it.overlaps()
        assert not it.running(it.leader)


@pytest.mark.slow
def test_with_leader_deposed_never_two_when_the_agent_is_killed(root: Path, tmp_path: Path) -> None:
    with service(tmp_path, root / "examples/one-unit-deposed", "linger") as it:
        it.world.kill(it.leader)
        it.second_runs()
        assert not it.overlaps()


@pytest.mark.slow
def test_with_leader_deposed_never_two_when_the_agent_is_stopped(root: Path, tmp_path: Path) -> None:
    with service(tmp_path, root / "examples/one-unit-deposed-python") as it:
        stop(it.world.agents[it.leader].pid)
        it.second_runs()
        os.kill(it.world.agents[it.leader].pid, signal.SIGCONT)
        assert not it.overlaps()


@pytest.mark.slow
def test_with_leader_deposed_never_two_while_another_hook_keeps_the_agent_busy(root: Path, tmp_path: Path) -> None:
    with service(tmp_path, root / "examples/one-unit-deposed", config_changed=HANGS) as it:
        it.world.tenure("config", "web", f"hang={it.unit(it.leader)}")
        until(lambda: it.world.hooks(it.leader, it.unit(it.leader)).count("config-changed") == 2)
        it.transfer()
        it.second_runs()
        assert not it.overlaps()


@pytest.mark.slow
def test_with_leader_deposed_it_ends_in_time_when_the_store_is_silent(root: Path, tmp_path: Path) -> None:
    with service(tmp_path, root / "examples/one-unit-deposed") as it:
        with it.silent_store():
            until(lambda: not it.running(it.leader), what="the process to be stopped")
        until(lambda: len(it.runs()) == 2, within_s=3 * LEASE_S, what="the next run, on either machine")
        assert not it.overlaps()


@pytest.mark.slow
def test_with_leader_deposed_never_two_when_the_guard_is_killed(root: Path, tmp_path: Path) -> None:
    with service(tmp_path, root / "examples/one-unit-deposed-python") as it:
        (guard,) = guards(it.world)
        os.kill(guard, signal.SIGKILL)
        until(lambda: len(it.runs()) == 2, within_s=3 * LEASE_S, what="the next run, on either machine")
        assert not it.overlaps()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_with_leader_deposed_two_run_when_agent_and_guard_are_killed_or_stopped_together(
    root: Path, tmp_path: Path, number: int
) -> None:
    with service(tmp_path, root / "examples/one-unit-deposed") as it:
        agent = it.world.agents[it.leader].pid
        (guard,) = guards(it.world)
        stop(agent)  # lest it see that its guard is gone
        os.kill(guard, number)
        os.kill(agent, number)
        it.second_runs()
        assert it.overlaps()
        os.kill(agent, signal.SIGCONT)


@pytest.mark.slow
def test_with_leader_deposed_two_run_when_the_process_leaves_its_session(root: Path, tmp_path: Path) -> None:
    with service(tmp_path, root / "examples/one-unit-deposed-python", "escape") as it:
        it.transfer()
        it.second_runs()
        assert it.overlaps()


@pytest.mark.slow
def test_with_leader_deposed_nothing_runs_when_the_process_has_died(root: Path, tmp_path: Path) -> None:
    with service(tmp_path, root / "examples/one-unit-deposed") as it:
        (pid,) = it.running(it.leader)
        os.kill(pid, signal.SIGKILL)
        it.world.tenure("exec", "--unit", it.unit(it.leader), "--", "true")
        it.world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")
        assert it.pids(it.leader) == [pid]
