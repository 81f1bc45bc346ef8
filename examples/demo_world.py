"""The demo's machines: three `tenure agent` processes on a fresh store, and the `tenure` command pointed at it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MACHINES = ("m0", "m1", "m2")
END_WITHIN_S = 15.0


class NotAsPromised(Exception):
    """Something that the demo shows was not as Tenure promises it."""


class Agent:
    """One machine: a `tenure agent` process, its state folder and its log."""

    def __init__(self, machine: str, folder: Path, environment: dict[str, str]) -> None:
        self.machine = machine
        self.state = folder / machine
        self.log = folder / f"{machine}.log"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [tenure_command(), "agent", "--machine", self.machine, "--state-dir", self.state],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the demo, which then ends its agents itself.
                start_new_session=True,
            )

    @property
    def ended_early(self) -> bool:
        """Whether it has ended though nobody told it to."""
        return self._process is not None and self._process.poll() not in (None, -signal.SIGKILL)

    def kill(self) -> int:
        """SIGKILL, without a word of warning; returns when, in ns of CLOCK_BOOTTIME, as its log has it."""
        assert self._process is not None
        self._process.kill()
        at = boottime_ns()
        self._process.wait()
        return at

    def freeze(self) -> int:
        """SIGSTOP, at an instant at which it has not locked the store for the others, too; returns when, as `kill` does."""
        assert self._process is not None
        pid = self._process.pid
        while True:
            os.kill(pid, signal.SIGSTOP)
            while "T (stopped)" not in Path(f"/proc/{pid}/status").read_text():
                time.sleep(0.001)
            if not self._locks_the_store(pid):
                return boottime_ns()
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.001)

    def _locks_the_store(self, pid: int) -> bool:
        lock = self.state.parent / "tenure.db-lock"
        held = f" WRITE {pid} "
        inode = f":{lock.stat().st_ino} " if lock.exists() else ""
        return bool(inode) and any(
            held in line and inode in line for line in Path("/proc/locks").read_text().splitlines()
        )

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def children(self) -> list[int]:
        """The processes that it has started."""
        assert self._process is not None
        pid = self._process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def terminate(self) -> None:
        """SIGTERM: it hands over and ends."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.send_signal(signal.SIGCONT)  # one that is frozen would not hear of it

    def ended(self, within_s: float) -> int | None:
        """Its exit code; None if it still runs after `within_s` (it is killed then)."""
        if self._process is None:
            return 0
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            return None

    def events(self) -> list[dict[str, Any]]:
        """What it has logged, oldest first."""
        lines = (self.state / "log" / "agent.log").read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    def last_words(self, lines: int = 12) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def boottime_ns() -> int:
    """Now, on the clock that goes on while the host sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def tenure_command() -> str:
    """The command beside this interpreter, else the one on PATH."""
    beside = Path(sys.executable).with_name("tenure")
    found = str(beside) if beside.exists() else shutil.which("tenure")
    if found is None:
        raise NotAsPromised("there is no tenure command beside this Python: `make demo` makes one")
    return found


class World:
    """A fresh store with its agents, and the `tenure` command pointed at it. Without `url` it is SQLite's, in the folder."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.url = url or f"sqlite://{folder / 'tenure.db'}"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
        self.environment["TENURE_STORE"] = self.url
        self.agents = {machine: Agent(machine, folder, self.environment) for machine in MACHINES}

    def tenure(self, *arguments: str) -> str:
        """What the command prints. Raises NotAsPromised when it fails."""
        done = subprocess.run(
            [tenure_command(), *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise NotAsPromised(f"`tenure {' '.join(arguments)}` exited with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """The command as a process whose output can be read as it comes."""
        return subprocess.Popen(
            [tenure_command(), *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def json(self, *arguments: str) -> Any:
        """The same, decoded."""
        return json.loads(self.tenure(*arguments, "--format", "json"))

    def close(self) -> dict[str, int | None]:
        """End every agent; their exit codes."""
        for agent in self.agents.values():
            agent.terminate()
        return {machine: agent.ended(END_WITHIN_S) for machine, agent in self.agents.items()}
