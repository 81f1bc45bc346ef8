"""A store, real agents and shell charms for tests: started as a user starts them, watched by their own logs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.waiting import until

WITHIN_S = 20.0


class World:
    """One store in a temporary folder, and the agents of some machines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite://{folder / 'tenure.db'}"
        self.agents: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, machine: str, *, state: Path | None = None) -> subprocess.Popen[bytes]:
        """An agent for the machine; returns once it runs, or has ended by itself."""
        state = state or self.folder / machine
        log = state / "log" / "agent.log"
        seen = len(self.lines(machine)) if state == self.folder / machine else 0
        with (self.folder / f"{machine}.err").open("ab") as err:
            agent = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tenure", "agent", "--machine", machine, "--state-dir", str(state)),
                    *self.options(machine),
                ],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=err,
                stderr=err,
                start_new_session=True,
            )

        def runs() -> bool:
            if agent.poll() is not None:
                return True
            return log.exists() and any("runs, process" in line["message"] for line in self.lines(machine)[seen:])

        if state == self.folder / machine:
            self.agents[machine] = agent
            until(runs, within_s=WITHIN_S, what=f"the agent of {machine}")
        return agent

    def options(self, machine: str) -> list[str]:
        """What the machine's agent is told besides."""
        return []

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TENURE_", "JUJU_"))}
        return kept | {"TENURE_STORE": self.url}

    def tenure(self, *arguments: str | Path, code: int = 0) -> str:
        """What the command prints; it must exit with `code`. Of one that fails: what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "tenure", *map(str, arguments)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == code, f"tenure {arguments}: {done.returncode} {done.stdout} {done.stderr}"
        return done.stderr if code else done.stdout

    def kill(self, machine: str) -> None:
        """SIGKILL to the machine's agent; returns when it is dead."""
        self.agents[machine].kill()
        self.agents[machine].wait(10)

    def end(self, machine: str, within_s: float = WITHIN_S) -> int:
        """SIGTERM to the machine's agent; its exit code."""
        self.agents[machine].terminate()
        return self.agents[machine].wait(within_s)

    def charm(self, peers: bool = True, /, **hooks: str) -> Path:
        """A charm of shell hooks; `leader_elected="leader-set a=1"`. Returns its folder."""
        folder = self.folder / "charm"
        (folder / "hooks").mkdir(parents=True, exist_ok=True)
        (folder / "metadata.yaml").write_text("name: web\n" + ("peers: {peers: {interface: web}}\n" if peers else ""))
        (folder / "config.yaml").write_text("options: {color: {type: string, default: red}}\n")
        for name, body in hooks.items():
            script = folder / "hooks" / name.replace("_", "-")
            script.write_text(f"#!/bin/sh\nset -e\n{body}\n")
            script.chmod(0o755)
        return folder

    def lines(self, machine: str) -> list[dict[str, Any]]:
        """The machine's log."""
        path = self.folder / machine / "log" / "agent.log"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def events(self, machine: str, **wanted: Any) -> list[dict[str, Any]]:
        """The lines of the machine's log with these fields."""
        return [
            line for line in self.lines(machine) if all(line.get(field) == value for field, value in wanted.items())
        ]

    def event(self, machine: str, *, number: int = 1, within_s: float = WITHIN_S, **wanted: Any) -> dict[str, Any]:
        """Wait for the line with these fields, the first or a later one."""
        return until(
            lambda: self.events(machine, **wanted)[number - 1 : number],
            within_s=within_s,
            what=f"{wanted} of {machine}",
        )[0]

    def hooks(self, machine: str, unit: str) -> list[str]:
        """The hooks that the unit has begun, in order."""
        return [line["hook"] for line in self.events(machine, event="hook-started", unit=unit)]

    def unit(self, unit: str) -> dict[str, Any]:
        """What `tenure status` says of the unit."""
        status = json.loads(self.tenure("status", "--format", "json"))
        found: dict[str, Any] = status["applications"][unit.partition("/")[0]]["units"][unit]
        return found

    def close(self) -> None:
        """End every agent, killing those that don't."""
        for agent in self.agents.values():
            if agent.poll() is None:
                agent.terminate()
        for agent in self.agents.values():
            try:
                agent.wait(10)
            except subprocess.TimeoutExpired:
                agent.send_signal(signal.SIGKILL)
                agent.wait()


def boot_ns() -> int:
    """Now, as events in the log have it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def alive(pid: int) -> bool:
    """Whether the process runs still; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
