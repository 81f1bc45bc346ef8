"""Members that are killed, stopped or without a leader: who goes on, what is unsure, and what has surely not happened."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tenure.errors import StoreUnreachable, StoreUnsure, Unsure
from tenure.store.api import Put
from tenure.store.etcd.store import EtcdStore, open_etcd
from tests.etcd import EtcdCluster, Member, newest
from tests.store.engines import put, watching
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def etcd() -> Iterator[EtcdCluster]:
    with EtcdCluster(newest(), members=3) as cluster:
        yield cluster


@pytest.fixture
def lone() -> Iterator[EtcdCluster]:
    with EtcdCluster(newest()) as cluster:
        yield cluster


class Opened:
    """Stores that are closed in the end."""

    def __init__(self) -> None:
        self.stores: list[EtcdStore] = []

    async def __call__(self, etcd: EtcdCluster, first: int = 0) -> EtcdStore:
        """Open one; `first` is the member that it uses to begin with."""
        endpoints = etcd.endpoints[first:] + etcd.endpoints[:first]
        self.stores.append(await open_etcd(f"etcd://{','.join(endpoints)}/", least_ttl_s=1))
        return self.stores[-1]


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    opened = Opened()
    yield opened
    for store in opened.stores:
        await store.close()


def follower(etcd: EtcdCluster) -> int:
    """A member that does not lead."""
    leader = etcd.leader()
    return next(number for number, member in enumerate(etcd.members) if member is not leader)


def stop(member: Member) -> None:
    """SIGSTOP, and return when all its threads stand."""
    member.stop()
    assert isinstance(member.process, subprocess.Popen)
    tasks = Path(f"/proc/{member.process.pid}/task")
    until(lambda: all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks.iterdir()))


async def working(store: EtcdStore, within_s: float) -> int:
    """Put until a put succeeds; returns its revision."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return await put(store, "/working")
        except Unsure:
            assert time.monotonic() < deadline


async def test_a_stopped_member_is_passed_over(etcd: EtcdCluster, opened: Opened) -> None:
    silent = follower(etcd)
    store = await opened(etcd, silent)
    granted = await store.grant(10)
    await store.renew(granted.lease)
    stop(etcd.members[silent])
    begun = time.monotonic()
    await store.read("")
    assert time.monotonic() - begun < 3, "half a second, on a machine with nothing else to do"
    assert not store.client.in_use(store.client.endpoints[0]), "the next calls go to the next member at once"
    await store.renew(granted.lease)
    await working(store, 5)
    etcd.members[silent].go_on()


async def test_a_renewal_that_a_stopped_member_does_not_answer_is_made_at_another(
    etcd: EtcdCluster, opened: Opened
) -> None:
    silent = follower(etcd)
    store = await opened(etcd, silent)
    leases = [(await store.grant(10)).lease for _ in range(5)]
    await asyncio.gather(*(store.renew(lease) for lease in leases))
    stop(etcd.members[silent])
    renewals = await asyncio.gather(*(store.renew(lease) for lease in leases))
    etcd.members[silent].go_on()
    assert {renewal.ttl_s for renewal in renewals} == {10}
    others = {renewal.witness.member for renewal in renewals if renewal.witness}
    assert others == {(await store.read("/a")).witness.member}  # type: ignore[union-attr]


async def test_a_store_opens_past_a_stopped_and_a_dead_member(etcd: EtcdCluster, opened: Opened) -> None:
    silent = follower(etcd)
    stop(etcd.members[silent])
    begun = time.monotonic()
    store = await opened(etcd, silent)
    assert time.monotonic() - begun < 5, "less than a second, on a machine with nothing else to do"
    await working(store, 5)
    etcd.members[silent].kill()
    await working(await opened(etcd, silent), 5)


async def test_when_the_leader_is_killed_the_others_serve_once_they_have_elected(
    etcd: EtcdCluster, opened: Opened
) -> None:
    store = await opened(etcd, etcd.members.index(etcd.leader()))
    before = await put(store, "/a")
    etcd.leader().kill()
    assert await working(store, 20) > before


async def test_a_watch_goes_on_at_another_member_without_a_miss_or_a_double(etcd: EtcdCluster, opened: Opened) -> None:
    silent = follower(etcd)
    reader, writer = await opened(etcd, silent), await opened(etcd, silent + 1)
    start = await put(writer, "/n/0")
    async with watching(reader, "/n/", start) as watch:
        revisions = []
        for number in range(3):
            await put(writer, f"/n/{number}")
            revisions.append((await watch.next()).revision)
        stop(etcd.members[silent])
        for number in range(20):
            await put(writer, f"/n/{number}")
        begun = time.monotonic()
        for _ in range(20):
            revisions.append((await watch.next()).revision)
        assert time.monotonic() - begun < 8, "two seconds, on a machine with nothing else to do"
        etcd.members[silent].go_on()
        last = await put(writer, "/n/last")
        revisions.append((await watch.next()).revision)
    assert revisions == list(range(start + 1, last + 1))


async def test_a_commit_that_a_stopped_server_took_is_unsure_and_one_that_it_never_got_is_not(
    lone: EtcdCluster, opened: Opened
) -> None:
    store = await opened(lone)
    await put(store, "/a")
    (member,) = lone.members
    stop(member)
    with pytest.raises(StoreUnsure):
        await put(store, "/a", b"stopped")
    with pytest.raises(StoreUnreachable, match="answer"):
        await store.read("/a")
    member.kill()
    with pytest.raises(StoreUnreachable, match="connection refused"):
        while True:  # what is sent before the connection is known to be broken is unsure
            with suppress(StoreUnsure):
                await put(store, "/a", b"dead")
    lone.restart(member)
    await working(store, 5)
    assert (await store.read("/a")).items["/a"].value in {b"", b"stopped"}


async def test_a_call_that_waits_for_a_silent_server_is_given_up_as_its_caller_wants(
    lone: EtcdCluster, opened: Opened
) -> None:
    store = await opened(lone)
    granted = await store.grant(10)
    await store.renew(granted.lease)
    stop(lone.members[0])
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await store.renew(granted.lease)
    lone.members[0].go_on()
    # What was answered late is void; the lease is renewed on a stream of its own.
    assert (await store.renew(granted.lease)).ttl_s == 10


async def test_without_a_quorum_a_commit_surely_has_not_happened_and_the_reason_is_told(
    etcd: EtcdCluster, opened: Opened
) -> None:
    store = await opened(etcd, 0)
    await put(store, "/a")
    for member in etcd.members[1:]:
        member.kill()

    async def says() -> str:
        try:
            await store.commit([], [Put("/a", b"")])
        except StoreUnreachable as error:
            return str(error)
        except StoreUnsure:
            pass
        return ""

    said = ""
    deadline = time.monotonic() + 30
    while "quorum" not in said:
        said = await says()
        assert time.monotonic() < deadline, said
    for member in etcd.members[1:]:
        member.start(etcd.initial_cluster, "existing")
    for member in etcd.members[1:]:
        member.ready()
    await working(store, 10)
