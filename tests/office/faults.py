"""A store with faults in a test's hand, over a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Literal

from tenure.errors import StoreUnreachable, StoreUnsure
from tenure.store.api import Batch, Committed, Compare, Grant, Put, Refused, Renewal, Snapshot, Store, Traits, Write

Fault = Literal["none", "silent", "unreachable", "answer lost"]


class FaultyStore:
    """Passes everything on, unless `fault` says otherwise: silent (takes nothing, says nothing), unreachable, answer lost (a commit's)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.fault: Fault = "none"
        self.only_for = ""
        """Lose answers only to commits that put this key."""
        self.hold: str = ""
        """A commit that puts this key isn't answered; it lands with `land`."""
        self.held: list[tuple[Sequence[Compare], Sequence[Write]]] = []
        self.calls: list[str] = []

    @property
    def url(self) -> str:
        return self._store.url

    @property
    def traits(self) -> Traits:
        return self._store.traits

    async def read(self, prefix: str) -> Snapshot:
        return await self._store.read(prefix)

    async def commit(
        self, when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write] = ()
    ) -> Committed | Refused:
        await self._meet("commit")
        if self.hold and any(isinstance(write, Put) and write.key == self.hold for write in then):
            self.held.append((when, then))
            await asyncio.Event().wait()
        outcome = await self._store.commit(when, then, otherwise)
        if not self.only_for or any(isinstance(write, Put) and write.key == self.only_for for write in then):
            self._lose()
        return outcome

    async def land(self) -> list[Committed | Refused]:
        """What was held reaches the store at last."""
        held, self.held, self.hold = self.held, [], ""
        return [await self._store.commit(when, then) for when, then in held]

    def watch(self, prefix: str, after: int) -> AsyncIterator[Batch]:
        return self._store.watch(prefix, after)

    async def grant(self, ttl_s: int) -> Grant:
        await self._meet("grant")
        return await self._store.grant(ttl_s)

    async def renew(self, lease: int) -> Renewal:
        await self._meet("renew")
        return await self._store.renew(lease)

    async def revoke(self, lease: int) -> None:
        await self._meet("revoke")
        await self._store.revoke(lease)

    async def compact(self, revision: int) -> None:
        await self._store.compact(revision)

    async def close(self) -> None:
        await self._store.close()

    async def _meet(self, call: str) -> None:
        self.calls.append(call)
        if self.fault == "silent":
            await asyncio.Event().wait()
        if self.fault == "unreachable":
            raise StoreUnreachable("the test has taken the store away")

    def _lose(self) -> None:
        if self.fault == "answer lost":
            raise StoreUnsure("the test has lost the answer")
