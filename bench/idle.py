"""What an idle agent costs, with one unit and with a hundred: memory, and processor time with the default lease."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from bench.world import charm, world

WATCHED_S = 30.0
LIMITS = {1: (45.0, 0.5), 100: (80.0, 2.0)}
"""By the number of units: MB resident, and percent of one core."""


def measure() -> Iterator[Figure]:
    """The figures of this part."""
    for units, (memory_mb, percent) in LIMITS.items():
        resident, share = idle(units)
        named = "one unit" if units == 1 else f"{units} units"
        yield Figure(f"idle agent with {named}, resident", resident, "MB", limit=memory_mb)
        yield Figure(f"idle agent with {named}, of one core", share, "%", limit=percent)


def idle(units: int) -> tuple[float, float]:
    """MB resident of an agent with so many idle units, and percent of a core."""
    with world() as made:
        made.start("m0")
        to = ",".join(["m0"] * units)
        made.tenure("deploy", charm(made, install="", leader_elected=""), "web", "-n", str(units), "--to", to)
        made.all_idle(units)
        process = Path("/proc") / str(made.agents["m0"].pid)
        time.sleep(2)
        before, began = processor_s(process), time.monotonic()
        time.sleep(WATCHED_S)
        return resident_mb(process), (processor_s(process) - before) / (time.monotonic() - began) * 100


def resident_mb(process: Path) -> float:
    """VmRSS, in MB of a million bytes."""
    line = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6


def processor_s(process: Path) -> float:
    """Time on a processor of all its threads; finer than the 10 ms of `stat`."""
    return sum(int(task.read_text().split()[0]) for task in process.glob("task/*/schedstat")) / 1e9
