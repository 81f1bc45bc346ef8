"""Real agents on a fresh store in a temporary folder, driven by the `tenure` command."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
TENURE = Path(sys.executable).with_name("tenure")
PATIENCE_S = 90.0


class World:
    """A store, its agents by machine, and the charms' stamps: what each hook wrote when it started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite://{folder / 'tenure.db'}"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
        self.environment["TENURE_STORE"] = self.url
        self.agents: dict[str, subprocess.Popen[bytes]] = {}
        self.stamps_file = folder / "stamps"
        self.stamps_file.touch()

    def start(self, *machines: str) -> None:
        """An agent for each machine; again for one that has ended."""
        for machine in machines:
            with (self.folder / f"{machine}.log").open("ab") as log:
                self.agents[machine] = subprocess.Popen(
                    [TENURE, "agent", "--machine", machine, "--state-dir", self.folder / machine],
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def tenure(self, *arguments: str | Path) -> str:
        """What the command prints. Raises RuntimeError with what it said when it fails."""
        done = subprocess.run(
            [TENURE, *arguments], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"tenure {arguments[0]} exited with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def units(self, application: str = "web") -> dict[str, dict[str, Any]]:
        """`tenure status`, its units."""
        status = json.loads(self.tenure("status", "--format", "json"))
        found: dict[str, dict[str, Any]] = status["applications"].get(application, {}).get("units", {})
        return found

    def all_idle(self, count: int) -> dict[str, dict[str, Any]]:
        """Wait until `count` units are idle and one leads."""

        def idle() -> dict[str, dict[str, Any]] | None:
            units = self.units()
            ready = [unit for unit in units.values() if unit.get("juju-status", {}).get("current") == "idle"]
            return units if len(ready) == count and any(unit.get("leader") for unit in units.values()) else None

        return until(f"{count} idle units", idle)

    def stamp(self, hook: str, after_ns: int, unit: str | None = None) -> int:
        """Wait for the first start of `hook` after an instant of the wall clock; when it was, in ns."""
        return until(
            f"a {hook} of {unit or 'any unit'}",
            lambda: next((at for at, who, what in self.stamps(after_ns) if what == hook and unit in (None, who)), None),
            every_s=0.005,
        )

    def stamps(self, after_ns: int = 0) -> list[tuple[int, str, str]]:
        """Every start of a hook after an instant: when (ns of the wall clock), unit, hook."""
        rows = [line.split() for line in self.stamps_file.read_text().splitlines()]
        return sorted((int(at), unit, hook) for at, unit, hook in rows if int(at) > after_ns)

    def close(self) -> None:
        """End every agent, and see to it that none is left."""
        for process in self.agents.values():
            process.terminate()
        for process in self.agents.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def world() -> Iterator[World]:
    """A fresh one; its agents and its folder are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tenure-bench-"))
    made = World(folder)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


def charm(world: World, **hooks: str) -> Path:
    """A charm of shell hooks (`leader_elected="leader-set x=1"`), each of which first stamps its start."""
    folder = world.folder / "charm"
    (folder / "hooks").mkdir(parents=True)
    (folder / "metadata.yaml").write_text(
        "name: bench\nsummary: stamps its hooks\ndescription: for measuring\npeers: {members: {interface: bench}}\n"
    )
    for name, body in hooks.items():
        hook = name.replace("_", "-")
        script = folder / "hooks" / hook
        script.write_text(f'#!/bin/sh\necho "$(date +%s%N) $JUJU_UNIT_NAME {hook}" >> {world.stamps_file}\n{body}\n')
        script.chmod(0o755)
    return folder


def bare_start_ms(world: World, hook: str, at_once: int = 1, rounds: int = 9) -> float:
    """The floor of any hook's start: the same hooks, so many `at_once`, without an agent; the median until their stamps."""
    script = world.folder / "charm" / "hooks" / hook
    environment = {"PATH": os.environ["PATH"], "JUJU_UNIT_NAME": "bare/0"}
    times = []
    for _ in range(rounds):
        began = time.time_ns()
        started = [
            subprocess.Popen([script], env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(at_once)
        ]
        for process in started:
            process.wait()
        times += [(at - began) / 1e6 for at, unit, _ in world.stamps(began) if unit == "bare/0"]
    return statistics.median(times)


def leader(units: dict[str, dict[str, Any]]) -> str:
    """Who leads."""
    return next(name for name, unit in units.items() if unit.get("leader"))


def until(what: str, look: Callable[[], T | None], every_s: float = 0.2, within_s: float = PATIENCE_S) -> T:
    """What `look` finds, once it finds something. Raises TimeoutError, naming what was waited for."""
    end = time.monotonic() + within_s
    while (found := look()) is None:
        if time.monotonic() > end:
            raise TimeoutError(f"waited {within_s:.0f} s for {what}")
        time.sleep(every_s)
    return found
