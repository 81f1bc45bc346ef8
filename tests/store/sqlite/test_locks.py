"""Who has the database open, who writes, and what a reboot or another machine does to it. Promise 1 stands on these."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sqlite3
import time
from functools import partial
from pathlib import Path

import pytest

from tenure.errors import StoreBroken, StoreUnreachable
from tenure.store import open_store
from tenure.store.api import Put
from tenure.store.sqlite import SqliteStore, worker
from tenure.store.sqlite.locks import Patience, share_after
from tests.store.sqlite.children import Child, children
from tests.waiting import until

HOLD = """
import fcntl
file = os.open(args[0], os.O_RDWR)
fcntl.flock(file, fcntl.LOCK_EX)
say("held")
await asyncio.Event().wait()
"""


def url(folder: Path) -> str:
    return f"sqlite://{folder}/t.db"


async def open_sqlite_store(folder: Path, query: str = "") -> SqliteStore:
    store = await open_store(url(folder) + query)
    assert isinstance(store, SqliteStore)
    return store


def set_state(folder: Path, **columns: str) -> None:
    """Make the database look as another boot or machine has left it."""
    database = sqlite3.connect(folder / "t.db")
    for name, value in columns.items():
        database.execute(f"UPDATE state SET {name} = ?", (value,))
    database.commit()
    database.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer's lock is waited for a tenth of a second."""
    monkeypatch.setattr(worker, "Patience", lambda: Patience(0.1))


# The writer's lock


@pytest.mark.usefixtures("impatient")
async def test_a_stopped_process_that_holds_the_lock_is_named_and_said_to_be_stopped(tmp_path: Path) -> None:
    store = await open_sqlite_store(tmp_path)
    with Child(HOLD, url(tmp_path), tmp_path / "t.db-lock") as holder:
        assert [holder.line(), holder.line()] == ["open", "held"]
        holder.send(signal.SIGSTOP)
        os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)
        with pytest.raises(StoreUnreachable) as caught:
            await store.commit([], [Put("/a", b"")])
        assert f"process {holder.pid} (python" in caught.value.message
        assert "which is stopped" in caught.value.message
        assert caught.value.hint == f"`kill -CONT {holder.pid}` lets it go on"
        holder.send(signal.SIGCONT)
        os.waitid(os.P_PID, holder.pid, os.WCONTINUED)
        with pytest.raises(StoreUnreachable, match="which is running"):
            await store.commit([], [Put("/a", b"")])
    await store.commit([], [Put("/a", b"")])
    assert (await store.read("")).revision == 1
    await store.close()


async def test_reads_and_new_connections_go_on_while_another_process_holds_the_lock(tmp_path: Path) -> None:
    store = await open_sqlite_store(tmp_path)
    await store.commit([], [Put("/a", b"")])
    with Child(HOLD, url(tmp_path), tmp_path / "t.db-lock") as holder:
        assert [holder.line(), holder.line()] == ["open", "held"]
        commit = asyncio.create_task(store.commit([], [Put("/b", b"")]))
        await asyncio.sleep(0)
        began = time.monotonic()
        for _ in range(10):
            assert list((await store.read("")).items) == ["/a"]
        other = await open_sqlite_store(tmp_path)
        assert list((await other.read("")).items) == ["/a"]
        assert time.monotonic() - began < 1
        assert not commit.done()
        holder.process.kill()
        await commit
    assert list((await other.read("")).items) == ["/a", "/b"]
    await store.close()
    await other.close()


async def test_a_commit_that_is_cancelled_before_its_turn_never_lands(tmp_path: Path) -> None:
    store = await open_sqlite_store(tmp_path)
    with open(tmp_path / "t.db-lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        commit = asyncio.create_task(store.commit([], [Put("/a", b"")]))
        await store.read("")
        commit.cancel()
        await asyncio.wait([commit])
    await store.commit([], [Put("/b", b"")])
    assert list((await store.read("")).items) == ["/b"]
    await store.close()


async def test_closing_refuses_what_waits_for_the_lock(tmp_path: Path) -> None:
    store = await open_sqlite_store(tmp_path)
    with open(tmp_path / "t.db-lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        commit = asyncio.create_task(store.commit([], [Put("/a", b"")]))
        await store.read("")
        await store.close()
        with pytest.raises(StoreUnreachable, match="closed"):
            await commit


# Another boot, another machine


async def leave_a_lease_of_another_boot(folder: Path, **state: str) -> int:
    """A store with a key on a lease, as the machine's former boot has left it; returns its revision."""
    store = await open_sqlite_store(folder)
    granted = await store.grant(3600)
    revision = (await store.commit([], [Put("/held", b"", granted.lease), Put("/kept", b"")])).revision
    await store.close()
    set_state(folder, boot="a former boot", **state)
    return revision


async def test_the_leases_of_a_former_boot_end_when_the_store_is_opened_in_one_revision_each(tmp_path: Path) -> None:
    revision = await leave_a_lease_of_another_boot(tmp_path)
    store = await open_sqlite_store(tmp_path)
    snapshot = await store.read("")
    assert (snapshot.revision, list(snapshot.items)) == (revision + 1, ["/kept"])
    await store.close()


async def test_the_leases_of_this_boot_outlive_every_process(tmp_path: Path) -> None:
    with Child(
        'granted = await store.grant(60); await store.commit([], [Put("/a", b"", granted.lease)])', url(tmp_path)
    ) as child:
        assert child.line() == "open"
        assert child.end() == 0
    store = await open_sqlite_store(tmp_path)
    assert list((await store.read("")).items) == ["/a"]
    await store.close()


async def test_while_a_process_of_another_boot_has_it_open_nobody_else_ends_its_leases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave_a_lease_of_another_boot(tmp_path)
    monkeypatch.setattr("tenure.store.sqlite.database.share_after", partial(share_after, patience_s=0.1))
    with open(tmp_path / "t.db-open", "r+b") as living:
        fcntl.flock(living, fcntl.LOCK_SH)
        with pytest.raises(StoreUnreachable, match=f"held by process {os.getpid()}"):
            await open_sqlite_store(tmp_path)
    store = await open_sqlite_store(tmp_path)
    assert list((await store.read("")).items) == ["/kept"]
    await store.close()


def test_agents_that_start_together_after_a_reboot_do_not_block_each_other(tmp_path: Path) -> None:
    asyncio.run(leave_a_lease_of_another_boot(tmp_path))
    with children(3, 'say(",".join((await store.read("")).items))', url(tmp_path)) as agents:
        for agent in agents:
            assert list(agent.lines()) == ["open", "/kept"]


async def test_a_store_that_another_machine_made_is_refused_until_it_is_adopted(tmp_path: Path) -> None:
    if not Path("/etc/machine-id").exists():
        pytest.skip("this machine has no identity")
    await leave_a_lease_of_another_boot(tmp_path, machine="f" * 32)
    with pytest.raises(StoreBroken, match="belongs to another machine") as caught:
        await open_sqlite_store(tmp_path)
    assert "adopt=yes" in (caught.value.hint or "")
    store = await open_sqlite_store(tmp_path, "?adopt=yes")
    assert list((await store.read("")).items) == ["/kept"]
    await store.close()
    await (await open_sqlite_store(tmp_path)).close()


async def test_containers_of_one_boot_share_a_store_whatever_their_machine_ids(tmp_path: Path) -> None:
    await (await open_sqlite_store(tmp_path)).close()
    set_state(tmp_path, machine="f" * 32)
    await (await open_sqlite_store(tmp_path)).close()


# The end of a commit that isn't known


UNSURE = """
import resource
await store.commit([], [Put("/before", b"")])
resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(args[0] + "-wal").st_size + 1000, resource.RLIM_INFINITY))
try:
    await store.commit([], [Put("/unsure", b"x" * 20000)])
except StoreUnsure as error:
    say("unsure", error.message)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
await store.commit([], [Put("/after", b"")])
say(" ".join((await store.read("")).items))
"""


def test_a_disk_that_fails_while_a_commit_ends_leaves_it_unsure_and_the_store_usable(tmp_path: Path) -> None:
    with Child(UNSURE, url(tmp_path), tmp_path / "t.db") as child:
        assert child.line() == "open"
        assert child.line().startswith(f"unsure {tmp_path}/t.db: the commit's end is not known (")
        assert child.line() in {"/after /before", "/after /before /unsure"}
        assert child.end() == 0


def test_a_process_that_forgets_to_close_its_store_can_end(tmp_path: Path) -> None:
    with Child('await store.commit([], [Put("/a", b"")]); sys.exit(3)', url(tmp_path)) as child:
        until(lambda: child.process.poll() is not None, what="the process ends")
        assert child.end() == 3
