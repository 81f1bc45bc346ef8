"""What an idle agent with one unit costs: memory, and processor time with the default lease."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from bench.world import charm, world

WATCHED_S = 30.0
MEMORY_LIMIT_MB = 45.0
PROCESSOR_LIMIT_PERCENT = 0.5


def measure() -> Iterator[Figure]:
    """The figures of this part."""
    with world() as made:
        made.start("m0")
        made.tenure("deploy", charm(made, install="", leader_elected=""), "web", "--to", "m0")
        made.all_idle(1)
        process = Path("/proc") / str(made.agents["m0"].pid)
        time.sleep(2)
        before, began = processor_s(process), time.monotonic()
        time.sleep(WATCHED_S)
        share = (processor_s(process) - before) / (time.monotonic() - began) * 100
        yield Figure("idle agent with one unit, resident", resident_mb(process), "MB", limit=MEMORY_LIMIT_MB)
        yield Figure("idle agent with one unit, of one core", share, "%", limit=PROCESSOR_LIMIT_PERCENT)


def resident_mb(process: Path) -> float:
    """VmRSS, in MB of a million bytes."""
    line = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6


def processor_s(process: Path) -> float:
    """Time on a processor of all its threads; finer than the 10 ms of `stat`."""
    return sum(int(task.read_text().split()[0]) for task in process.glob("task/*/schedstat")) / 1e9
