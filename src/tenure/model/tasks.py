"""What is asked of another host's agent and brings more than a word: commands with their output, a question to be answered at once.

The asker puts a request with a lease of its own, and whatever comes of it lives on that lease, too: when the asker goes, by
itself or by force, all of it goes in one step, and the agent sees that and ends what it does. The agent's first write, the
key `state`, is a compare-and-set that one process of one agent can win: so nothing is begun twice, whoever dies.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from tenure.errors import LeaseLost, Lost, No, Unsure
from tenure.model.commits import commit_surely
from tenure.model.layout import Layout
from tenure.model.leases import leased
from tenure.model.mirror import Mirror
from tenure.model.records import TaskState, decode, encode
from tenure.model.requests import Kind, new_request
from tenure.model.snapshot import MirrorSnapshot
from tenure.model.view import UnitView
from tenure.names import UnitName
from tenure.store.api import Delete, Item, Put, Refused, Store, absent, created_at, modified_at

Stream = Literal["stdout", "stderr"]

CHUNKS_WAITING = 16
"""So many chunks may lie unread; then the command waits, as it does at a pipe that nobody empties."""


class Task:
    """A request of that kind, for the agent that answers it."""

    def __init__(self, store: Store, layout: Layout, unit: UnitName, request_id: str, item: Item, by: str) -> None:
        """`item`: the request. `by`: this process, and no other."""
        self._store, self._layout, self._unit, self._id, self._item, self._by = (
            store,
            layout,
            unit,
            request_id,
            item,
            by,
        )
        self._key = layout.task_state(unit, request_id)
        self._revision = 0
        self._sent = 0
        self._mirror: Mirror | None = None

    async def begin(self) -> Literal["begun", "gone", "taken"]:
        """Have it for this process. `gone`: nobody asks for it any more. `taken`: another process has begun it, so it never
        is again. Raises StoreUnsure, StoreUnreachable: not known, and it may be tried again.
        """
        outcome = await self._put([], None)
        return "begun" if outcome == "done" else outcome

    async def send(self, chunks: Sequence[tuple[Stream, bytes]], result: Mapping[str, Any] | None = None) -> bool:
        """Pass output on, and with `result` end it. False: nobody asks any more. Raises StoreUnsure, StoreUnreachable."""
        return await self._put(chunks, result) == "done"

    async def end_taken(self, result: Mapping[str, Any]) -> bool:
        """Whether another process has begun it; if it has, and said no more, `result` is what became of it.

        Raises StoreUnsure, StoreUnreachable.
        """
        item = (await self._store.read(self._key)).items.get(self._key)
        if item is None:
            return False
        state = decode(TaskState, item.value, self._key)
        if state.by == self._by:
            return False
        if state.result is None:
            self._revision, self._sent = item.mod_revision, state.sent
            await self._put([], result)
        return True

    async def room(self) -> None:
        """Return once so much of the output was read that more may be sent, or nobody asks any more."""
        if self._sent <= CHUNKS_WAITING:
            return
        if self._mirror is None:
            self._mirror = Mirror(self._store, self._layout.task(self._unit, self._id))
            await self._mirror.start()
        await self._mirror.wait_until(self._has_room)

    async def close(self) -> None:
        """Look no more."""
        if self._mirror is not None:
            await self._mirror.close()

    def _has_room(self, snapshot: MirrorSnapshot) -> bool:
        if snapshot.revision < self._revision:
            return False
        waiting = snapshot.under(self._layout.task_output(self._unit, self._id))
        return len(waiting) < CHUNKS_WAITING or snapshot.get(self._key) is None

    async def _put(
        self, chunks: Sequence[tuple[Stream, bytes]], result: Mapping[str, Any] | None
    ) -> Literal["done", "gone", "taken"]:
        sent = self._sent + len(chunks)
        value = encode(TaskState(by=self._by, sent=sent, result=None if result is None else dict(result)))
        lease = self._item.lease
        writes = [Put(self._key, value, lease)]
        for number, (stream, data) in enumerate(chunks, self._sent + 1):
            writes.append(Put(self._layout.task_chunk(self._unit, self._id, number, stream), data, lease))

        def landed(refused: Refused) -> int | None:
            now = refused.current.get(self._key)
            return now.mod_revision if now is not None and now.value == value else None

        when = [modified_at(self._key, self._revision), created_at(self._item.key, self._item.create_revision)]
        try:
            outcome = await commit_surely(self._store, when, writes, landed)
        except LeaseLost:
            return "gone"
        if isinstance(outcome, Refused):
            asked = outcome.current.get(self._item.key)
            return "taken" if asked is not None and outcome.current.get(self._key) is not None else "gone"
        self._revision, self._sent = outcome.revision, sent
        return "done"


class Asked:
    """A request and its lease, for the asker. From `asking`."""

    def __init__(
        self,
        store: Store,
        layout: Layout,
        unit: UnitName,
        machine: str,
        request_id: str,
        lost: asyncio.Future[None],
    ) -> None:
        """`lost` is done when the lease is."""
        self._store, self._layout, self.unit, self._machine, self._id = store, layout, unit, machine, request_id
        self._lease_lost = lost
        self._key = layout.request(unit, request_id)
        self._state = layout.task_state(unit, request_id)
        self._shown = 0
        self._deleted: set[str] = set()

    async def follow(
        self, model: Mirror, show: Callable[[Stream, bytes], Awaitable[None]], patience_s: float | None = None
    ) -> dict[str, Any]:
        """What became of it; `show` gets its output as it comes, and may take its time; what it raises ends it.

        Raises Lost: the agent, the unit or our lease has gone, or `patience_s` have passed.
        """
        mirror = Mirror(self._store, self._layout.task(self.unit, self._id))
        following = asyncio.ensure_future(self._output(mirror, show))
        losing = asyncio.ensure_future(self._loss(model, patience_s))
        try:
            ends: set[asyncio.Future[Any]] = {following, losing, self._lease_lost}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                return following.result()
            if self._lease_lost.done():
                raise Lost("the store was silent for longer than the lease of what was asked")
            why = losing.result()
            raise Lost(why, "nothing was run") if await self._withdrawn() else Lost(why)
        finally:
            for task in (following, losing):
                task.cancel()
            await asyncio.gather(following, losing, return_exceptions=True)
            await mirror.close()

    async def _output(self, mirror: Mirror, show: Callable[[Stream, bytes], Awaitable[None]]) -> dict[str, Any]:
        await mirror.start()
        prefix = self._layout.task_output(self.unit, self._id)
        seen = False
        async for snapshot in mirror.after(-1):
            read = []
            for item in snapshot.under(prefix):
                number, _, stream = item.key.removeprefix(prefix).partition("-")
                if int(number) > self._shown:
                    await show("stdout" if stream == "stdout" else "stderr", item.value)
                    self._shown = int(number)
                read.append(item.key)
            item_now = snapshot.get(self._state)
            if item_now is None:
                if seen:
                    break
                continue
            seen = True
            state = decode(TaskState, item_now.value, self._state)
            if state.result is not None and state.sent <= self._shown:
                return state.result
            await self._delete([key for key in read if key not in self._deleted])
        raise Lost("what was asked is gone from the store")

    async def _delete(self, keys: list[str]) -> None:
        if keys:
            with contextlib.suppress(Unsure):
                await self._store.commit([], [Delete(key) for key in keys])
                self._deleted |= set(keys)

    async def _loss(self, model: Mirror, patience_s: float | None) -> str:
        """Return, saying why, once nobody can answer any more, or has within `patience_s`."""

        def lost(snapshot: MirrorSnapshot) -> str:
            if snapshot.get(self._layout.machine(self._machine)) is None:
                return f"the agent of {self._machine} is lost"
            return "" if snapshot.get(self._layout.unit_info(self.unit)) else f"{self.unit} is gone"

        try:
            async with asyncio.timeout(patience_s):
                return lost(await model.wait_until(lambda snapshot: bool(lost(snapshot))))
        except TimeoutError:
            return f"the agent of {self._machine} has not answered within {patience_s:g} s"

    async def _withdrawn(self) -> bool:
        """Take it back: True: nothing was begun, nor will be. False: it has begun, or that isn't known."""
        try:
            outcome = await commit_surely(self._store, [absent(self._state)], [Delete(self._key)], lambda refused: None)
        except Unsure:
            return False
        return not isinstance(outcome, Refused)


@contextlib.asynccontextmanager
async def asking(
    store: Store, layout: Layout, unit: UnitView, kind: Kind, arguments: Mapping[str, Any]
) -> AsyncIterator[Asked]:
    """Ask the agent of `unit`, which has a machine; at the block's end it isn't asked any more, however it ends.

    Raises No (the unit has gone), Unsure's kinds.
    """
    assert unit.info.machine is not None
    async with leased(store) as (lease, lost):
        request_id, put = new_request(layout, unit.name, kind, arguments)
        info = unit.info_item

        def landed(refused: Refused) -> int | None:
            now = refused.current.get(put.key)
            return None if now is None else now.mod_revision

        when = [created_at(info.key, info.create_revision), absent(put.key)]
        try:
            outcome = await commit_surely(store, when, [Put(put.key, put.value, lease)], landed)
        except LeaseLost:
            raise Unsure("the lease of what was asked is lost: nothing was run") from None
        if isinstance(outcome, Refused):
            raise No(f"{unit.name} has been removed meanwhile")
        yield Asked(store, layout, unit.name, unit.info.machine, request_id, lost)
