"""What the command line costs: `tenure --help` against a bare Python, `hold` against flock, `tenure status` on 100 units."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator

from bench.figure import Figure, side_by_side_ms, timed_ms
from bench.world import TENURE, charm, until, world

UNITS = 100
HELP_LIMIT = 5.0
STATUS_LIMIT_MS = 250.0


def measure() -> Iterator[Figure]:
    """The figures of this part."""
    yield helped()
    yield held()
    yield from status()


def helped() -> Figure:
    """`--help`, which imports what the command line needs and nothing else."""
    ours, bare = side_by_side_ms(
        [
            lambda: subprocess.run([TENURE, "--help"], stdout=subprocess.DEVNULL, check=True),
            lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
        ],
        rounds=20,
    )
    return Figure("tenure --help", ours, "ms", bare, "python -c pass", HELP_LIMIT, "ratio at most")


def held() -> Figure:
    """`tenure hold x -- true`, end to end: an election, a guard, a hand-over; against the lock of one host."""
    with world() as made:
        ours, bare = side_by_side_ms(
            [
                lambda: made.tenure("hold", "x", "--", "true"),
                lambda: subprocess.run(["flock", made.folder / "lock", "true"], check=True),
            ],
            rounds=10,
        )
        return Figure("tenure hold x -- true", ours, "ms", bare, "flock x true", note=f"{ours - bare:.0f} ms more")


def status() -> Iterator[Figure]:
    """`tenure status` of 100 units that all have run their first hooks, as a table and as JSON."""
    with world() as made:
        made.start("m0")
        made.tenure("deploy", charm(made), "web", "-n", str(UNITS), "--to", ",".join(["m0"] * UNITS), "--lease", "60s")
        until(f"{UNITS} units", lambda: True if len(made.units()) == UNITS else None)
        made.all_idle(UNITS)
        for shape in ("tabular", "json"):
            times = [timed_ms(lambda shape=shape: made.tenure("status", "--format", shape)) for _ in range(7)]  # type: ignore[misc]
            yield Figure(
                f"tenure status of {UNITS} units, {shape}", statistics.median(times), "ms", limit=STATUS_LIMIT_MS
            )
