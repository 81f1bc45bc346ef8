"""The rules of `store/api.py` on watches and compaction, each a test, for every engine."""

from __future__ import annotations

import asyncio

import pytest

from tenure.errors import BadInput, Compacted
from tenure.store.api import (
    Delete,
    Put,
    Store,
)
from tests.store.engines import Engine, put, watching


async def test_a_watch_shows_each_revision_as_one_batch(store: Store) -> None:
    start = (await store.read("")).revision
    await store.commit([], [Put("/b", b"1"), Put("/a", b"2")])
    await store.commit([], [Delete("/a"), Put("/b", b"3")])
    async with watching(store, "", start) as watch:
        first, second = await watch.next(), await watch.next()
    assert (first.revision, second.revision) == (start + 1, start + 2)
    assert [(change.key, change.item and change.item.value) for change in first.changes] == [("/a", b"2"), ("/b", b"1")]
    assert [(change.key, change.item and change.item.value) for change in second.changes] == [
        ("/a", None),
        ("/b", b"3"),
    ]


async def test_a_watched_item_is_the_item_that_a_read_shows(store: Store) -> None:
    await put(store, "/a", b"1")
    revision = await put(store, "/a", b"2")
    async with watching(store, "", revision - 1) as watch:
        (change,) = (await watch.next()).changes
    assert change.item == (await store.read("/a")).items["/a"]


async def test_a_watch_shows_what_others_commit_while_it_waits(engine: Engine) -> None:
    one, other = await engine.open(), await engine.open()
    async with watching(one, "/a", (await one.read("")).revision) as watch:
        next_keys = asyncio.create_task(watch.next_keys())
        await put(other, "/b")
        await put(other, "/a1")
        assert await next_keys == ["/a1"]
        await put(other, "/a2")
        assert await watch.next_keys() == ["/a2"]


async def test_a_watch_leaves_out_keys_and_revisions_that_are_not_under_its_prefix(store: Store) -> None:
    start = (await store.read("")).revision
    await put(store, "/b")
    await store.commit([], [Put("/a/1", b""), Put("/b", b"")])
    async with watching(store, "/a/", start) as watch:
        batch = await watch.next()
    assert (batch.revision, [change.key for change in batch.changes]) == (start + 2, ["/a/1"])


async def test_a_watch_from_a_snapshots_revision_misses_nothing_and_shows_nothing_twice(engine: Engine) -> None:
    reader, writer = await engine.open(), await engine.open()
    first = await put(writer, "/n", b"0")

    async def write() -> None:
        for number in range(1, 200):
            await put(writer, "/n", str(number).encode())
            await asyncio.sleep(0)

    async def follow(after: int) -> list[int]:
        revisions: list[int] = []
        async with watching(reader, "/n", after) as watch:
            while not revisions or revisions[-1] < first + 200:
                revisions.append((await watch.next()).revision)
        return revisions

    followers = [asyncio.create_task(follow(first))]
    writing = asyncio.create_task(write())
    for _ in range(5):
        # Each joins in the middle of it, from wherever the store stands then.
        followers.append(asyncio.create_task(follow((await reader.read("/n")).revision)))
        await asyncio.sleep(0)
    await writing
    await put(writer, "/n", b"the last")
    for revisions in await asyncio.gather(*followers):
        assert revisions == list(range(revisions[0], first + 201))
    assert followers[0].result()[0] == first + 1


async def test_a_watcher_that_does_not_listen_for_long_misses_nothing(store: Store) -> None:
    start = await put(store, "/a")
    async with watching(store, "/", start) as watch:
        await put(store, "/a")
        await watch.next()
        for _ in range(30):
            await asyncio.gather(*(put(store, f"/{number}") for number in range(50)))
        revisions = [(await watch.next()).revision for _ in range(1500)]
    assert revisions == list(range(start + 2, start + 1502))


async def test_a_key_that_was_changed_thrice_is_seen_thrice(store: Store) -> None:
    start = await put(store, "/a", b"0")
    for value in (b"1", b"2", b"3"):
        await put(store, "/a", value)
    async with watching(store, "/a", start) as watch:
        seen = [(await watch.next()).changes[0].item for _ in range(3)]
    assert [item and item.value for item in seen] == [b"1", b"2", b"3"]


async def test_two_watches_of_one_store_each_see_everything(store: Store) -> None:
    start = (await store.read("")).revision
    async with watching(store, "/", start) as one, watching(store, "/b", start) as other:
        await put(store, "/a")
        await put(store, "/b")
        assert [await one.next_keys(), await one.next_keys()] == [["/a"], ["/b"]]
        assert await other.next_keys() == ["/b"]


async def test_a_watch_from_a_later_revision_than_the_newest_waits_for_what_comes_after_it(store: Store) -> None:
    revision = await put(store, "/a")
    async with watching(store, "", revision + 2) as watch:
        coming = asyncio.create_task(watch.next())
        for _ in range(3):
            await put(store, "/a")
        assert (await coming).revision == revision + 3


async def test_a_watch_that_was_cancelled_leaves_the_store_usable(store: Store) -> None:
    revision = await put(store, "/a")
    async with watching(store, "", revision) as watch:
        waiting = asyncio.create_task(watch.next())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    async with watching(store, "", revision) as watch:
        await put(store, "/b")
        assert await watch.next_keys() == ["/b"]


# Compaction


async def test_a_watch_from_before_the_compacted_revision_is_told_so(store: Store) -> None:
    first = await put(store, "/a")
    for _ in range(3):
        newest = await put(store, "/a")
    await store.compact(newest)
    async with watching(store, "", first) as watch:
        with pytest.raises(Compacted):
            await watch.next()


async def test_history_from_the_compacted_revision_on_stays(store: Store) -> None:
    await put(store, "/a")
    await put(store, "/b")
    newest = await put(store, "/c")
    await store.compact(newest)
    async with watching(store, "", newest - 1) as watch:
        assert await watch.next_keys() == ["/c"]


async def test_compaction_leaves_the_keys_and_the_revision_alone(store: Store) -> None:
    await put(store, "/a")
    revision = await put(store, "/b")
    before = await store.read("")
    await store.compact(revision)
    await store.compact(revision - 1)
    assert await store.read("") == before


async def test_there_is_no_compacting_to_a_revision_that_is_yet_to_come(store: Store) -> None:
    with pytest.raises(BadInput):
        await store.compact((await store.read("")).revision + 1)


async def test_a_watch_that_has_caught_up_survives_a_compaction(store: Store) -> None:
    revision = await put(store, "/a")
    async with watching(store, "/quiet", revision) as watch, watching(store, "/a", revision) as witness:
        coming = asyncio.create_task(watch.next_keys())
        for _ in range(3):
            revision = await put(store, "/a")
            await witness.next()
            await asyncio.sleep(0)
        await store.compact(revision)
        await put(store, "/quiet")
        assert await coming == ["/quiet"]
