"""Three agents in a soak, with a charm whose hooks are witnessed, and an operator who goes on changing its configuration."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections import Counter
from random import Random
from typing import Any

from tests.soak.site import LEASE_S, Site
from tests.soak.witness import SINGLETON, now_ns

MACHINES = ("m0", "m1", "m2")
UNITS = ("web/0", "web/1", "web/2")


class Agents:
    """They are started again some time after they have ended: within their lease, or after it."""

    def __init__(self, site: Site, draw: Random) -> None:
        self.site, self._draw = site, draw
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ended: Counter[str] = Counter()
        """How agents have ended that were not killed."""
        self._back_at: dict[str, int] = {}
        self._changes = 0
        self._operator: subprocess.Popen[bytes] | None = None
        self._charm = site.witness.charm(site.folder / "charm", MACHINES, UNITS)
        for machine in MACHINES:
            self._start(machine)
        self._run("deploy", str(self._charm), "web", "-n", "3", "--to", ",".join(MACHINES), "--lease", f"{LEASE_S}s")

    def keep_running(self) -> None:
        """Start those that have been away for long enough."""
        for machine, process in list(self.processes.items()):
            if process.poll() is None:
                continue
            if machine not in self._back_at:
                if process.returncode >= 0:
                    self.ended[f"exit {process.returncode}"] += 1
                self._back_at[machine] = now_ns() + round(self._draw.uniform(0, 2 * LEASE_S) * 1e9)
            elif now_ns() >= self._back_at[machine]:
                self._start(machine)

    def stir(self) -> None:
        """Change the configuration, so that every unit has a hook to run; one change at a time is under way."""
        if self._operator is not None and self._operator.poll() is None:
            return
        self._changes += 1
        with open(self.site.folder / "operator.err", "ab") as err:
            self._operator = subprocess.Popen(
                self._tenure("config", "web", f"n={self._changes}"),
                env=self.site.environment,
                stdin=subprocess.DEVNULL,
                stdout=err,
                stderr=err,
            )

    def is_up(self) -> bool:
        """Whether every unit's hooks have run."""
        return len(self.site.witness.seen()) == len(UNITS)

    def is_settled(self) -> str:
        """What isn't as it must be once no fault strikes any more; nothing, when all is."""
        for process in self.processes.values():
            if process.poll() is not None:
                return "an agent doesn't run"
        units = self._status().get("applications", {}).get("web", {}).get("units", {})
        for name, unit in units.items():
            if unit["workload-status"]["current"] == "error":
                self._run("resolved", name)
            if unit["juju-status"]["current"] != "idle":
                return f"{name} is {unit['juju-status']['current']}, {unit['workload-status']['current']}"
        if sum(bool(unit.get("leader")) for unit in units.values()) != 1:
            return "there is no leader"
        if not self.site.witness.runs_now(f"web/{SINGLETON}"):
            return f"the singleton {SINGLETON} runs nowhere"
        kept = int(self._run("settings", "web", "--format", "json").get("n", 0))
        if kept < self.site.witness.last_landed():
            return f"{kept} is kept, but {self.site.witness.last_landed()} has landed"
        minions = {name.replace("/", ":") for name, unit in units.items() if not unit.get("leader")}
        told = {unit: number for unit, number in self.site.witness.seen().items() if unit in minions}
        return "" if set(told.values()) == {kept} else f"{kept} is kept, but the minions have been told {told}"

    def close(self) -> None:
        """End them, as a host does that shuts down."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(4 * LEASE_S)
            process.kill()
            process.wait()
        if self._operator is not None:
            self._operator.kill()
            self._operator.wait()

    def _start(self, machine: str) -> None:
        self._back_at.pop(machine, None)
        with open(self.site.folder / f"{machine}.err", "ab") as err:
            self.processes[machine] = subprocess.Popen(
                self._tenure("agent", "--machine", machine, "--state-dir", str(self.site.disks["state"] / machine)),
                env=self.site.environment | self.site.preload,
                stdin=subprocess.DEVNULL,
                stdout=err,
                stderr=err,
                start_new_session=True,
            )

    def _status(self) -> dict[str, Any]:
        return self._run("status", "--format", "json")

    def _run(self, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            self._tenure(*arguments),
            env=self.site.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
        )
        with open(self.site.folder / "operator.err", "ab") as err:
            err.write(done.stderr)
        found: dict[str, Any] = json.loads(done.stdout) if "json" in arguments and done.returncode == 0 else {}
        return found

    @staticmethod
    def _tenure(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "tenure", *arguments]
