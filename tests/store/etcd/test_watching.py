"""Watches of etcd: history that is forgotten while nobody looks, and large readings."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tenure.errors import Compacted
from tenure.store.api import Delete, DeletePrefix, Put, Store
from tests.etcd import EtcdCluster, versions
from tests.store.engines import keys, put, watching
from tests.store.etcd.engine import EtcdEngine

pytestmark = pytest.mark.slow


@pytest.fixture(params=sorted({*versions()[:1], *versions()[-1:]}) or [""])
async def engine(request: pytest.FixtureRequest, etcds: dict[str, EtcdCluster]) -> AsyncIterator[EtcdEngine]:
    engine = await EtcdEngine.empty(etcds, request.param)
    yield engine
    await engine.close()


@pytest.fixture
async def store(engine: EtcdEngine) -> Store:
    return await engine.open()


async def test_what_was_deleted_in_the_revision_that_is_compacted_to_is_not_left_out_in_silence(
    store: Store, engine: EtcdEngine, etcds: dict[str, EtcdCluster]
) -> None:
    start = await put(store, "/a")
    deleted = (await store.commit([], [Delete("/a")])).revision
    await put(store, "/b")
    (cluster,) = [cluster for cluster in etcds.values() if cluster.url == engine.url]
    # By somebody else, as etcd's own automatic compaction does: to this revision, not to before it.
    cluster.ctl("compaction", "--physical", str(deleted))
    async with watching(store, "", start) as watch:
        with pytest.raises(Compacted):
            await watch.next()
    async with watching(store, "", deleted) as watch:
        assert await watch.next_keys() == ["/b"]


async def test_a_watch_that_loses_its_member_while_history_goes_is_told_so(
    store: Store, engine: EtcdEngine, etcds: dict[str, EtcdCluster]
) -> None:
    (cluster,) = [cluster for cluster in etcds.values() if cluster.url == engine.url]
    start = await put(store, "/a")
    async with watching(store, "/a", start) as watch:
        await put(store, "/a")
        await watch.next()
        (member,) = cluster.members
        member.kill()
        member.start(cluster.initial_cluster)
        member.ready()
        for _ in range(3):
            cluster.ctl("put", "/a", "x")
        newest = int(cluster.json("get", "/a")["header"]["revision"])
        cluster.ctl("compaction", str(newest))
        # It may have been quick enough to see them before they were forgotten; none is missing then.
        seen = []
        with pytest.raises((Compacted, StopAsyncIteration)):
            while True:
                seen.append((await watch.next()).revision)
                if seen[-1] == newest:
                    raise StopAsyncIteration
    assert seen in ([], list(range(start + 2, newest + 1)))


async def test_a_large_model_is_read_at_one_revision_in_several_answers(store: Store) -> None:
    for first in range(0, 3000, 100):
        await store.commit([], [Put(f"/n/{number:05}", b"1") for number in range(first, first + 100)])
    for number in range(6):
        await put(store, f"/n/0{number}000-large", b"x" * 2**20)
    other = await store.read("/n/")
    assert list(other.items) == sorted(other.items)
    assert len(other.items) == 3006
    revision = other.revision
    await store.commit([], [DeletePrefix("/n/")])
    assert other.revision == revision
    assert await keys(store) == []


async def test_a_reading_is_of_one_revision_while_others_write(engine: EtcdEngine) -> None:
    import asyncio

    reader, writer = await engine.open(), await engine.open()
    for first in range(0, 1000, 100):
        await writer.commit([], [Put(f"/n/{number:05}", b"") for number in range(first, first + 100)])

    async def write() -> None:
        for number in range(100):
            value = str(number).encode()
            await writer.commit([], [Put("/n/00000", value), Put("/n/00999", value)])

    writing = asyncio.create_task(write())
    pairs = []
    while not writing.done():
        items = (await reader.read("/n/")).items
        pairs.append((items["/n/00000"].value, items["/n/00999"].value))
    assert all(one == other for one, other in pairs)
    assert len({one for one, _ in pairs}) > 2
