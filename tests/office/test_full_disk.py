"""The driver on a store that takes nothing for a while, though it answers: what was to be put is put later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tenure.errors import StoreBroken
from tenure.store import open_store
from tenure.store.api import Committed, Compare, Refused, Write
from tenure.testing.cut import CuttableStore
from tests.office.agents import SmallAgent, keys_of
from tests.waiting import until_async


class FullStore(CuttableStore):
    """While it is full it takes no commit."""

    full = False
    refused = 0

    async def commit(
        self, when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write] = ()
    ) -> Committed | Refused:
        if self.full:
            self.refused += 1
            raise StoreBroken("the disk is full")
        return await super().commit(when, then, otherwise)


async def test_a_key_that_a_full_disk_refused_is_put_when_there_is_room_again(tmp_path: Path) -> None:
    store = FullStore(await open_store(f"memory://{tmp_path}"))
    agent = await SmallAgent(store, tmp_path, "m0").start("web/0")
    await until_async(lambda: agent["web/0"].term)
    key = f"{keys_of('web/0').present}-too"
    store.full = True
    agent.session.keep(key, b"here")
    await until_async(lambda: store.refused > 1)
    store.full = False
    await until_async(lambda: agent.session._kept[key].put)
    assert (await store.read(key)).items[key].value == b"here"
    await agent.stop()
    await store.close()
