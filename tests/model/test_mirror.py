"""A reader never sees a gap: whatever happens to the watch, the mirror shows what the store shows, and only goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import StoreUnreachable
from tenure.model.mirror import Mirror
from tenure.model.snapshot import MirrorSnapshot
from tenure.store import open_store
from tenure.store.api import Batch, Delete, DeletePrefix, Item, Put, Snapshot
from tenure.store.memory import MemoryStore
from tenure.store.world import MemoryWorld
from tests.waiting import until_async

PREFIX = "/m/"
LIMIT_S = 10


class FlakyStore(MemoryStore):
    """A real memory store whose connection a test cuts: watches end, reads fail, until it is mended."""

    def __init__(self, world: MemoryWorld | None = None) -> None:
        super().__init__(world)
        self.cut = asyncio.Event()
        self.reads = 0

    async def read(self, prefix: str) -> Snapshot:
        self.reads += 1
        if self.cut.is_set():
            raise StoreUnreachable("the cable is cut")
        return await super().read(prefix)

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Batch]:
        if self.cut.is_set():
            raise StoreUnreachable("the cable is cut")
        cut = asyncio.ensure_future(self.cut.wait())
        batches = cast(AsyncGenerator[Batch, None], super().watch(prefix, after))
        batch: asyncio.Future[Batch] | None = None
        try:
            while True:
                batch = asyncio.ensure_future(anext(batches))
                await asyncio.wait({batch, cut}, return_when=asyncio.FIRST_COMPLETED)
                if cut.done():
                    raise StoreUnreachable("the cable is cut")
                yield batch.result()
        finally:
            # Only then is the inner watch over, and may be closed.
            pending = [future for future in (batch, cut) if future is not None]
            for future in pending:
                future.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            await batches.aclose()


@pytest.fixture
async def store() -> AsyncIterator[FlakyStore]:
    store = FlakyStore()
    yield store
    await store.close()


@pytest.fixture
async def mirror(store: FlakyStore) -> AsyncIterator[Mirror]:
    mirror = Mirror(store, PREFIX)
    await mirror.start()
    yield mirror
    await mirror.close()


async def seen(mirror: Mirror, revision: int) -> MirrorSnapshot:
    async with asyncio.timeout(LIMIT_S):
        return await mirror.wait_until(lambda snapshot: snapshot.revision >= revision)


def value(snapshot: MirrorSnapshot, key: str) -> bytes | None:
    item = snapshot.get(key)
    return None if item is None else item.value


async def test_a_started_mirror_shows_what_was_there_and_nothing_beyond_its_prefix(store: FlakyStore) -> None:
    await store.commit([], [Put("/m/a", b"1"), Put("/n/a", b"2")])
    mirror = Mirror(store, PREFIX)
    await mirror.start()
    assert {key: item.value for key, item in mirror.current.items.items()} == {"/m/a": b"1"}
    await mirror.close()


async def test_a_change_makes_a_new_snapshot_and_leaves_the_old_one_as_it_was(
    store: FlakyStore, mirror: Mirror
) -> None:
    first = await seen(mirror, (await store.commit([], [Put("/m/apps/web/info", b"1")])).revision)
    second = await seen(mirror, (await store.commit([], [Put("/m/apps/web/info", b"2")])).revision)
    assert value(first, "/m/apps/web/info") == b"1"
    assert value(second, "/m/apps/web/info") == b"2"


async def test_what_a_change_did_not_touch_is_shared_with_the_snapshot_before(
    store: FlakyStore, mirror: Mirror
) -> None:
    before = await seen(
        mirror, (await store.commit([], [Put("/m/apps/web/info", b"1"), Put("/m/apps/db/info", b"1")])).revision
    )
    after = await seen(mirror, (await store.commit([], [Put("/m/apps/web/info", b"2")])).revision)
    assert before.segment("/m/apps/db/") is after.segment("/m/apps/db/")
    assert before.segment("/m/apps/web/") is not after.segment("/m/apps/web/")


async def test_after_gives_the_newest_snapshot_to_a_slow_reader_and_never_goes_back(
    store: FlakyStore, mirror: Mirror
) -> None:
    for number in range(20):
        last = await store.commit([], [Put("/m/a", b"%d" % number)])
    revisions = []
    async with asyncio.timeout(LIMIT_S):
        async for snapshot in mirror.after(0):
            revisions.append(snapshot.revision)
            if snapshot.revision == last.revision:
                break
    assert revisions == sorted(set(revisions))
    assert value(mirror.current, "/m/a") == b"19"


async def test_a_callback_hears_of_every_revision(store: FlakyStore, mirror: Mirror) -> None:
    heard: list[int] = []
    stop = mirror.on_change(lambda snapshot: heard.append(snapshot.revision))
    landed = [(await store.commit([], [Put("/m/a", b"%d" % number)])).revision for number in range(5)]
    await seen(mirror, landed[-1])
    stop()
    await seen(mirror, (await store.commit([], [Delete("/m/a")])).revision)
    assert heard == landed


async def test_a_silent_store_leaves_the_last_snapshot_and_says_since_when(store: FlakyStore, mirror: Mirror) -> None:
    standing = await seen(mirror, (await store.commit([], [Put("/m/a", b"1")])).revision)
    was_silent = mirror.silent_since
    assert was_silent is None
    store.cut.set()
    reads = store.reads
    await until_async(lambda: store.reads >= reads + 2)
    assert mirror.silent_since is not None
    assert mirror.current is standing

    missed = await store.commit([], [Put("/m/a", b"2")])
    store.cut.clear()
    assert value(await seen(mirror, missed.revision), "/m/a") == b"2"
    await seen(mirror, (await store.commit([], [Put("/m/a", b"3")])).revision)
    assert mirror.silent_since is None


async def test_start_waits_for_a_store_that_is_silent(store: FlakyStore) -> None:
    store.cut.set()
    mirror = Mirror(store, PREFIX)
    starting = asyncio.create_task(mirror.start())
    await until_async(lambda: store.reads >= 2)
    assert not starting.done()
    store.cut.clear()
    async with asyncio.timeout(LIMIT_S):
        await starting
    assert mirror.current.revision == 0
    await mirror.close()


async def test_whoever_waits_when_the_mirror_is_closed_is_told(store: FlakyStore) -> None:
    mirror = Mirror(store, PREFIX)
    await mirror.start()
    waiting = asyncio.create_task(mirror.wait_until(lambda snapshot: snapshot.revision > 99))
    await asyncio.sleep(0)
    await mirror.close()
    with pytest.raises(StoreUnreachable):
        async with asyncio.timeout(LIMIT_S):
            await waiting


KEYS = st.sampled_from(
    ["/m/a", "/m/apps/web/info", "/m/apps/web/units/0/info", "/m/apps/db/info", "/m/relations/1/info"]
)
WRITES = st.one_of(
    st.builds(Put, KEYS, st.binary(max_size=3)),
    st.builds(Delete, KEYS),
    st.builds(DeletePrefix, st.sampled_from(["/m/apps/web/", "/m/apps/", "/m/relations/1/"])),
)
STEPS = st.lists(st.one_of(WRITES, st.sampled_from(["look", "compact", "cut", "mend"])), max_size=40)


@given(STEPS)
def test_whatever_happens_the_mirror_ends_up_as_the_store_and_its_revisions_only_grow(
    steps: list[Put | Delete | DeletePrefix | str],
) -> None:
    async def run() -> None:
        store = FlakyStore()
        truth: dict[int, dict[str, Item]] = {0: {}}
        store.world.listeners.append(lambda batch: truth.update({batch.revision: dict(store.world.read(PREFIX).items)}))
        mirror = Mirror(store, PREFIX)
        await mirror.start()
        shown: list[MirrorSnapshot] = [mirror.current]
        mirror.on_change(shown.append)
        for step in steps:
            match step:
                case "look":
                    await asyncio.sleep(0)
                case "cut":
                    store.cut.set()
                case "mend":
                    store.cut.clear()
                case "compact":
                    await store.compact(store.world.revision)
                case Put() | Delete() | DeletePrefix():
                    await store.commit([], [step])
        store.cut.clear()
        await seen(mirror, store.world.revision)
        await mirror.close()
        revisions = [snapshot.revision for snapshot in shown]
        assert revisions == sorted(set(revisions))
        for snapshot in shown:
            assert snapshot.items == truth[snapshot.revision]
            for prefix in ("/m/apps/", "/m/apps/web/", "/m/apps/web/units/", "/m/a", "/m/relations/"):
                assert [item.key for item in snapshot.under(prefix)] == [
                    key for key in truth[snapshot.revision] if key.startswith(prefix)
                ]
        await store.close()

    asyncio.run(run())


async def test_on_a_database_that_others_write_and_compact_nothing_is_missed(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/tenure.db"
    mine, others = await open_store(url), await open_store(url)
    mirror = Mirror(mine, PREFIX)
    await mirror.start()
    shown: list[MirrorSnapshot] = []
    mirror.on_change(shown.append)
    for number in range(200):
        landed = await others.commit([], [Put(f"/m/apps/a{number % 7}/info", b"%d" % number)])
        if number % 20 == 19:
            await others.compact(landed.revision)
    await seen(mirror, landed.revision)
    assert mirror.current.items == dict((await others.read(PREFIX)).items)
    revisions = [snapshot.revision for snapshot in shown]
    assert revisions == sorted(set(revisions))
    await mirror.close()
    await mine.close()
    await others.close()
