"""What an etcd's versions mean for leases, kept up to date while the store is open."""

from __future__ import annotations

import asyncio
from typing import Any

from tenure.errors import LeaseLost, StoreUnreachable, TenureError
from tenure.store.api import Traits
from tenure.store.checks import WRITES_MAX
from tenure.store.etcd.client import Client
from tenure.store.etcd.members import Member, keeps_leases, members

LEAST_TTL_S = 5
"""Five of etcd's default election time-outs: a change of its leader must leave most of a lease standing."""

MOST_TTL_S = 300
"""etcd check-points what is left of longer leases, and so may shorten them."""

LOOK_AGAIN_S = 60.0
"""How often a member that could not be asked is asked again."""


class Versions:
    """The traits, by the oldest version among all members. A member that can't be asked counts as an old one."""

    def __init__(self, client: Client, least_ttl_s: int) -> None:
        self._client = client
        self._least_ttl_s = least_ttl_s
        self._keeps_leases = False
        self._raft_term = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def traits(self) -> Traits:
        """As of the last look."""
        return Traits(
            name="etcd",
            least_ttl_s=self._least_ttl_s,
            most_ttl_s=MOST_TTL_S,
            may_end_early=not self._keeps_leases,
            confirm_renewals=True,
            max_writes=WRITES_MAX,
        )

    async def look(self) -> None:
        """Ask every member. Raises StoreUnreachable (none answers, or none has a leader), StoreBroken."""
        found = await members(self._client)
        asked = [one for one in found if one.version is not None]
        if not any(one.has_leader for one in asked):
            awake = f"{len(asked)} of {len(found)} members answer"
            raise StoreUnreachable(
                f"etcd has no quorum: {awake}, and know no leader",
                hint="more than half of its members must run and reach each other",
            )
        self._take(found)

    def met(self, header: Any) -> None:
        """An answer came. With a new leader, which may be a new member of another version, all are asked again, by and by."""
        if header.raft_term > self._raft_term and (self._task is None or self._task.done()):
            self._raft_term = header.raft_term
            self._task = asyncio.get_running_loop().create_task(self._look_again())

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _look_again(self) -> None:
        while True:
            found: list[Member] = []
            try:
                found = await members(self._client)
            except (TenureError, LeaseLost):
                self._keeps_leases = False
            else:
                self._take(found)
            if found and all(one.version is not None for one in found):
                return
            await asyncio.sleep(LOOK_AGAIN_S)

    def _take(self, found: list[Member]) -> None:
        self._keeps_leases = all(keeps_leases(one.version) for one in found)
        self._raft_term = max([self._raft_term, *(one.raft_term for one in found)])
        unknown = any(one.version is None for one in found)
        if unknown and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._after_a_while())

    async def _after_a_while(self) -> None:
        await asyncio.sleep(LOOK_AGAIN_S)
        await self._look_again()
