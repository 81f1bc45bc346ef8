"""A change lands on top of the key as it stands, under its guards, once."""

from __future__ import annotations

import pytest

from tenure.errors import StoreBroken
from tenure.model.changes import GuardBroken, change_records
from tenure.model.records import Settings, decode, encode
from tenure.store.api import Item, Put, Refused, Store, modified_at

KEY = "/k"


async def test_a_guard_that_does_not_hold_is_named_and_nothing_lands(store: Store) -> None:
    good, bad = modified_at("/absent", 0), modified_at("/holder", 77)
    with pytest.raises(GuardBroken) as raised:
        await change_records(store, [good, bad], {KEY: lambda item, commit_id: b"{}"}, {})
    assert raised.value.guard is bad
    assert (await store.read(KEY)).items == {}


async def test_a_change_is_made_again_on_top_of_what_stands_there(store: Store) -> None:
    await store.commit([], [Put(KEY, encode(Settings(values={"a": "1"})))])
    seen: list[Item | None] = []

    def make(item: Item | None, commit_id: str) -> bytes:
        seen.append(item)
        return encode(Settings(values={"seen": str(len(seen))}, id=commit_id))

    landed = await change_records(store, [], {KEY: make}, {KEY: None})
    assert [item is None for item in seen] == [True, False]
    item = (await store.read(KEY)).items[KEY]
    assert landed.changed
    assert landed.items == {KEY: item}
    assert landed.revision == item.mod_revision


async def test_what_changes_nothing_is_compared_all_the_same(store: Store) -> None:
    await store.commit([], [Put(KEY, b"{}")])
    old = (await store.read(KEY)).items[KEY]
    await store.commit([], [Put(KEY, b'{"a":1}')])
    seen: list[bytes] = []

    def make(item: Item | None, commit_id: str) -> bytes | None:
        assert item is not None
        seen.append(item.value)
        return None

    landed = await change_records(store, [], {KEY: make}, {KEY: old})
    assert seen == [b"{}", b'{"a":1}']
    assert not landed.changed
    assert landed.items[KEY] == (await store.read(KEY)).items[KEY]


async def test_a_copy_that_arrives_late_is_refused(store: Store) -> None:
    await change_records(store, [], {KEY: lambda item, commit_id: b"{}"}, {})
    assert isinstance(await store.commit([modified_at(KEY, 0)], [Put(KEY, b"late")]), Refused)


async def test_a_key_that_holds_no_record_is_for_the_change_to_complain_about(store: Store) -> None:
    await store.commit([], [Put(KEY, b"rubbish")])

    def make(item: Item | None, commit_id: str) -> bytes:
        return b"{}" if item is None else encode(decode(Settings, item.value, KEY))

    with pytest.raises(StoreBroken, match=KEY):
        await change_records(store, [], {KEY: make}, {})
