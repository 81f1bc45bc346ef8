"""A store with members of its own, in a test's hand: who answers, what a former leader answers, and leases that end early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from tenure.store.api import (
    Batch,
    Committed,
    Compare,
    Grant,
    Refused,
    Renewal,
    Snapshot,
    Traits,
    Witness,
    Write,
)
from tenure.store.memory import MemoryStore


class MembersStore:
    """A connection to one member; `former`: it renews nothing, says that it does, and has not heard of the next leader."""

    def __init__(self, store: MemoryStore, *, may_end_early: bool = False) -> None:
        self._store = store
        self.traits: Traits = replace(store.traits, confirm_renewals=True, may_end_early=may_end_early)
        self.member = 1
        self.term = 4
        self.former = False
        self.renews_aside = False
        """Renewals go to another member, a former leader, than reads."""
        self.calls: list[str] = []
        self._through = asyncio.Event()
        self._through.set()

    def cut(self) -> None:
        """Nothing goes through any more, either way."""
        self._through.clear()

    @property
    def url(self) -> str:
        return self._store.url

    @property
    def witness(self) -> Witness:
        return Witness(cluster=9, member=self.member, raft_term=self.term)

    async def renew(self, lease: int) -> Renewal:
        await self._meet("renew")
        before = self.witness
        if self.renews_aside:
            return Renewal(60, replace(before, member=7, raft_term=3))
        if self.former:
            return Renewal(60, before)
        return Renewal((await self._store.renew(lease)).ttl_s, before)

    async def read(self, prefix: str) -> Snapshot:
        await self._meet("read")
        snapshot = await self._store.read(prefix)
        # Whoever answers a linearizable read has heard of the leader.
        self.term += self.former
        self.former = False
        return replace(snapshot, witness=self.witness)

    async def commit(
        self, when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write] = ()
    ) -> Committed | Refused:
        await self._meet("commit")
        return await self._store.commit(when, then, otherwise)

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Batch]:
        async for batch in self._store.watch(prefix, after):
            await self._through.wait()
            yield batch

    async def grant(self, ttl_s: int) -> Grant:
        await self._meet("grant")
        return await self._store.grant(ttl_s)

    async def _meet(self, call: str) -> None:
        self.calls.append(call)
        await self._through.wait()

    async def revoke(self, lease: int) -> None:
        await self._store.revoke(lease)

    async def compact(self, revision: int) -> None:
        await self._store.compact(revision)

    async def close(self) -> None:
        await self._store.close()

    def end_early(self, lease: int | None) -> None:
        """What a former leader of an old version does once it is woken: the lease and its keys go, before their time."""
        assert lease
        self._store.world.revoke(lease)
