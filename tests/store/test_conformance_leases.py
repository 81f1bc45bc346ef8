"""The rules of `store/api.py` on leases, each a test, for every engine."""

from __future__ import annotations

import asyncio

import pytest

from tenure.errors import BadInput, LeaseLost
from tenure.store.api import (
    Committed,
    Put,
    Store,
    absent,
)
from tests.store.engines import Engine, keys, put, settled, watching

TTL_S = 10


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
    granted = await store.grant(engine.ttl_s)
    await put(store, "/a", lease=granted.lease)
    await engine.passes(granted.ttl_s - engine.moment_s)
    assert await keys(store) == ["/a"]
    await engine.passes(engine.moment_s)
    assert await keys(store) == []


async def test_a_leases_keys_go_in_one_revision_that_watchers_see(engine: Engine) -> None:
    one, other = await engine.open(), await engine.open()
    granted = await one.grant(engine.ttl_s)
    await put(one, "/b", lease=granted.lease)
    revision = await put(one, "/a", lease=granted.lease)
    async with watching(other, "/", revision) as watch:
        await engine.passes(granted.ttl_s)
        batch = await watch.next()
    assert batch.revision == revision + 1
    assert [(change.key, change.item) for change in batch.changes] == [("/a", None), ("/b", None)]


async def test_two_leases_that_end_are_two_revisions_the_earlier_end_first(store: Store, engine: Engine) -> None:
    long, short = await store.grant(engine.ttl_s + 1), await store.grant(engine.ttl_s)
    await put(store, "/long", lease=long.lease)
    revision = await put(store, "/short", lease=short.lease)
    async with watching(store, "", revision) as watch:
        await engine.passes(engine.ttl_s + 1)
        assert [await watch.next_keys(), await watch.next_keys()] == [["/short"], ["/long"]]


async def test_a_lease_without_keys_ends_without_a_revision(store: Store, engine: Engine) -> None:
    revision = await put(store, "/a")
    granted = await store.grant(engine.ttl_s)
    await engine.passes(granted.ttl_s)
    await store.revoke((await store.grant(engine.ttl_s)).lease)
    assert (await store.read("")).revision == revision


async def test_a_renewed_lease_begins_anew(store: Store, engine: Engine) -> None:
    granted = await store.grant(engine.ttl_s)
    await put(store, "/a", lease=granted.lease)
    await engine.passes(granted.ttl_s - engine.moment_s)
    assert (await store.renew(granted.lease)).ttl_s == granted.ttl_s
    await engine.passes(granted.ttl_s - engine.moment_s)
    assert await keys(store) == ["/a"]
    await engine.passes(engine.moment_s)
    assert await keys(store) == []


async def test_any_connection_may_renew_a_lease(engine: Engine) -> None:
    one, other = await engine.open(), await engine.open()
    granted = await one.grant(engine.ttl_s)
    await engine.passes(granted.ttl_s - engine.moment_s)
    await other.renew(granted.lease)
    await engine.passes(granted.ttl_s - engine.moment_s)
    await one.renew(granted.lease)


async def test_a_lease_that_is_due_cannot_be_renewed_also_when_nobody_has_noticed_its_end(engine: Engine) -> None:
    store = await engine.open()
    granted = await store.grant(engine.ttl_s)
    await put(store, "/a", lease=granted.lease)
    await engine.time_comes(granted.ttl_s)
    with pytest.raises(LeaseLost):
        await settled(lambda: store.renew(granted.lease))
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
    granted = await store.grant(engine.ttl_s)
    await put(store, "/a", lease=granted.lease)
    await engine.passes(granted.ttl_s)
    revision = await put(store, "/a")
    item = (await store.read("/a")).items["/a"]
    assert (item.create_revision, item.lease) == (revision, 0)


async def test_a_lease_ends_by_the_stores_own_alarm_when_nobody_calls(engine: Engine) -> None:
    granter, watcher = await engine.open(), await engine.open()
    granted = await granter.grant(engine.ttl_s)
    revision = await put(granter, "/a", lease=granted.lease)
    async with watching(watcher, "", revision) as watch:
        coming = asyncio.create_task(watch.next_keys())
        await asyncio.sleep(0)
        await engine.time_comes(granted.ttl_s)
        assert await coming == ["/a"]


async def test_a_shorter_lease_that_is_granted_later_ends_first_by_the_alarm(engine: Engine) -> None:
    store = await engine.open()
    await store.grant(engine.ttl_s * 2)
    granted = await store.grant(engine.ttl_s)
    revision = await put(store, "/a", lease=granted.lease)
    async with watching(store, "", revision) as watch:
        coming = asyncio.create_task(watch.next_keys())
        await asyncio.sleep(0)
        await engine.time_comes(granted.ttl_s)
        assert await coming == ["/a"]
