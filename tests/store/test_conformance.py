"""The rules of `store/api.py` on keys, revisions and transactions, each a test, for every engine."""

from __future__ import annotations

import asyncio

import pytest

from tenure.defaults import VALUE_MAX
from tenure.errors import BadInput, StoreUnreachable
from tenure.store.api import (
    Committed,
    Compare,
    Delete,
    DeletePrefix,
    Put,
    Refused,
    Store,
    absent,
    created_at,
    has_value,
    modified_at,
)
from tests.store.engines import LIMIT_S, Engine, keys, put, watching

# Keys and snapshots


async def test_what_was_put_is_read(store: Store) -> None:
    revision = await put(store, "/a", b"\0\xff value")
    snapshot = await store.read("/a")
    item = snapshot.items["/a"]
    assert (item.key, item.value, item.lease, item.version) == ("/a", b"\0\xff value", 0, 1)
    assert item.create_revision == item.mod_revision == revision == snapshot.revision


async def test_a_key_that_is_put_again_keeps_its_create_revision_and_counts_its_version(store: Store) -> None:
    first, second = await put(store, "/a", b"1"), await put(store, "/a", b"2")
    item = (await store.read("/a")).items["/a"]
    assert (item.value, item.create_revision, item.mod_revision, item.version) == (b"2", first, second, 2)


async def test_a_key_that_was_deleted_and_put_again_is_a_new_one(store: Store) -> None:
    await put(store, "/a")
    await store.commit([], [Delete("/a")])
    again = await put(store, "/a")
    item = (await store.read("/a")).items["/a"]
    assert (item.create_revision, item.version) == (again, 1)


async def test_a_snapshot_holds_the_prefix_and_nothing_else_in_the_keys_order(store: Store) -> None:
    for key in ("/b/z", "/a", "/b", "/b/a", "/b0", "/b/ä", "/b/\U0001f600", "/b/\uffee"):
        await put(store, key)
    assert await keys(store, "/b/") == ["/b/a", "/b/z", "/b/ä", "/b/\uffee", "/b/\U0001f600"]
    assert await keys(store, "/b/\U0001f600") == ["/b/\U0001f600"]
    assert await keys(store, "/c") == []


async def test_an_empty_prefix_is_every_key(store: Store) -> None:
    await put(store, "x")
    await put(store, "\U0010ffff\U0010ffff")
    assert await keys(store) == ["x", "\U0010ffff\U0010ffff"]


async def test_a_value_may_be_empty_and_as_long_as_the_limit(store: Store) -> None:
    await put(store, "/empty", b"")
    await put(store, "/long", b"x" * VALUE_MAX)
    items = (await store.read("/")).items
    assert items["/empty"].value == b""
    assert len(items["/long"].value) == VALUE_MAX


# Revisions


async def test_each_commit_that_changes_something_is_the_next_revision(store: Store) -> None:
    first = await put(store, "/a")
    assert await put(store, "/a") == first + 1
    assert await store.commit([], [Delete("/a")]) == Committed(first + 2)


async def test_a_transaction_is_one_revision_for_all_that_it_writes(store: Store) -> None:
    outcome = await store.commit([], [Put("/a", b""), Put("/b", b"")])
    assert {item.mod_revision for item in (await store.read("/")).items.values()} == {outcome.revision}


@pytest.mark.parametrize("writes", [[], [Delete("/none")], [DeletePrefix("/none")]], ids=str)
async def test_a_commit_that_changes_nothing_is_no_revision(store: Store, writes: list) -> None:
    revision = await put(store, "/a")
    assert await store.commit([], writes) == Committed(revision)
    assert (await store.read("")).revision == revision


async def test_a_put_of_the_same_value_is_a_revision_too(store: Store) -> None:
    assert await put(store, "/a", b"1") + 1 == await put(store, "/a", b"1")


# Comparisons


async def test_a_transaction_whose_comparisons_hold_lands(store: Store) -> None:
    first, second = await put(store, "/a", b"1"), await put(store, "/a", b"2")
    when = [created_at("/a", first), modified_at("/a", second), has_value("/a", b"2"), absent("/b")]
    assert await store.commit(when, [Put("/b", b"")]) == Committed(second + 1)


@pytest.mark.parametrize(
    "compare",
    [
        absent("/a"),
        modified_at("/a", 0),
        Compare("/a", mod_revision=10_000),
        Compare("/a", create_revision=10_000),
        has_value("/a", b"other"),
        has_value("/b", b""),
        created_at("/b", 10_000),
        Compare("/a", value=b"1", mod_revision=10_000),
    ],
    ids=str,
)
async def test_a_comparison_that_does_not_hold_refuses_the_whole_transaction(store: Store, compare: Compare) -> None:
    revision = await put(store, "/a", b"1")
    outcome = await store.commit([absent("/none"), compare], [Put("/c", b"")])
    assert isinstance(outcome, Refused)
    assert outcome.revision == revision
    assert await keys(store) == ["/a"]


async def test_a_refusal_shows_the_compared_keys_as_they_stood(store: Store) -> None:
    await put(store, "/a", b"1")
    before = (await store.read("/a")).items["/a"]
    outcome = await store.commit([absent("/a"), absent("/b")], [], [Put("/a", b"2")])
    assert isinstance(outcome, Refused)
    assert outcome.current == {"/a": before, "/b": None}


async def test_otherwise_lands_when_a_comparison_does_not_hold(store: Store) -> None:
    revision = await put(store, "/a", b"1")
    outcome = await store.commit([absent("/a")], [Put("/then", b"")], [Put("/otherwise", b"")])
    assert isinstance(outcome, Refused)
    assert outcome.revision == revision + 1
    assert await keys(store) == ["/a", "/otherwise"]


async def test_of_two_that_compare_the_same_revision_one_lands(engine: Engine) -> None:
    one, other = await engine.open(), await engine.open()
    revision = await put(one, "/a")
    writes = [store.commit([modified_at("/a", revision)], [Put("/a", b"x")]) for store in (one, other) * 5]
    outcomes = await asyncio.gather(*writes)
    assert sum(isinstance(outcome, Committed) for outcome in outcomes) == 1


async def test_a_read_sees_every_commit_that_was_answered_before_it(engine: Engine) -> None:
    one, other = await engine.open(), await engine.open()
    for _ in range(20):
        revision = await put(one, "/a")
        assert (await other.read("/a")).revision == revision


# What is deleted


async def test_a_prefix_is_deleted_in_one_revision(store: Store) -> None:
    for key in ("/a", "/b/1", "/b/2", "/b0"):
        revision = await put(store, key)
    assert await store.commit([], [DeletePrefix("/b/")]) == Committed(revision + 1)
    assert await keys(store) == ["/a", "/b0"]


# Bad input


@pytest.mark.parametrize(
    "writes",
    [
        [Put("/a", b"1"), Put("/a", b"2")],
        [Put("/a", b"1"), Delete("/a")],
        [Delete("/a/b"), DeletePrefix("/a/")],
        [DeletePrefix("/a/"), DeletePrefix("/a/b/")],
        [Put("", b"")],
        [Put("/nul\0", b"")],
        [Put("/surrogate\ud800", b"")],
        [Put("/" + "k" * 1024, b"")],
        [DeletePrefix("")],
        [Put("/a", b"x" * (VALUE_MAX + 1))],
        [Put(f"/{number}", b"") for number in range(129)],
        [Put(f"/{number}", b"x" * VALUE_MAX) for number in range(3)],
    ],
    ids=lambda writes: str(writes)[:40].encode("ascii", "replace").decode(),
)
async def test_a_transaction_beyond_the_limits_is_bad_input_and_changes_nothing(store: Store, writes: list) -> None:
    with pytest.raises(BadInput):
        await store.commit([], writes, [])
    with pytest.raises(BadInput):
        await store.commit([], [], writes)
    assert await keys(store) == []


async def test_a_key_of_no_text_can_be_neither_read_nor_watched_nor_compared(store: Store) -> None:
    with pytest.raises(BadInput):
        await store.read("\ud800")
    with pytest.raises(BadInput):
        await anext(store.watch("\0", 0))
    with pytest.raises(BadInput):
        await store.commit([absent("")], [])


# Closing and cancelling


async def test_a_closed_store_says_so(engine: Engine) -> None:
    store = await engine.open()
    await store.close()
    await store.close()
    with pytest.raises(StoreUnreachable):
        await store.read("")
    with pytest.raises(StoreUnreachable):
        await put(store, "/a")


async def test_closing_ends_the_watches(engine: Engine) -> None:
    store = await engine.open()
    async with watching(store, "", (await store.read("")).revision) as watch:
        coming = asyncio.create_task(watch.next())
        await asyncio.sleep(0)
        await store.close()
        with pytest.raises(StoreUnreachable):
            await asyncio.wait_for(coming, LIMIT_S)


async def test_keys_and_leases_outlive_the_connection_that_made_them(engine: Engine) -> None:
    one, other = await engine.open(), await engine.open()
    granted = await one.grant(10)
    await put(one, "/a", lease=granted.lease)
    await one.close()
    engine.stores.remove(one)
    assert await keys(other) == ["/a"]
    assert (await other.renew(granted.lease)).ttl_s == granted.ttl_s


async def test_a_cancelled_commit_lands_whole_or_not_at_all(engine: Engine) -> None:
    store = await engine.open()
    for number in range(30):
        commit = asyncio.create_task(store.commit([], [Put(f"/{number}/a", b""), Put(f"/{number}/b", b"")]))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        commit.cancel()
        await asyncio.wait([commit])
        assert len(await keys(store, f"/{number}/")) in {0, 2}


async def test_the_url_is_what_it_was_opened_with(engine: Engine) -> None:
    assert (await engine.open()).url == engine.url
