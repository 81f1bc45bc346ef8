"""The rules of `store/api.py`, each a test, for every engine."""

from __future__ import annotations

import asyncio

import pytest

from tenure.defaults import VALUE_MAX
from tenure.errors import BadInput, Compacted, LeaseLost, StoreUnreachable
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
from tests.store.engines import LIMIT_S, Engine, watching

TTL_S = 10


async def put(store: Store, key: str, value: bytes = b"", lease: int = 0) -> int:
    outcome = await store.commit([], [Put(key, value, lease)])
    assert isinstance(outcome, Committed)
    return outcome.revision


async def keys(store: Store, prefix: str = "") -> list[str]:
    return list((await store.read(prefix)).items)


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


# Watches


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
        await store.compact(revision)
        await put(store, "/quiet")
        assert await coming == ["/quiet"]


# Leases


async def test_a_lease_is_granted_for_at_least_what_was_asked(store: Store) -> None:
    granted = await store.grant(TTL_S)
    assert granted.lease > 0
    assert granted.ttl_s >= TTL_S


async def test_two_leases_never_have_one_number(store: Store, engine: Engine) -> None:
    first = await store.grant(TTL_S)
    await store.revoke(first.lease)
    second = await (await engine.open()).grant(TTL_S)
    assert first.lease != second.lease


async def test_a_lease_of_a_length_that_cannot_be_had_is_bad_input(store: Store) -> None:
    for ttl_s in (store.traits.least_ttl_s - 1, store.traits.most_ttl_s + 1, -1):
        with pytest.raises(BadInput):
            await store.grant(ttl_s)


async def test_a_key_is_there_until_its_lease_ends_and_gone_thereafter(store: Store, engine: Engine) -> None:
    granted = await store.grant(TTL_S)
    await put(store, "/a", lease=granted.lease)
    await engine.passes(granted.ttl_s - 0.001)
    assert await keys(store) == ["/a"]
    await engine.passes(0.001)
    assert await keys(store) == []


async def test_a_leases_keys_go_in_one_revision_that_watchers_see(engine: Engine) -> None:
    one, other = await engine.open(), await engine.open()
    granted = await one.grant(TTL_S)
    await put(one, "/b", lease=granted.lease)
    revision = await put(one, "/a", lease=granted.lease)
    async with watching(other, "/", revision) as watch:
        await engine.passes(granted.ttl_s)
        batch = await watch.next()
    assert batch.revision == revision + 1
    assert [(change.key, change.item) for change in batch.changes] == [("/a", None), ("/b", None)]


async def test_two_leases_that_end_are_two_revisions_the_earlier_end_first(store: Store, engine: Engine) -> None:
    long, short = await store.grant(TTL_S + 1), await store.grant(TTL_S)
    await put(store, "/long", lease=long.lease)
    revision = await put(store, "/short", lease=short.lease)
    async with watching(store, "", revision) as watch:
        await engine.passes(TTL_S + 5)
        assert [await watch.next_keys(), await watch.next_keys()] == [["/short"], ["/long"]]


async def test_a_lease_without_keys_ends_without_a_revision(store: Store, engine: Engine) -> None:
    revision = await put(store, "/a")
    granted = await store.grant(TTL_S)
    await engine.passes(granted.ttl_s)
    await store.revoke((await store.grant(TTL_S)).lease)
    assert (await store.read("")).revision == revision


async def test_a_renewed_lease_begins_anew(store: Store, engine: Engine) -> None:
    granted = await store.grant(TTL_S)
    await put(store, "/a", lease=granted.lease)
    await engine.passes(TTL_S - 1)
    assert await store.renew(granted.lease) == granted.ttl_s
    await engine.passes(TTL_S - 0.001)
    assert await keys(store) == ["/a"]
    await engine.passes(0.001)
    assert await keys(store) == []


async def test_any_connection_may_renew_a_lease(engine: Engine) -> None:
    one, other = await engine.open(), await engine.open()
    granted = await one.grant(TTL_S)
    await engine.passes(TTL_S - 1)
    await other.renew(granted.lease)
    await engine.passes(TTL_S - 1)
    await one.renew(granted.lease)


async def test_a_lease_that_is_due_cannot_be_renewed_also_when_nobody_has_noticed_its_end(engine: Engine) -> None:
    store = await engine.open()
    granted = await store.grant(TTL_S)
    await put(store, "/a", lease=granted.lease)
    engine.time.advance(granted.ttl_s)
    with pytest.raises(LeaseLost):
        await store.renew(granted.lease)
    assert await keys(store) == []


async def test_a_lease_that_is_gone_can_neither_be_renewed_nor_put_with(store: Store) -> None:
    granted = await store.grant(TTL_S)
    await store.revoke(granted.lease)
    with pytest.raises(LeaseLost):
        await store.renew(granted.lease)
    for branches in (
        ([], [Put("/a", b""), Put("/b", b"", granted.lease)]),
        ([absent("/c")], [Put("/b", b"", 999_999)]),
    ):
        with pytest.raises(LeaseLost):
            await store.commit(*branches)
    assert await keys(store) == []


async def test_a_lost_lease_in_the_branch_that_is_not_taken_does_not_matter(store: Store) -> None:
    assert isinstance(await store.commit([], [Put("/a", b"")], [Put("/b", b"", 999_999)]), Committed)


async def test_revoking_ends_the_keys_at_once_and_again_does_nothing(store: Store) -> None:
    granted = await store.grant(TTL_S)
    revision = await put(store, "/a", lease=granted.lease)
    await store.revoke(granted.lease)
    await store.revoke(granted.lease)
    await store.revoke(999_999)
    snapshot = await store.read("")
    assert (snapshot.revision, dict(snapshot.items)) == (revision + 1, {})


async def test_revoking_no_lease_leaves_keys_without_one_alone(store: Store) -> None:
    await put(store, "/a")
    await store.revoke(0)
    assert await keys(store) == ["/a"]


async def test_a_put_without_a_lease_detaches_the_key(store: Store) -> None:
    granted = await store.grant(TTL_S)
    await put(store, "/a", lease=granted.lease)
    await put(store, "/a")
    await store.revoke(granted.lease)
    assert await keys(store) == ["/a"]


async def test_a_put_with_another_lease_moves_the_key_to_it(store: Store) -> None:
    first, second = await store.grant(TTL_S), await store.grant(TTL_S)
    await put(store, "/a", lease=first.lease)
    await put(store, "/a", lease=second.lease)
    await store.revoke(first.lease)
    assert (await store.read("/a")).items["/a"].lease == second.lease
    await store.revoke(second.lease)
    assert await keys(store) == []


async def test_a_key_that_is_put_again_after_its_leases_end_does_not_belong_to_it(store: Store, engine: Engine) -> None:
    granted = await store.grant(TTL_S)
    await put(store, "/a", lease=granted.lease)
    await engine.passes(granted.ttl_s)
    revision = await put(store, "/a")
    item = (await store.read("/a")).items["/a"]
    assert (item.create_revision, item.lease) == (revision, 0)


async def test_a_lease_ends_by_the_stores_own_alarm_when_nobody_calls(engine: Engine) -> None:
    granter, watcher = await engine.open(), await engine.open()
    granted = await granter.grant(TTL_S)
    revision = await put(granter, "/a", lease=granted.lease)
    async with watching(watcher, "", revision) as watch:
        coming = asyncio.create_task(watch.next_keys())
        await asyncio.sleep(0)
        engine.time.advance(granted.ttl_s)
        assert await coming == ["/a"]


async def test_a_shorter_lease_that_is_granted_later_ends_first_by_the_alarm(engine: Engine) -> None:
    store = await engine.open()
    await store.grant(TTL_S * 2)
    granted = await store.grant(TTL_S)
    revision = await put(store, "/a", lease=granted.lease)
    async with watching(store, "", revision) as watch:
        coming = asyncio.create_task(watch.next_keys())
        await asyncio.sleep(0)
        engine.time.advance(granted.ttl_s)
        assert await coming == ["/a"]


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
    async with watching(store, "", 0) as watch:
        coming = asyncio.create_task(watch.next())
        await asyncio.sleep(0)
        await store.close()
        with pytest.raises(StoreUnreachable):
            await asyncio.wait_for(coming, LIMIT_S)


async def test_keys_and_leases_outlive_the_connection_that_made_them(engine: Engine) -> None:
    one, other = await engine.open(), await engine.open()
    granted = await one.grant(TTL_S)
    await put(one, "/a", lease=granted.lease)
    await one.close()
    engine.stores.remove(one)  # type: ignore[arg-type]
    assert await keys(other) == ["/a"]
    assert await other.renew(granted.lease) == granted.ttl_s


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
