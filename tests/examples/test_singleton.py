"""A process that Tenure runs on exactly one unit: it survives all that breaks hooks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.world import World, alive
from tests.examples.one_unit import LEASE_S, WORK
from tests.stopping import stop
from tests.waiting import until

pytestmark = pytest.mark.slow


class Runs:
    """The charm as the application web on m0 and m1, and a witness of every run of its process."""

    def __init__(self, world: World, charm: Path, how: str) -> None:
        self.world, self.folder = world, world.folder / "runs"
        self.folder.mkdir()
        work = world.folder / "work.py"
        work.write_text(WORK)
        for machine in ("m0", "m1"):
            world.start(machine)
        command = f"exec {sys.executable} -IS {work} {self.folder} {how}"
        world.tenure(
            "deploy", charm, "web", "-n", "2", "--to", "m0,m1", "--lease", f"{LEASE_S}s", "--config", f"command={command}"
        )  # fmt: skip
        for machine in ("m0", "m1"):
            world.event(machine, event="hook-ended", hook="config-changed")
        until(self.witnesses)
        self.machine = f"m{self.witnesses()[0].name[4]}"
        self.other = "m1" if self.machine == "m0" else "m0"

    def witnesses(self) -> list[Path]:
        """A file for each run, `web-0.PID` (in the run's own namespace), in which lines are instants."""
        return [path for path in self.folder.iterdir() if path.read_text().count("\n") > 1]

    def second_runs(self) -> None:
        """Wait until it runs on the other machine."""
        name = f"web-{self.other[1]}."
        until(lambda: any(path.name.startswith(name) for path in self.witnesses()), within_s=3 * LEASE_S)

    def overlaps(self) -> bool:
        """Whether any two have run at the same time."""
        lines = [path.read_text().split("\n")[:-1] for path in self.witnesses()]
        runs = sorted((int(one[0]), int(one[-1])) for one in lines)
        return any(later[0] <= one[1] for number, one in enumerate(runs) for later in runs[number + 1 :])


@contextlib.contextmanager
def running(folder: Path, charm: Path, how: str = "plain") -> Iterator[Runs]:
    world = World(folder)
    try:
        yield Runs(world, charm, how)
    finally:
        shutil.rmtree(folder / "runs", ignore_errors=True)
        world.close()


def test_a_singleton_never_runs_twice_when_its_agent_is_killed_and_it_does_not_listen(
    root: Path, tmp_path: Path
) -> None:
    with running(tmp_path, root / "examples" / "singleton", "linger") as it:
        it.world.kill(it.machine)
        it.second_runs()
        assert not it.overlaps()


def test_a_singleton_never_runs_twice_when_its_agent_hangs(root: Path, tmp_path: Path) -> None:
    with running(tmp_path, root / "examples" / "singleton") as it:
        pid = it.world.agents[it.machine].pid
        stop(pid)
        it.second_runs()
        os.kill(pid, signal.SIGCONT)
        assert not it.overlaps()
        assert alive(pid)


def test_a_singleton_never_runs_twice_when_agent_and_guard_are_killed_and_stay_away(root: Path, tmp_path: Path) -> None:
    with running(tmp_path, root / "examples" / "singleton-python") as it:
        found = json.loads(it.world.tenure("status", "--format", "json"))["applications"]["web"]["singletons"][
            "process"
        ]
        if "a PID namespace" not in found["enclosed-by"]:
            pytest.skip("no PID namespace can be had here: what the process has started might be left")
        it.world.kill(it.machine)
        for pid in guards(it.world.folder / it.machine):
            os.kill(pid, signal.SIGKILL)
        it.second_runs()
        assert not it.overlaps()


def guards(state: Path) -> list[int]:
    """The pids of guards, and their keepers, of a machine's units."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes()
                if b"/guard/__main__.py" in line and f"verdict={state}/".encode() in line:
                    found.append(int(entry.name))
    return found
