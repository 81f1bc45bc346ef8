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
    store, bare = await open_store(url), Bare(folder / "bare.db")
    commits, alone = await _commit_times(store, bare)
    one, alone_one = await _until_seen(store, bare, url, 1)
    many, alone_many = await _until_seen(store, bare, url, WATCHERS)
    reads = await _read_times(store)
    await store.close()
    bare.close()
    memory, _ = await _commit_times(MemoryStore(MemoryWorld()), None)
    return [
        against("SQLite: commit, median", commits, alone, 0.5, 2.5),
        against("SQLite: commit, 99th percentile", commits, alone, 0.99),
        against(f"{UNTIL} another process's watcher has it, median", one, alone_one, 0.5, 4),
        against(f"{UNTIL} another process's watcher has it, 99th percentile", one, alone_one, 0.99),
        against(f"{UNTIL} the last of {WATCHERS} watchers has it, median", many, alone_many, 0.5),
        Figure("SQLite: read of a snapshot of 100 keys, median", statistics.median(reads), "ms"),
        Figure("memory: commit, median", statistics.median(memory) * 1000, "µs"),
    ]


def against(name: str, ours: list[float], alone: list[float], share: float, limit: float | None = None) -> Figure:
    """A percentile, held against SQLite itself: on a disk that others keep busy, all that is synced takes longer."""
    peer = percentile(alone, share)
    return Figure(name, percentile(ours, share), "ms", peer, "sqlite3 alone, one row", limit, "ratio at most")


class Bare:
    """SQLite without Tenure: one row, written and synced."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE items (key TEXT PRIMARY KEY, value BLOB)")
        self.close = self._connection.close

    def commit_ms(self, number: int) -> float:
        """How long one commit takes."""
        began = time.monotonic_ns()
        self._connection.execute("INSERT OR REPLACE INTO items VALUES (?, ?)", ("/key", b"value %d" % number))
        return (time.monotonic_ns() - began) / 1e6


async def _commit_times(store: Store, bare: Bare | None) -> tuple[list[float], list[float]]:
    """Commits of the store's and bare ones, in turns."""
    times: list[float] = []
    alone: list[float] = []
    for number in range(COMMITS):
        began = time.monotonic_ns()
        await store.commit([], [Put("/key", b"value %d" % number)])
        times.append((time.monotonic_ns() - began) / 1e6)
        if bare is not None:
            alone.append(bare.commit_ms(number))
    return times, alone


async def _read_times(store: Store) -> list[float]:
    await store.commit([], [Put(f"/hundred/{number}", b"x" * 100) for number in range(100)])
    times = []
    for _ in range(300):
        began = time.monotonic_ns()
        await store.read("/hundred/")
        times.append((time.monotonic_ns() - began) / 1e6)
    return times


async def _until_seen(store: Store, bare: Bare, url: str, watchers: int) -> tuple[list[float], list[float]]:
    """For each commit, from its begin until the last of so many watchers has seen it, in ms; and bare ones, in turns."""
    processes = [
        subprocess.Popen([sys.executable, "-c", WATCH, url], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
        for _ in range(watchers)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        began: dict[int, int] = {}
        alone: list[float] = []
        for number in range(COMMITS // (5 if watchers > 1 else 2)):
            at = time.monotonic_ns()
            began[(await store.commit([], [Put("/key", b"value %d" % number)])).revision] = at
            # A pause, as between real commits: what is measured is a watcher that has to be woken.
            await asyncio.sleep(0.002 if watchers == 1 else 0.01)
            alone.append(bare.commit_ms(number))
        await store.commit([], [Put("/end", b"")])
        seen = [dict(pair.split(":") for pair in process.communicate(timeout=30)[0].split()) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    last = {revision: max(int(times[str(revision)]) for times in seen) for revision in began}
    return [(last[revision] - at) / 1e6 for revision, at in began.items()], alone
