"""What a unit says is written at once for its charm, and coalesced for its agent: every write wakes every watcher."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import AsyncIterator

import pytest

from tenure.agent import status as status_module
from tenure.agent.status import StatusWriter
from tenure.errors import NoSuchThing, StoreUnreachable
from tenure.model.records import UnitStatus, decode
from tenure.store import open_store
from tenure.store.api import Committed, Delete, Put, Store, created_at
from tests.waiting import until_async

KEY, INFO = "/m/status", "/m/info"
COUNTER = itertools.count()


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = await open_store(f"memory://status-writer-{next(COUNTER)}")
    yield store
    await store.close()


async def writer(store: Store) -> StatusWriter:
    made = await store.commit([], [Put(INFO, b"{}")])
    assert isinstance(made, Committed)
    return StatusWriter(store, KEY, created_at(INFO, made.revision), None, None)


async def said(store: Store) -> UnitStatus | None:
    item = (await store.read(KEY)).items.get(KEY)
    return decode(UnitStatus, item.value, KEY) if item else None


async def written(store: Store) -> int:
    item = (await store.read(KEY)).items.get(KEY)
    return item.version if item else 0


async def wait_for(store: Store, agent: str) -> UnitStatus:
    async with asyncio.timeout(10):
        async for batch in store.watch(KEY, 0):
            for change in batch.changes:
                if change.item and decode(UnitStatus, change.item.value, KEY).agent.status == agent:
                    return decode(UnitStatus, change.item.value, KEY)
    raise AssertionError


async def test_what_the_charm_says_is_in_the_store_when_the_call_returns(store: Store) -> None:
    statuses = await writer(store)
    await statuses.set_workload("active", "ready")
    shown = await said(store)
    assert shown is not None
    assert (shown.workload.status, shown.workload.message) == ("active", "ready")
    assert statuses.charm_has_spoken
    await statuses.close()


async def test_a_short_hook_leaves_no_trace(store: Store) -> None:
    statuses = await writer(store)
    statuses.agent_is("idle")
    await wait_for(store, "idle")
    before = await written(store)
    for _ in range(5):
        statuses.agent_is("executing", "running start hook")
        statuses.agent_is("idle")
    await statuses.close()
    assert await written(store) == before


async def test_a_hook_that_lasts_is_seen_and_its_end_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_module, "EXECUTING_AFTER_S", 0.02)
    statuses = await writer(store)
    statuses.agent_is("executing", "running install hook")
    assert (await wait_for(store, "executing")).agent.message == "running install hook"
    statuses.agent_is("idle")
    await wait_for(store, "idle")
    await statuses.close()


async def test_of_what_the_agent_says_in_a_moment_the_last_is_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_module, "EXECUTING_AFTER_S", 0.05)
    statuses = await writer(store)
    statuses.workload_is("maintenance", "installing charm software")
    statuses.agent_is("executing", "running install hook")
    statuses.agent_is("executing", "running start hook")
    shown = await wait_for(store, "executing")
    assert shown.agent.message == "running start hook"
    assert shown.workload.message == "installing charm software"
    assert await written(store) == 1
    assert not statuses.charm_has_spoken
    await statuses.close()


async def test_a_unit_that_is_gone_says_nothing_any_more(store: Store) -> None:
    statuses = await writer(store)
    await store.commit([], [Delete(INFO)])
    with pytest.raises(NoSuchThing):
        await statuses.set_workload("active", "ready")
    assert await said(store) is None
    assert statuses.workload().status == "waiting", "it counts as not said"
    await statuses.close()


async def test_a_restarted_agent_goes_on_from_what_its_forerunner_wrote(store: Store) -> None:
    first = await writer(store)
    await first.set_workload("active", "ready")
    await first.close()
    item = (await store.read(KEY)).items[KEY]
    info = (await store.read(INFO)).items[INFO]
    second = StatusWriter(store, KEY, created_at(INFO, info.create_revision), item, decode(UnitStatus, item.value, KEY))
    assert second.workload().message == "ready"
    second.agent_is("idle")
    await until_async(lambda: second.current.agent.status == "idle")
    assert (await wait_for(store, "idle")).workload.message == "ready"
    await second.close()


async def test_a_write_that_fails_after_a_later_word_has_taken_its_place_is_no_error_of_its_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = await writer(store)
    unheard: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    asked, answer = asyncio.Event(), asyncio.Event()
    commit = store.commit

    async def silent(*arguments: object) -> object:
        asked.set()
        await answer.wait()
        monkeypatch.setattr(store, "commit", commit)
        raise StoreUnreachable("silent")

    monkeypatch.setattr(store, "commit", silent)
    statuses.agent_is("idle")
    await asked.wait()
    statuses.agent_is("error", "hook failed")
    await asyncio.sleep(0)
    answer.set()
    await wait_for(store, "error")
    gc.collect()
    await asyncio.sleep(0)
    assert unheard == []
