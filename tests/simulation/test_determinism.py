"""The same seed is the same run, event by event, in any process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

from tenure.simulation.many import Task


def digest(seed: int, hash_seed: str) -> str:
    """Of the whole trace, in a process whose hashes of text are its own."""
    command = [
        sys.executable,
        "-m",
        "tenure.simulation",
        "--seeds",
        "1",
        "--from",
        str(seed),
        "--hours",
        "0.5",
        "--trace",
    ]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True, timeout=60
    )
    lines = [line for line in done.stdout.splitlines() if line[:14].strip().replace(".", "").isdigit()]
    assert len(lines) > 100
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_the_same_seed_gives_the_same_trace_in_another_process() -> None:
    assert digest(7, "1") == digest(7, "2")


def test_the_same_seed_gives_the_same_trace_again_in_one_process() -> None:
    traces: list[list[str]] = [[], []]
    for trace in traces:
        Task(11, 0.3).run(trace.append)
    assert traces[0] == traces[1]


def test_tracing_changes_nothing() -> None:
    told: list[str] = []
    traced, silent = Task(12, 0.3).run(told.append), Task(12, 0.3).run()
    assert (traced.events, traced.counts) == (silent.events, silent.counts)
    assert told


def test_seeds_differ() -> None:
    assert len({Task(seed, 0.1).run().events for seed in range(8)}) > 4
