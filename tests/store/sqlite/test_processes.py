"""Many real processes on one store: none loses another's write, none misses a revision, none of it costs when idle."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tenure.store import open_store
from tenure.store.api import Put
from tests.store.sqlite.children import Child, children

COUNT = """
number, times = int(args[0]), int(args[1])
item = (await store.read("/count")).items["/count"]
done = 0
while done < times:
    when = [modified_at("/count", item.mod_revision)]
    outcome = await store.commit(when, [Put("/count", b"%d" % (int(item.value) + 1))])
    if isinstance(outcome, Refused):
        item = outcome.current["/count"]
    else:
        done += 1
        item = Item("/count", b"%d" % (int(item.value) + 1), 0, outcome.revision, 0, 0)
say("done")
"""

FOLLOW = """
seen = int(args[1])
say("from", seen)
async for batch in store.watch("", seen):
    if batch.revision != seen + 1:
        say("missed", seen, batch.revision)
        break
    seen = batch.revision
    if any(change.key == "/end" for change in batch.changes):
        say("whole")
        break
"""


def url(folder: Path) -> str:
    return f"sqlite://{folder}/t.db"


def test_compare_and_set_by_many_processes_loses_no_count_and_every_watcher_sees_each(tmp_path: Path) -> None:
    writers, times = 4, 50

    async def begin() -> int:
        store = await open_store(url(tmp_path))
        revision = (await store.commit([], [Put("/count", b"0")])).revision
        await store.close()
        return revision

    async def end() -> bytes:
        store = await open_store(url(tmp_path))
        await store.commit([], [Put("/end", b"")])
        value = (await store.read("/count")).items["/count"].value
        await store.close()
        return value

    begun = asyncio.run(begin())
    with children(2, FOLLOW, url(tmp_path), begun) as watchers:
        for watcher in watchers:
            assert [watcher.line(), watcher.line()] == ["open", f"from {begun}"]
        with children(writers, COUNT, url(tmp_path), times) as counters:
            for counter in counters:
                assert list(counter.lines()) == ["open", "done"]
        assert asyncio.run(end()) == b"%d" % (writers * times)
        for watcher in watchers:
            assert watcher.line() == "whole"


WRITE = """
import tenure.store.sqlite.database as database
database._CHECKPOINT_AFTER = 7
name, number = args[1], 0
granted = await store.grant(3600)
while True:
    number += 1
    await store.commit([], [Put(f"/{name}/{number}", os.urandom(200 * (number % 20)), granted.lease), Put("/last", b"")])
    say(number)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_process_that_is_killed_at_any_point_loses_no_answered_commit_and_corrupts_nothing(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    answered: dict[str, int] = {}
    running: dict[str, Child] = {}

    def start(name: str) -> None:
        running[name] = Child(WRITE, url(tmp_path), 0, name)

    def kill(name: str, lines: int, after_s: float) -> None:
        child = running.pop(name)
        for _ in range(lines):
            child.line()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(after_s)
        child.send(signal.SIGKILL)
        answered[name] = max((int(line) for line in child.lines() if line.isdecimal()), default=lines - 1)
        child.__exit__(None, None, None)

    asyncio.run(_make(tmp_path))
    with Child(FOLLOW, url(tmp_path), 0, 0) as watcher:
        assert [watcher.line(), watcher.line()] == ["open", "from 0"]
        for round in range(40):
            start(f"w{round}")
            if len(running) == 3:
                # Some are killed while they open the store, some in a commit, some in a checkpoint or between.
                kill(chance.choice(list(running)), chance.choice([0, 0, 1, 2, 10, 30]), chance.uniform(0, 0.01))
        for name in list(running):
            kill(name, 5, chance.uniform(0, 0.002))
        items, revision = asyncio.run(_end(tmp_path))
        assert watcher.line() == "whole"
    for name, number in answered.items():
        missing = [n for n in range(1, number + 1) if f"/{name}/{n}" not in items]
        assert not missing, f"{name} was answered {number} commits, of which these are gone: {missing}"
    database = sqlite3.connect(tmp_path / "t.db")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    forgotten, newest = database.execute("SELECT forgotten, revision FROM state").fetchone()
    logged = [row[0] for row in database.execute("SELECT DISTINCT revision FROM log ORDER BY revision")]
    database.close()
    assert newest == revision
    assert logged == list(range(forgotten + 1, revision + 1))


async def _make(folder: Path) -> None:
    await (await open_store(url(folder))).close()


async def _end(folder: Path) -> tuple[set[str], int]:
    store = await open_store(url(folder))
    await store.commit([], [Put("/end", b"")])
    snapshot = await store.read("")
    await store.close()
    return set(snapshot.items), snapshot.revision


@pytest.mark.slow
async def test_a_lease_ends_on_time_when_the_process_that_was_granted_it_is_killed(tmp_path: Path) -> None:
    store = await open_store(url(tmp_path))
    body = """
granted = await store.grant(2)
await store.commit([], [Put("/a", b"", granted.lease)])
say(time.clock_gettime(time.CLOCK_BOOTTIME))
await asyncio.Event().wait()
"""
    with Child(body, url(tmp_path)) as child:
        assert child.line() == "open"
        committed_at = float(child.line())
    async for batch in store.watch("/a", 0):
        if batch.changes[0].item is None:
            break
    late = time.clock_gettime(time.CLOCK_BOOTTIME) - committed_at - 2
    assert -0.1 < late < 0.5
    await store.close()


@pytest.mark.slow
async def test_a_watcher_sees_within_two_seconds_what_no_bell_was_rung_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, writer = await open_store(url(tmp_path)), await open_store(url(tmp_path))
    monkeypatch.setattr("tenure.store.sqlite.database.Database.ring", lambda database: None)
    batches = watcher.watch("", 0)
    coming = asyncio.ensure_future(anext(batches))
    await writer.commit([], [Put("/a", b"")])
    assert (await asyncio.wait_for(coming, 2)).revision == 1
    await writer.commit([], [Put("/a", b"")])
    assert (await asyncio.wait_for(anext(batches), 2)).revision == 2
    await batches.aclose()  # type: ignore[attr-defined]
    await watcher.close()
    await writer.close()


@pytest.mark.slow
def test_an_idle_watcher_costs_next_to_no_processor_time(tmp_path: Path) -> None:
    body = """
watch = store.watch("", 0)
waiting = asyncio.ensure_future(anext(watch))
await asyncio.wait([waiting], timeout=0.5)
cost, began = time.process_time(), time.monotonic()
await asyncio.wait([waiting], timeout=4)
say((time.process_time() - cost) / (time.monotonic() - began))
waiting.cancel()
"""
    with Child(body, url(tmp_path)) as child:
        assert child.line() == "open"
        assert float(child.line()) < 0.003
        assert child.end() == 0


async def test_all_watches_of_a_store_share_one_inotify_instance_and_none_is_left_behind(tmp_path: Path) -> None:
    store = await open_store(url(tmp_path))
    before = inotify_instances()
    watches = [store.watch(f"/{number}", 0) for number in range(30)]
    waiting = [asyncio.ensure_future(anext(watch)) for watch in watches]
    await store.commit([], [Put(f"/{number}", b"") for number in range(10, 30)] + [Put("/1", b""), Put("/2", b"")])
    done, _ = await asyncio.wait(waiting, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    assert done
    assert inotify_instances() == before + 1
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    for watch in watches:
        await watch.aclose()  # type: ignore[attr-defined]
    assert inotify_instances() == before
    await store.close()


def inotify_instances() -> int:
    """How many this process has open."""
    links = []
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(file))
    return links.count("anon_inode:inotify")


def test_a_process_without_files_to_spare_is_told_what_is_missing(tmp_path: Path) -> None:
    body = """
import resource, inotify_simple
inotify_simple.INotify().close()
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1,) * 2)
try:
    await anext(store.watch("", 0))
except StoreBroken as error:
    say(error.message, "|", error.hint)
"""
    with Child(body, url(tmp_path)) as child:
        assert child.line() == "open"
        assert child.line().startswith("no inotify instance is left for this user, or no open file for this process | ")


async def test_a_quiet_watch_that_must_catch_up_does_not_miss_history_that_did_not_concern_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, witness = await open_store(url(tmp_path)), await open_store(url(tmp_path))
    quiet, loud = witness.watch("/quiet", 0), witness.watch("/loud", 0)
    coming = asyncio.ensure_future(anext(quiet))
    for _ in range(20):
        revision = (await store.commit([], [Put("/loud", b"")])).revision
        assert (await anext(loud)).revision == revision
    await store.compact(revision)
    # One revision more than a look takes at once: whoever watches has to catch up from the log.
    monkeypatch.setattr("tenure.store.sqlite.hub._GATHERED_MOST", 0)
    await store.commit([], [Put("/loud", b"")])
    await anext(loud)
    await store.commit([], [Put("/quiet", b"")])
    assert (await asyncio.wait_for(coming, 5)).changes[0].key == "/quiet"
    for watch in (quiet, loud):
        await watch.aclose()  # type: ignore[attr-defined]
    await store.close()
    await witness.close()


# What grows has a bound


async def test_history_and_the_log_stay_bounded_however_much_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenure.store.sqlite.transaction.KEEP_REVISIONS", 100)
    monkeypatch.setattr("tenure.store.sqlite.transaction._AT_ONCE", 20)
    monkeypatch.setattr("tenure.store.sqlite.transaction.KEEP_BYTES", 4_000_000)
    monkeypatch.setattr("tenure.store.sqlite.database._CHECKPOINT_AFTER", 10)
    store = await open_store(url(tmp_path))
    for number in range(300):
        revision = (await store.commit([], [Put(f"/{number % 10}", b"x")])).revision
    with sqlite3.connect(tmp_path / "t.db") as database:
        (kept,) = database.execute("SELECT count(*) FROM log").fetchone()
    assert 100 <= kept <= 120
    for number in range(60):
        revision = (await store.commit([], [Put(f"/{number % 3}", bytes(500_000))])).revision
    with sqlite3.connect(tmp_path / "t.db") as database:
        size, oldest = database.execute("SELECT sum(length(value)), min(revision) FROM log").fetchone()
        (counted,) = database.execute("SELECT log_bytes FROM state").fetchone()
        keys = database.execute("SELECT sum(length(key)) FROM log").fetchone()[0]
    assert 2_400_000 < size <= 4_000_000
    assert counted == size + keys
    assert os.stat(tmp_path / "t.db").st_size + os.stat(tmp_path / "t.db-wal").st_size < 24_000_000
    batches = store.watch("", oldest - 1)
    assert [(await anext(batches)).revision for _ in range(oldest, revision + 1)] == list(range(oldest, revision + 1))
    await batches.aclose()  # type: ignore[attr-defined]
    await store.close()
