"""How soon a command runs again elsewhere, after a crash and after a stop, and what its guard costs: `tenure hold` on this host."""

from __future__ import annotations

import asyncio
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure, timed_ms
from bench.idle import resident_mb
from bench.world import TENURE, World, until, world
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.store import open_store

OFFICE = "bench"
HOLDS = 3
LEASE_S = 3
ROUNDS = 5
AFTER_LEASE_LIMIT_MS = 300.0
HAND_OVER_LIMIT_MS = 200.0
GUARD_LEASE_S = 15
WATCHED_S = 30.0
GUARD_LIMIT_MB = 12.0
WAKE_UPS_LIMIT = 2.0

# It says every 2 ms that it runs, on the boot clock, into a file of its term.
WORK = """
import os, sys, time
with open(sys.argv[1] + "/" + os.environ["TENURE_TERM"], "w", buffering=1) as file:
    while True:
        print(time.clock_gettime_ns(time.CLOCK_BOOTTIME), file=file)
        time.sleep(0.002)
"""


class Holds:
    """Some `tenure hold` of one office, and what their command has said."""

    def __init__(self, made: World, lease_s: int) -> None:
        self.made, self.lease_s = made, lease_s
        self.runs = made.folder / "runs"
        self.runs.mkdir()
        (made.folder / "work.py").write_text(WORK)
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def command(self) -> list[str]:
        """What they run."""
        return [sys.executable, "-I", "-S", str(self.made.folder / "work.py"), str(self.runs)]

    def start(self) -> None:
        """One more of them."""
        self.processes.append(
            subprocess.Popen(
                [TENURE, "hold", OFFICE, "--lease", f"{self.lease_s}s", "--", *self.command],
                env=self.made.environment,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def holder(self) -> subprocess.Popen[bytes]:
        """The one that has a child, its guard; waited for."""
        return until(
            "a holder",
            lambda: next(
                (process for process in self.processes if process.poll() is None and children(process.pid)), None
            ),
        )

    async def all_wait(self) -> None:
        """Return once each has begun to wait for the office: one that still starts up takes the others' processor."""
        store = await open_store(self.made.url)
        mirror = Mirror(store, prefix := Layout("default").free_candidates(OFFICE))
        try:
            await mirror.start()
            await mirror.wait_until(lambda snapshot: sum(key.startswith(prefix) for key in snapshot.items) == HOLDS)
        finally:
            await mirror.close()
            await store.close()

    def spans(self) -> list[tuple[int, int]]:
        """When each run said its first word and its last one, in ns of the boot clock."""
        found = []
        for path in self.runs.iterdir():
            lines = path.read_text().split("\n")[:-1]
            if lines:
                found.append((int(lines[0]), int(lines[-1])))
        return sorted(found)

    def next_after(self, before: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """The run that follows the first `before` ones, with the last of those; waited for."""
        spans = until("the next run", lambda: found if len(found := self.spans()) > before else None, every_s=0.02)
        return spans[before - 1], spans[before]

    def close(self) -> None:
        """End them all."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


def measure() -> Iterator[Figure]:
    """The figures of this part."""
    with world() as made:
        holds = Holds(made, LEASE_S)
        try:
            for _ in range(HOLDS):
                holds.start()
            until("a run", lambda: holds.spans() or None)
            crashed = [after(holds, signal.SIGKILL) for _ in range(ROUNDS)]
            stopped = [after(holds, signal.SIGTERM) for _ in range(ROUNDS)]
            floor = bare_ms(holds)
        finally:
            holds.close()
    yield Figure(
        "next command's first word after SIGKILL of its holder",
        max(crashed),
        "ms",
        LEASE_S * 1e3,
        "the lease",
        LEASE_S * 1e3 + AFTER_LEASE_LIMIT_MS,
        note=f"worst of {ROUNDS}; median {statistics.median(crashed):.0f} ms",
    )
    yield Figure(
        "next command's first word after the last one of one that was stopped",
        max(stopped),
        "ms",
        floor,
        "the command started bare",
        HAND_OVER_LIMIT_MS,
        note=f"worst of {ROUNDS}; median {statistics.median(stopped):.0f} ms",
    )
    yield from guard()


def after(holds: Holds, number: signal.Signals) -> float:
    """Signal the holder; ms to the next run, from the signal for a kill, else from the last run's last word."""
    asyncio.run(holds.all_wait())
    before, holder = len(holds.spans()), holds.holder()
    since = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    holder.send_signal(number)
    (_, last), (first, _) = holds.next_after(before)
    holder.wait()
    holds.processes.remove(holder)
    holds.start()
    return (first - (since if number == signal.SIGKILL else last)) / 1e6


def bare_ms(holds: Holds) -> float:
    """The floor: from a start of the same command to its first word."""
    times = []
    for turn in range(9):
        path = holds.runs / f"bare-{turn}"
        environment = {**holds.made.environment, "TENURE_TERM": path.name}

        def once(path: Path = path, environment: dict[str, str] = environment) -> None:
            process = subprocess.Popen(holds.command, env=environment)
            until("its word", lambda: (path.exists() and path.stat().st_size) or None, every_s=0.0005)
            process.kill()
            process.wait()

        times.append(timed_ms(once))
        path.unlink()
    return statistics.median(times)


def guard() -> Iterator[Figure]:
    """The guard of a command that runs quietly."""
    with world() as made:
        holds = Holds(made, GUARD_LEASE_S)
        try:
            holds.start()
            until("a run", lambda: holds.spans() or None)
            (pid,) = children(holds.holder().pid)
            process = Path("/proc") / str(pid)
            time.sleep(2)
            before = wake_ups(process)
            time.sleep(WATCHED_S)
            woken, resident = wake_ups(process) - before, resident_mb(process)
        finally:
            holds.close()
    yield Figure("a guard, resident", resident, "MB", limit=GUARD_LIMIT_MB)
    yield Figure(
        f"wake-ups of a guard in {WATCHED_S:.0f} s",
        woken,
        "times",
        WATCHED_S / (GUARD_LEASE_S / 7),
        "renewals",
        WAKE_UPS_LIMIT,
        "ratio at most",
    )


def wake_ups(process: Path) -> int:
    """How often it has waited for something."""
    line = next(line for line in (process / "status").read_text().splitlines() if line.startswith("voluntary_ctxt"))
    return int(line.split()[1])


def children(pid: int) -> list[int]:
    """A process's children."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
