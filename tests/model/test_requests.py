"""What is asked of an agent through the store is answered once, and the asker learns of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tenure.errors import No
from tenure.model import requests
from tenure.model.charms import Charm
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.model.operations import deploy
from tenure.model.removal import remove_units
from tenure.model.view import ModelView
from tenure.names import UnitName
from tenure.store.api import Store

View = Callable[[], Awaitable[ModelView]]
W0, W1 = UnitName("web", 0), UnitName("web", 1)


async def test_the_asker_waits_for_the_answer(store: Store, layout: Layout, charm: Charm, view: View) -> None:
    await deploy(store, layout, charm, units=2)
    asked = await requests.ask(store, await view(), W1, "transfer", {"now": False})
    mirror = Mirror(store, layout.prefix)
    await mirror.start()
    waiting = asyncio.create_task(requests.wait_answer(mirror, layout, W1, asked))
    [(unit, request_id, request)] = requests.pending(await view(), "web", "transfer")
    assert (unit.name, request_id, request.arguments) == (W1, asked, {"now": False})
    item = unit.request_items[request_id]
    assert await requests.answer(store, item, "answered")
    assert not waiting.done()
    item = (await view()).unit(W1).request_items[request_id]
    assert await requests.answer(store, item, "refused", "owed")
    async with asyncio.timeout(10):
        answer = await waiting
    assert answer is not None
    assert (answer.state, answer.answer) == ("refused", "owed")
    await requests.withdraw(store, layout, W1, asked)
    assert not (await view()).unit(W1).requests
    await mirror.close()


async def test_what_was_withdrawn_is_not_answered(store: Store, layout: Layout, charm: Charm, view: View) -> None:
    await deploy(store, layout, charm)
    asked = await requests.ask(store, await view(), W0, "resolved", {"retry": True})
    item = (await view()).unit(W0).request_items[asked]
    await requests.withdraw(store, layout, W0, asked)
    assert not await requests.answer(store, item, "done")
    assert not (await view()).unit(W0).requests


async def test_nothing_is_asked_of_a_unit_that_is_gone(store: Store, layout: Layout, charm: Charm, view: View) -> None:
    await deploy(store, layout, charm)
    seen = await view()
    await remove_units(store, layout, [W0])
    with pytest.raises(No, match="removed meanwhile"):
        await requests.ask(store, seen, W0, "resolved", {"retry": True})


async def test_answers_that_nobody_fetched_are_not_kept_for_ever(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await deploy(store, layout, charm)
    for _ in range(15):
        asked = await requests.ask(store, await view(), W0, "resolved", {"retry": True})
        item = (await view()).unit(W0).request_items[asked]
        await requests.answer(store, item, "refused")
        await store.commit([], requests.surplus((await view()).unit(W0)))
    assert len((await view()).unit(W0).requests) <= requests.KEEP_ANSWERED
