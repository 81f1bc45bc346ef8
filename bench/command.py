"""What the command line costs: `tenure --help` against a bare start of Python, `tenure status` on 100 units."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure, side_by_side_ms

HELP_LIMIT = 5.0
STATUS_LIMIT_MS = 250.0


def measure() -> Iterator[Figure]:
    """The figures of this part."""
    tenure = Path(sys.executable).with_name("tenure")
    yield helped(tenure)


def helped(tenure: Path) -> Figure:
    """`--help`, which imports what the command line needs and nothing else."""
    ours, bare = side_by_side_ms(
        [
            lambda: subprocess.run([tenure, "--help"], stdout=subprocess.DEVNULL, check=True),
            lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
        ],
        rounds=20,
    )
    return Figure("tenure --help", ours, "ms", bare, "python -c pass", HELP_LIMIT, "ratio at most")
