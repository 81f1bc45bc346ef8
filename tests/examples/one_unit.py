"""A charm whose process must run once, on two machines, and a witness of every run: what ran when, whoever started it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.agent.world import World, alive
from tests.waiting import until

LEASE_S = 6

HANGS = '[ "$(config-get hang)" != "$JUJU_UNIT_NAME" ] || exec sleep 1000'
"""A hook that never ends on the unit that the option names."""

# Writes a line with CLOCK_BOOTTIME every few ms into a file of its own, for as long as the folder is there.
# "linger": SIGTERM is to be forgiven for a while. "escape": it becomes a daemon in a session of its own first; "child escapes":
# so does its child, which writes, while it stays.
WORK = """
import os, signal, sys, time
folder, how = sys.argv[1], ' '.join(sys.argv[2:])
boot = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME)
if how in ("escape", "child escapes"):
    if os.fork():
        while how != "escape" and os.path.exists(folder):
            time.sleep(0.1)
        os._exit(0)
    if os.setsid() or os.fork():
        os._exit(0)
end = [0]
def linger(*_):
    end[0] = end[0] or boot() + 4 * 10**9
if how == "linger":
    signal.signal(signal.SIGTERM, linger)
name = os.environ["JUJU_UNIT_NAME"].replace("/", "-")
with open(f"{folder}/{name}.{os.getpid()}", "w", buffering=1) as file:
    while os.path.exists(folder) and not (end[0] and boot() > end[0]):
        print(boot(), file=file)
        time.sleep(0.005)
"""


class Service:
    """The charm as the application web with a unit on m0 and on m1; one of them runs the process."""

    def __init__(self, world: World, charm: Path, how: str, hooks: dict[str, str]) -> None:
        self.world, self.runs_folder = world, world.folder / "runs"
        self.runs_folder.mkdir()
        work = world.folder / "work.py"
        work.write_text(WORK)
        copy = world.folder / "charm"
        shutil.copytree(charm, copy, symlinks=True)
        for name, body in hooks.items():
            (copy / "hooks" / name).write_text(f"#!/bin/sh\n{body}\n")
            (copy / "hooks" / name).chmod(0o755)
        options = yaml.safe_load((copy / "config.yaml").read_text())
        options["options"]["hang"] = {"type": "string", "default": ""}
        (copy / "config.yaml").write_text(yaml.safe_dump(options))
        for machine in ("m0", "m1"):
            world.start(machine)
        command = f"exec {sys.executable} -IS {work} {self.runs_folder} {how}"
        world.tenure(
            "deploy",
            copy,
            "web",
            "-n",
            "2",
            "--to",
            "m0,m1",
            "--lease",
            f"{LEASE_S}s",
            "--config",
            f"command={command}",
        )
        world.tenure("wait", "web", "--for", "idle", "--timeout", "30s")
        leader = until(self._leader_that_runs_it, within_s=30, what="the process to run")
        assert leader is not None
        self.leader = leader
        self.minion = "m1" if self.leader == "m0" else "m0"

    def _leader_that_runs_it(self) -> str | None:
        """On a host with too much to do a term may end before anybody wants it to: then it is another unit."""
        said = self.world.tenure("status", "--format", "json")
        units = json.loads(said)["applications"]["web"]["units"]
        return next(
            (f"m{unit[-1]}" for unit in units if units[unit].get("leader") and self.running(f"m{unit[-1]}")), None
        )

    def unit(self, machine: str) -> str:
        return f"web/{machine[1]}"

    def pids(self, machine: str) -> list[int]:
        """All that has ever run on the machine."""
        return [int(path.suffix[1:]) for path in sorted(self.runs_folder.glob(f"web-{machine[1]}.*"))]

    def running(self, machine: str) -> list[int]:
        """What runs on the machine now."""
        return [pid for pid in self.pids(machine) if alive(pid)]

    def runs(self) -> list[tuple[int, int, str]]:
        """(first, last, name) of each run."""
        found = []
        for path in self.runs_folder.iterdir():
            lines = path.read_text().split("\n")[:-1]
            if lines:
                found.append((int(lines[0]), int(lines[-1]), path.name))
        return sorted(found)

    def second_runs(self) -> None:
        """Wait until it runs on the other machine, and until it is clear that it does."""
        until(lambda: self.pids(self.minion), within_s=3 * LEASE_S, what="the process on the other machine")
        name = f"web-{self.minion[1]}"
        until(lambda: any(run[2].startswith(name) and run[1] > run[0] for run in self.runs()))

    def overlaps(self) -> bool:
        """Whether any two have run at the same time."""
        runs = self.runs()
        return any(later[0] <= one[1] for number, one in enumerate(runs) for later in runs[number + 1 :])

    def transfer(self) -> None:
        """Hand the leadership over in peace."""
        self.world.tenure("transfer", self.unit(self.minion))

    @contextlib.contextmanager
    def silent_store(self) -> Iterator[None]:
        """Have the lock that every write waits for."""
        with open(next(self.world.folder.glob("tenure.db-lock")), "rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def close(self) -> None:
        """The processes end with their folder."""
        pids = [pid for machine in ("m0", "m1") for pid in self.pids(machine)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        shutil.rmtree(self.runs_folder)
        until(lambda: not any(alive(pid) for pid in pids))


@contextlib.contextmanager
def service(folder: Path, charm: Path, how: str = "plain", **hooks: str) -> Iterator[Service]:
    """It runs on one machine; `hooks` are added to the charm. Nothing of it is left afterwards."""
    world = World(folder)
    made = None
    try:
        made = Service(world, charm, how, {name.replace("_", "-"): body for name, body in hooks.items()})
        yield made
    finally:
        if made is not None:
            made.close()
        world.close()
