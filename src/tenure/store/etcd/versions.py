"""What an etcd's versions mean for leases, kept up to date while the store is open."""

from __future__ import annotations

import asyncio
from typing import Any

from tenure.errors import LeaseLost, StoreDenied, StoreUnreachable, TenureError
from tenure.store.api import Traits
from tenure.store.checks import WRITES_MAX
from tenure.store.etcd.client import Client, Method
from tenure.store.etcd.members import Member, keeps_leases, members
from tenure.store.etcd.proto import tenure_etcd_pb2 as pb

LEASE_LEASES = Method("/etcdserverpb.Lease/LeaseLeases", pb.LeaseLeasesRequest, pb.LeaseLeasesResponse)

LEAST_TTL_S = 5
"""Five of etcd's default election time-outs: a change of its leader must leave most of a lease standing."""

MOST_TTL_S = 300
"""etcd check-points what is left of longer leases, and so may shorten them."""

LEASES_TRUSTED = 16
"""Up to so many leases in an etcd, a stalled former leader that looks before it ends any ends none: it looks once for all
that are due, and what it sends first, 16 at a time (maxPendingRevokes), is lost with its leadership. What it sends
thereafter goes to the new leader, which carries it out, whoever has renewed the lease."""

OPEN_S = 0.25
"""How long whoever opens a store waits for its members to say their versions; the silent ones are asked again thereafter."""

LOOK_S = 3.0
"""How long they are waited for thereafter."""

LOOK_EVERY_S = 60.0
"""How often the leases are counted, and a member that could not be asked is asked again."""


class Versions:
    """The traits, by the oldest version among all members and the most leases that were ever seen.

    A member that can't be asked counts as an old one, leases that can't be counted as many.
    """

    def __init__(self, client: Client, least_ttl_s: int) -> None:
        self._client = client
        self._least_ttl_s = least_ttl_s
        self._keeps_leases = False
        self._all_known = False
        self._counted = False
        self._many_leases = False
        self._raft_term = 0
        self._looking: asyncio.Task[None] | None = None

    @property
    def traits(self) -> Traits:
        """As of the last look."""
        return Traits(
            name="etcd",
            least_ttl_s=self._least_ttl_s,
            most_ttl_s=MOST_TTL_S,
            may_end_early=self._many_leases or not (self._counted and self._keeps_leases),
            confirm_renewals=True,
            max_writes=WRITES_MAX,
        )

    async def look(self) -> None:
        """Ask every member, and go on looking. Raises StoreUnreachable (none answers, or none has a leader), StoreBroken."""
        found = await members(self._client, patience_s=OPEN_S)
        asked = [one for one in found if one.version is not None]
        if not any(one.has_leader for one in asked):
            raise StoreUnreachable(
                f"etcd has no quorum: {len(asked)} of {len(found)} members answer, and know no leader",
                hint="more than half of its members must run and reach each other",
            )
        self._take(found)
        await self._count()
        self._looking = asyncio.get_running_loop().create_task(self._go_on(at_once=not self._all_known))

    def met(self, header: Any) -> None:
        """An answer came. With a new leader, which may be a new member of another version, all are asked again."""
        if header.raft_term > self._raft_term and self._looking is not None:
            self._raft_term = header.raft_term
            self._all_known = False
            self._looking.cancel()
            self._looking = asyncio.get_running_loop().create_task(self._go_on(at_once=True))

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def _go_on(self, *, at_once: bool = False) -> None:
        while True:
            if not at_once:
                await asyncio.sleep(LOOK_EVERY_S)
            at_once = False
            if not self._all_known:
                try:
                    self._take(await members(self._client, patience_s=LOOK_S))
                except (TenureError, LeaseLost):
                    self._keeps_leases = False
            await self._count()

    async def _count(self) -> None:
        # What was seen once counts for good: the leases that are ended early are no longer there to be counted.
        if not self._many_leases:
            try:
                answer = await self._client.call(LEASE_LEASES, pb.LeaseLeasesRequest(), local=True)
            except StoreDenied:
                self._many_leases = True
            except (TenureError, LeaseLost):
                self._counted = False
            else:
                self._counted = True
                self._many_leases = len(answer.leases) > LEASES_TRUSTED

    def _take(self, found: list[Member]) -> None:
        self._keeps_leases = all(keeps_leases(one.version) for one in found)
        self._all_known = all(one.version is not None for one in found)
        self._raft_term = max([self._raft_term, *(one.raft_term for one in found)])
