"""A machine's name: one agent at a time speaks for it, and a forerunner of the same folder is taken over."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tenure.agent.registration import Registration
from tenure.alarm import Alarm
from tenure.clock import KernelClock
from tenure.errors import No
from tenure.model.records import Machine, decode
from tenure.office.driver import Desk, Timing
from tenure.store import open_store
from tenure.store.api import Store

KEY = "/m/machines/m0"
COUNTER = itertools.count()


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = await open_store(f"memory://registration-{next(COUNTER)}")
    yield store
    await store.close()


@pytest.fixture
async def desks(store: Store, tmp_path: Path) -> AsyncIterator[list[Desk]]:
    clock = KernelClock()
    alarms = [Alarm(clock), Alarm(clock)]
    desks = [
        Desk(store, clock, alarm, tmp_path / name, "m0", "boot", lambda *_, **__: None)
        for alarm, name in zip(alarms, ("one", "two"), strict=True)
    ]
    yield desks
    for desk in desks:
        await desk.close(hand_over=True)
    for alarm in alarms:
        alarm.close()


async def registration(store: Store, desk: Desk, identity: str, pid: int = 7) -> Registration:
    session = await desk.session("machine", Timing.for_lease(20))
    record = Machine(
        host="here", boot_id="boot", identity=identity, pid=pid, socket="/s", state_dir=f"/state/{identity}", started=""
    )
    return Registration(store, session, "m0", KEY, record)


async def owner(store: Store) -> Machine:
    item = (await store.read(KEY)).items[KEY]
    assert item.lease
    return decode(Machine, item.value, KEY)


async def test_the_first_has_the_name_and_the_second_is_told_whose_it_is(store: Store, desks: list[Desk]) -> None:
    await (await registration(store, desks[0], "a", pid=41)).claim()
    with pytest.raises(No, match='machine "m0" has an agent already: process 41 on here'):
        await (await registration(store, desks[1], "b")).claim()
    assert (await owner(store)).identity == "a"


async def test_a_forerunner_of_the_same_folder_is_taken_over(store: Store, desks: list[Desk]) -> None:
    await (await registration(store, desks[0], "a", pid=41)).claim()
    await (await registration(store, desks[1], "a", pid=42)).claim()
    assert (await owner(store)).pid == 42


async def test_the_name_is_claimed_again_with_a_new_lease(store: Store, desks: list[Desk]) -> None:
    first = await registration(store, desks[0], "a")
    await first.claim()
    session = await desks[0].session("machine", Timing.for_lease(20))
    old = session.lease
    lost: list[No] = []
    keeping = asyncio.create_task(first.keep(lost.append))
    assert old is not None
    await store.revoke(old)
    session.lease_gone(old)
    async with asyncio.timeout(10):
        async for batch in store.watch("/m/machines/", 0):
            if any(change.item and change.item.lease not in (0, old) for change in batch.changes):
                break
    assert lost == []
    keeping.cancel()


async def test_who_finds_the_name_taken_meanwhile_is_told(store: Store, desks: list[Desk]) -> None:
    first = await registration(store, desks[0], "a")
    await first.claim()
    session = await desks[0].session("machine", Timing.for_lease(20))
    assert session.lease is not None
    await store.revoke(session.lease)
    await (await registration(store, desks[1], "b")).claim()
    taken: asyncio.Future[No] = asyncio.get_running_loop().create_future()
    keeping = asyncio.create_task(first.keep(taken.set_result))
    session.lease_gone(session.lease)
    async with asyncio.timeout(10):
        assert "has an agent already" in (await taken).message
    assert (await owner(store)).identity == "b"
    await keeping
