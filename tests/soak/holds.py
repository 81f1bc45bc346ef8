"""Faults drawn at random against three `tenure hold`, with a witness outside: python -m tests.soak.holds --minutes 30 --seed 1

Each workload writes a line with CLOCK_BOOTTIME every few ms into a file of its own term, whatever becomes of it, so that
two that ran at the same time are seen however they came to it. Prints faults by kind, terms, overlaps and the share of
time with a holder; exits with 1 when there was an overlap. `--without-guard` has holders that see to their commands
themselves, to show that an overlap is found.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.waiting import until

LEASE_S = 3
HOLDS = 3

WORK = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(sys.argv[1] + "/" + os.environ["TENURE_TERM"], "w", buffering=1) as file:
    while True:
        print(time.clock_gettime_ns(time.CLOCK_BOOTTIME), file=file)
        time.sleep(0.005)
"""


def now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass
class Soak:
    """One run, in a folder of its own."""

    folder: Path
    draw: random.Random
    guarded: bool = True
    faults: Counter[str] = field(default_factory=Counter)
    holds: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    stopped: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.runs = self.folder / "runs"
        self.runs.mkdir()
        (self.folder / "work.py").write_text(WORK)
        self.environment = {**os.environ, "TENURE_STORE": f"sqlite://{self.folder}/tenure.db"}

    # ---- what runs

    def start(self, number: int) -> None:
        command = [sys.executable, "-I", "-S", str(self.folder / "work.py"), str(self.runs)]
        holder = ["tenure", "hold", "x", "--lease", f"{LEASE_S}s", "-v", "--"]
        if not self.guarded:
            holder = ["tests.soak.naive", self.environment["TENURE_STORE"], str(LEASE_S)]
        with open(self.folder / f"hold-{number}.err", "ab") as err:
            self.holds[number] = subprocess.Popen(
                [sys.executable, "-m", *holder, *command],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=err, stderr=err, start_new_session=True,
            )  # fmt: skip

    def keep_running(self) -> None:
        for number, process in list(self.holds.items()):
            if process.poll() is not None:
                self.start(number)

    def processes(self) -> dict[str, list[int]]:
        """The pids of holds, guards, keepers and workloads, as the kernel shows them."""
        holds = [process.pid for process in self.holds.values() if process.poll() is None]
        guards = [child for pid in holds for child in children(pid)]
        keepers = [child for pid in guards for child in children(pid)]
        return {
            "hold": holds,
            "guard": guards,
            "keeper": keepers,
            "workload": [c for k in keepers for c in children(k)],
        }

    # ---- faults

    def fault(self) -> None:
        kind = self.draw.choice(
            ["kill hold", "kill guard", "kill keeper", "kill workload", "stop hold", "stop guard", "stop hold and guard",
             "stop keeper", "stop workload", "end hold", "silence", "starve"]
        )  # fmt: skip
        self.faults[kind] += 1
        found = self.processes()
        word, _, whom = kind.partition(" ")
        if kind == "silence":
            self.silence(self.draw.uniform(0.5, 2 * LEASE_S))
        elif kind == "starve":
            self.starve(self.draw.uniform(0.5, LEASE_S))
        elif word == "stop":
            victims = [pid for name in whom.split(" and ") for pid in self.one_of(found[name])]
            for pid in victims:
                self.signal(pid, signal.SIGSTOP)
            rest = self.draw.uniform(0.2, 2 * LEASE_S)
            threading.Timer(rest, self.let_go_on, [victims]).start()
        else:
            for pid in self.one_of(found[whom]):
                self.signal(pid, signal.SIGTERM if word == "end" else signal.SIGKILL)

    def freeze_the_holder(self) -> None:
        """Stop every hold that has a command."""
        for process in self.holds.values():
            if children(process.pid) and process.pid not in self.stopped:
                self.stopped.add(process.pid)
                self.signal(process.pid, signal.SIGSTOP)

    def let_go_on(self, pids: list[int]) -> None:
        for pid in pids:
            self.signal(pid, signal.SIGCONT)

    def one_of(self, pids: list[int]) -> list[int]:
        return [self.draw.choice(pids)] if pids else []

    def signal(self, pid: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def silence(self, seconds: float) -> None:
        locks = [path for path in self.folder.iterdir() if path.name.endswith(("-lock", ".lock", "write"))]
        if locks:
            file = open(locks[0], "rb+")  # noqa: SIM115 - closed by the timer
            fcntl.flock(file, fcntl.LOCK_EX)
            threading.Timer(seconds, file.close).start()

    def starve(self, seconds: float) -> None:
        for _ in range(4 * (os.cpu_count() or 1)):
            subprocess.Popen(["timeout", f"{seconds:.2f}", "sh", "-c", "while :; do :; done"])

    def pause(self, seconds: float) -> None:
        """Let it run for a while."""
        over = now_ns() + seconds * 1e9
        until(lambda: now_ns() >= over)

    # ---- the witness

    def seen(self) -> list[tuple[int, int, int]]:
        """(first, last, term) of each run, in the order of the first."""
        found = []
        for path in self.runs.iterdir():
            lines = [line for line in path.read_text().split("\n")[:-1] if line]
            if lines:
                found.append((int(lines[0]), int(lines[-1]), int(path.name)))
        return sorted(found)

    def close(self) -> None:
        work = [] if self.guarded else [pid for process in self.holds.values() for pid in children(process.pid)]
        for process in self.holds.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.holds.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2 * LEASE_S)
            process.kill()
            process.wait()
        for pid in work:
            self.signal(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def overlaps(runs: list[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """The terms that ran at the same time."""
    return [
        (one[2], other[2])
        for one, other in itertools.combinations(runs, 2)
        if other[0] <= one[1] and one[0] <= other[1]
    ]


@contextlib.contextmanager
def soaking(seed: int, *, guarded: bool = True) -> Iterator[Soak]:
    with tempfile.TemporaryDirectory(prefix="tenure-soak-") as folder:
        soak = Soak(Path(folder), random.Random(seed), guarded)
        for number in range(HOLDS):
            soak.start(number)
        try:
            yield soak
        finally:
            soak.close()


def run(soak: Soak, seconds: float, say: Callable[[str], None]) -> list[tuple[int, int]]:
    """Draw faults for so long; returns the overlaps."""
    until(soak.seen, within_s=30)
    began = now_ns()
    while now_ns() < began + seconds * 1e9:
        soak.fault()
        soak.pause(soak.draw.uniform(0.3, 3.0))
        soak.keep_running()
    runs = soak.seen()
    held = sum(last - first for first, last, _ in runs if last > began)
    found = overlaps(runs)
    say(f"faults: {', '.join(f'{kind} {count}' for kind, count in sorted(soak.faults.items()))}")
    say(
        f"terms {len(runs)}, overlaps {len(found)} {found[:5]}, with a holder {held / (now_ns() - began):.0%} of the time"
    )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--without-guard", action="store_true")
    given = parser.parse_args()
    print(f"seed {given.seed}, {given.minutes:g} min", flush=True)
    with soaking(given.seed, guarded=not given.without_guard) as soak:
        return 1 if run(soak, 60 * given.minutes, print) else 0


if __name__ == "__main__":
    sys.exit(main())
