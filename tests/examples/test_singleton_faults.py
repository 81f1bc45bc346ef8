"""The rows of the comparison that only a process which Tenure runs stands up to."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.test_singleton import Runs, running
from tests.stopping import stop
from tests.waiting import until

pytestmark = pytest.mark.slow


def transfer(it: Runs) -> None:
    it.world.tenure("transfer", f"web/{it.other[1]}", "--office", "process")


def pids(it: Runs) -> list[int]:
    """The process on this host, as the kernel shows it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(it.folder).encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def test_a_singleton_never_runs_twice_after_a_peaceful_hand_over(root: Path, tmp_path: Path) -> None:
    with running(tmp_path, root / "examples" / "singleton", "linger") as it:
        transfer(it)
        it.second_runs()
        assert not it.overlaps()


def test_a_singleton_never_runs_twice_when_its_agent_is_ended_in_peace(root: Path, tmp_path: Path) -> None:
    with running(tmp_path, root / "examples" / "singleton") as it:
        assert it.world.end(it.machine) == 0
        it.second_runs()
        assert not it.overlaps()


def test_a_singleton_never_runs_twice_while_a_hook_keeps_the_agent_busy(root: Path, tmp_path: Path) -> None:
    with running(tmp_path, root / "examples" / "singleton") as it:
        busy = [
            sys.executable,
            "-m",
            "tenure",
            "exec",
            "--unit",
            f"web/{it.machine[1]}",
            "--",
            "touch ../busy; sleep 1000",
        ]
        waits = subprocess.Popen(busy, env=it.world.environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until((tmp_path / it.machine / "agents" / f"unit-web-{it.machine[1]}" / "busy").exists)
            transfer(it)
            it.second_runs()
        finally:
            waits.kill()
            waits.wait()
        assert not it.overlaps()


def test_a_singleton_whose_child_leaves_its_session_never_runs_twice(root: Path, tmp_path: Path) -> None:
    with running(tmp_path, root / "examples" / "singleton-python", "child escapes") as it:
        transfer(it)
        it.second_runs()
        assert not it.overlaps()


def test_a_singleton_that_dies_is_run_again_in_its_term(root: Path, tmp_path: Path) -> None:
    with running(tmp_path, root / "examples" / "singleton") as it:
        first = it.world.event(it.machine, event="singleton-started")
        (pid,) = pids(it)
        os.kill(pid, signal.SIGKILL)
        again = it.world.event(it.machine, event="singleton-started", number=2)
        assert again["term"] == first["term"]
        until(lambda: pids(it))
        assert pid not in pids(it)


def test_a_singleton_never_runs_twice_when_agent_and_guard_are_stopped_together(root: Path, tmp_path: Path) -> None:
    with running(tmp_path, root / "examples" / "singleton-python") as it:
        agent = it.world.agents[it.machine].pid
        guards = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
        stop(agent)
        for guard in guards:
            os.kill(int(guard), signal.SIGSTOP)
        it.second_runs()
        os.kill(agent, signal.SIGCONT)
        assert not it.overlaps()
