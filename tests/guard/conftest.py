"""Guards as real processes, started by a parent that the test can stop and kill, with witnesses that the kernel keeps."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until

SOURCE = Path(__file__).resolve().parents[2] / "src"
LIMIT_S = 20.0


def boot_s() -> float:
    """CLOCK_BOOTTIME, in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Witness:
    """A lock that every process of the workload holds, by inheritance, however it hides: free once none is left."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "witness"
        self.path.touch()
        self.path.chmod(0o666)

    def command(self, script: str) -> list[str]:
        """A shell script that holds the lock while anything of it is left; it says `up` in a file once it has it."""
        return ["/bin/sh", "-c", f"exec 9>{self.path}; flock -n 9 || exit 99; echo up > {self.path}.up; {script}"]

    @property
    def up(self) -> bool:
        return Path(f"{self.path}.up").exists()

    def is_held(self) -> bool:
        with open(self.path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def wait_free(self, within_s: float = LIMIT_S) -> float:
        """When, on CLOCK_BOOTTIME, the last process had gone; the kernel wakes us."""
        subprocess.run(["flock", "-w", str(within_s), self.path, "true"], check=True)
        return boot_s()


class Guarded:
    """A guard with its parent; `began` is when it was asked for."""

    def __init__(self, settings: dict[str, Any], *, python: str = sys.executable, as_user: int | None = None) -> None:
        self.settings = {
            "guarantee_ns": round(1.0e9),
            "stop_ns": round(0.3e9),
            "margin_ns": round(0.4e9),
            "until_s": 60.0,
            **settings,
        }
        self.began = boot_s()
        self.process = subprocess.Popen(
            [python, Path(__file__).with_name("parent.py"), str(SOURCE), json.dumps(self.settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            user=as_user,
            group=as_user,
            extra_groups=[] if as_user else None,
        )
        assert self.process.stdout is not None
        self.pid = int(self.process.stdout.readline())
        self.lines: queue.Queue[str] = queue.Queue()
        self.heard: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def tell(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def expect(self, word: str, within_s: float = LIMIT_S) -> str:
        """The next message that begins with `word`; the others are kept in `heard`."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {word} within {within_s} s; heard {self.heard}") from None
            self.heard.append(line)
            if line.split(" ")[0] == word:
                return line

    def run(self) -> None:
        self.expect("armed")
        self.tell("run")

    def signal(self, number: int, pid: int | None = None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid or self.process.pid, number)

    def alive(self) -> bool:
        """Whether the guard's own process lives (a zombie does not)."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state not in "ZX"

    def close(self) -> None:
        for number in (signal.SIGKILL,):
            self.signal(number, self.pid)
            self.signal(number)
        self.process.wait()
        until(lambda: not self.alive())


Starter = Callable[..., Guarded]


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    tmp_path.chmod(0o777)
    return Witness(tmp_path)


@pytest.fixture
def start() -> Iterator[Starter]:
    """Starts guards: `start(command=…, until_s=…, namespace=…)`; all are gone at the end."""
    started: list[Guarded] = []

    def begin(*, python: str = sys.executable, as_user: int | None = None, **settings: Any) -> Guarded:
        started.append(Guarded(settings, python=python, as_user=as_user))
        return started[-1]

    yield begin
    for guarded in started:
        guarded.close()
