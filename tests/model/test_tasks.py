"""What is asked through the store: begun once whoever dies, passed on as it is read, gone with its asker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tenure.errors import Lost
from tenure.model import tasks
from tenure.model.charms import Charm
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.model.operations import deploy
from tenure.model.records import Machine, encode
from tenure.model.tasks import Asked, Stream, Task, asking
from tenure.model.view import ModelView, UnitView
from tenure.names import UnitName
from tenure.store.api import Delete, Put, Store
from tests.waiting import until_async

View = Callable[[], Awaitable[ModelView]]
W0 = UnitName("web", 0)
M0 = Machine(host="h", boot_id="b", identity="i", pid=1, socket="/s", state_dir="/d", started="now")


@pytest.fixture
async def unit(store: Store, layout: Layout, charm: Charm, view: View) -> UnitView:
    await store.commit([], [Put(layout.machine("m0"), encode(M0))])
    await deploy(store, layout, charm, to=["m0"])
    return (await view()).unit(W0)


@pytest.fixture
async def model(store: Store, layout: Layout, unit: UnitView) -> AsyncIterator[Mirror]:
    mirror = Mirror(store, layout.prefix)
    await mirror.start()
    yield mirror
    await mirror.close()


async def seen(view: View, store: Store, layout: Layout, by: str) -> Task:
    """The one request there is, as an agent's process sees it."""
    [(request_id, item)] = (await view()).unit(W0).request_items.items()
    return Task(store, layout, W0, request_id, item, by)


async def keys(store: Store) -> list[str]:
    return list((await store.read("/tenure.tasks/")).items)


class Follower:
    """An asker that follows, reading only while it may."""

    def __init__(self, asked: Asked, model: Mirror, patience_s: float | None = None) -> None:
        self.shown: list[tuple[Stream, bytes]] = []
        self.task = asyncio.ensure_future(asked.follow(model, self.show, patience_s))

    async def show(self, stream: Stream, data: bytes) -> None:
        self.shown.append((stream, data))


async def test_output_and_outcome_arrive_and_nothing_stays(
    store: Store, layout: Layout, view: View, unit: UnitView, model: Mirror
) -> None:
    async with asking(store, layout, unit, "exec", {"text": "true"}) as asked:
        follower = Follower(asked, model)
        task = await seen(view, store, layout, "agent")
        assert await task.begin() == "begun"
        assert await task.send([("stdout", b"one"), ("stderr", b"two")])
        await until_async(lambda: follower.shown)
        assert await task.send([("stdout", b"\xff")], {"code": 7})
        assert await follower.task == {"code": 7}
    assert follower.shown == [("stdout", b"one"), ("stderr", b"two"), ("stdout", b"\xff")]
    assert await keys(store) == []
    assert not (await view()).unit(W0).requests


async def test_one_process_begins_it_and_no_other_ever_does(
    store: Store, layout: Layout, view: View, unit: UnitView, model: Mirror
) -> None:
    async with asking(store, layout, unit, "exec", {}) as asked:
        follower = Follower(asked, model)
        dead, next_one = await seen(view, store, layout, "a"), await seen(view, store, layout, "b")
        assert await dead.begin() == "begun"
        assert await next_one.begin() == "taken"
        assert not await dead.end_taken({"code": 0}), "it is its own"
        assert await next_one.end_taken({"code": None, "ended": "unknown"})
        assert await follower.task == {"code": None, "ended": "unknown"}
        assert not await dead.send([("stdout", b"late")], {"code": 0}), "the dead one's word comes too late"


async def test_what_is_not_asked_any_more_is_not_begun(
    store: Store, layout: Layout, view: View, unit: UnitView
) -> None:
    async with asking(store, layout, unit, "exec", {}):
        task = await seen(view, store, layout, "agent")
    assert await task.begin() == "gone"
    assert not await task.send([("stdout", b"x")])
    assert await keys(store) == []


async def test_a_lost_agent_had_it_or_never_has(
    store: Store, layout: Layout, view: View, unit: UnitView, model: Mirror
) -> None:
    for begun, says in ((False, "nothing was run"), (True, "the outcome is unknown")):
        await store.commit([], [Put(layout.machine("m0"), encode(M0))])
        await model.wait_until(lambda snapshot: snapshot.get(layout.machine("m0")) is not None)
        async with asking(store, layout, unit, "exec", {}) as asked:
            follower = Follower(asked, model)
            task = await seen(view, store, layout, "agent")
            if begun:
                assert await task.begin() == "begun"
            await store.commit([], [Delete(layout.machine("m0"))])
            with pytest.raises(Lost, match=f"the agent of m0 is lost: {says}"):
                await follower.task
            if not begun:
                assert await task.begin() == "gone", "it was taken back before anything was said"


async def test_an_agent_that_does_not_answer_is_waited_for_so_long(
    store: Store, layout: Layout, view: View, unit: UnitView, model: Mirror
) -> None:
    async with asking(store, layout, unit, "exec", {}) as asked:
        with pytest.raises(Lost, match=r"not answered within 0\.05 s: nothing was run"):
            await Follower(asked, model, 0.05).task


async def test_an_agent_waits_for_a_reader_that_is_slow(
    store: Store, layout: Layout, view: View, unit: UnitView, model: Mirror
) -> None:
    async with asking(store, layout, unit, "exec", {}) as asked:
        task = await seen(view, store, layout, "agent")
        assert await task.begin() == "begun"
        for number in range(tasks.CHUNKS_WAITING + 1):
            await task.room()
            await task.send([("stdout", b"%d" % number)])
        waiting = asyncio.ensure_future(task.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        follower = Follower(asked, model)
        await asyncio.wait_for(waiting, 10)
        await until_async(lambda: len(follower.shown) == tasks.CHUNKS_WAITING + 1)
        follower.task.cancel()
    await task.close()


async def test_an_agent_that_waits_for_a_reader_learns_that_it_went(
    store: Store, layout: Layout, view: View, unit: UnitView
) -> None:
    async with asking(store, layout, unit, "exec", {}):
        task = await seen(view, store, layout, "agent")
        for _ in range(tasks.CHUNKS_WAITING + 1):
            await task.send([("stdout", b"x")])
        waiting = asyncio.ensure_future(task.room())
        await asyncio.sleep(0)
    await asyncio.wait_for(waiting, 10)
    assert not await task.send([("stdout", b"x")])
    await task.close()
