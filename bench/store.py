"""What the store's calls cost: SQLite in a file, and how soon another process's watcher has seen a commit."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure, percentile
from tenure.store import open_store
from tenure.store.api import Put, Store
from tenure.store.memory import MemoryStore
from tenure.store.world import MemoryWorld

COMMITS = 1000
WATCHERS = 20
UNTIL = "SQLite: a commit's begin until"

WATCH = """
import asyncio, sys, time
from tenure.store import open_store

async def main():
    store = await open_store(sys.argv[1])
    start = (await store.read("")).revision
    times = {}
    print("ready", flush=True)
    async for batch in store.watch("/", start):
        times[batch.revision] = time.monotonic_ns()
        if batch.changes[0].key == "/end":
            break
    print(*(f"{revision}:{at}" for revision, at in times.items()), flush=True)
    await store.close()

asyncio.run(main())
"""


def measure() -> Iterator[Figure]:
    """The figures of this part."""
    with tempfile.TemporaryDirectory(prefix="tenure-bench-") as folder:
        return iter(asyncio.run(_measure(Path(folder))))


async def _measure(folder: Path) -> list[Figure]:
    url = f"sqlite://{folder}/tenure.db"
    store = await open_store(url)
    commits = await _commit_times(store)
    bare = _bare_commit_times(folder / "bare.db")
    one = await _until_seen(store, url, 1)
    many = await _until_seen(store, url, WATCHERS)
    reads = await _read_times(store)
    await store.close()
    world = MemoryWorld()
    memory = await _commit_times(MemoryStore(world))
    # Held against SQLite itself: on a disk that others keep busy, everything that is synced takes longer.
    floor, alone = statistics.median(bare), "sqlite3 alone, one row"
    tail = percentile(bare, 0.99)
    return [
        Figure("SQLite: commit, median", statistics.median(commits), "ms", floor, alone, 2.5, "ratio at most"),
        Figure("SQLite: commit, 99th percentile", percentile(commits, 0.99), "ms", tail, alone),
        Figure(
            f"{UNTIL} another process's watcher has it, median",
            statistics.median(one),
            "ms",
            floor,
            alone,
            4,
            "ratio at most",
        ),
        Figure(f"{UNTIL} another process's watcher has it, 99th percentile", percentile(one, 0.99), "ms", tail, alone),
        Figure(f"{UNTIL} the last of {WATCHERS} watchers has it, median", statistics.median(many), "ms"),
        Figure("SQLite: read of a snapshot of 100 keys, median", statistics.median(reads), "ms"),
        Figure("memory: commit, median", statistics.median(memory) * 1000, "µs"),
    ]


async def _commit_times(store: Store) -> list[float]:
    times = []
    for number in range(COMMITS):
        began = time.monotonic_ns()
        await store.commit([], [Put("/key", b"value %d" % number)])
        times.append((time.monotonic_ns() - began) / 1e6)
    return times


async def _read_times(store: Store) -> list[float]:
    await store.commit([], [Put(f"/hundred/{number}", b"x" * 100) for number in range(100)])
    times = []
    for _ in range(300):
        began = time.monotonic_ns()
        await store.read("/hundred/")
        times.append((time.monotonic_ns() - began) / 1e6)
    return times


async def _until_seen(store: Store, url: str, watchers: int) -> list[float]:
    """For each commit, from its begin until the last of so many watchers has seen it, in ms."""
    processes = [
        subprocess.Popen([sys.executable, "-c", WATCH, url], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
        for _ in range(watchers)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        began: dict[int, int] = {}
        for number in range(COMMITS // (5 if watchers > 1 else 2)):
            at = time.monotonic_ns()
            began[(await store.commit([], [Put("/key", b"value %d" % number)])).revision] = at
            # A pause, as between real commits: what is measured is a watcher that has to be woken.
            await asyncio.sleep(0.002 if watchers == 1 else 0.01)
        await store.commit([], [Put("/end", b"")])
        seen = [dict(pair.split(":") for pair in process.communicate(timeout=30)[0].split()) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [(max(int(times[str(revision)]) for times in seen) - at) / 1e6 for revision, at in began.items()]


def _bare_commit_times(path: Path) -> list[float]:
    times = []
    bare = sqlite3.connect(path, isolation_level=None)
    bare.execute("PRAGMA journal_mode = WAL")
    bare.execute("PRAGMA synchronous = FULL")
    bare.execute("CREATE TABLE items (key TEXT PRIMARY KEY, value BLOB)")
    for number in range(COMMITS):
        began = time.monotonic_ns()
        bare.execute("INSERT OR REPLACE INTO items VALUES (?, ?)", ("/key", b"value %d" % number))
        times.append((time.monotonic_ns() - began) / 1e6)
    bare.close()
    return times
