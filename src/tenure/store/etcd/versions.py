"""Whether an etcd's leases can be trusted now: what its members' versions are, and how long ago its leader has changed."""

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

SETTLES_S = 15.0
"""From the answer of a member that was silent, or of any after a change of etcd's leader, until leases are trusted again. A
former leader that wakes proposes the ends of what it takes for due within half a second, gives each up after 7 s, and what is
proposed by then is passed on to the new leader, who carries it out."""

OPEN_S = 0.25
"""How long whoever opens a store waits for its members to say their versions; the silent ones are asked again thereafter."""

LOOK_S = 3.0
"""How long they are waited for thereafter."""

LOOK_EVERY_S = 60.0
"""How often the members are asked again."""


class Versions:
    """The traits, kept up to date while the store is open.

    Only a former leader of etcd's ends leases early. So they are trusted while every member is of a version that looks
    before it ends one, and has answered twice, `SETTLES_S` apart, with no change of leaders since the first. Every
    answer tells of a change: also the one that says that a key is gone.
    """

    def __init__(self, client: Client, least_ttl_s: int, settles_s: float) -> None:
        self._client = client
        self._least_ttl_s = least_ttl_s
        self._settles_s = settles_s
        self._all_well = False
        """Every member has answered the last look, and is of such a version."""
        self._settled = False
        self._raft_term = 0
        self._looking: asyncio.Task[None] | None = None

    @property
    def traits(self) -> Traits:
        """As of now."""
        return Traits(
            name="etcd",
            least_ttl_s=self._least_ttl_s,
            most_ttl_s=MOST_TTL_S,
            may_end_early=not self._settled,
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
        self._client.met = self.met
        self._go_on()

    def met(self, header: Any) -> None:
        """An answer came. With a new leader nothing is trusted until all have been quiet for a while."""
        if header.raft_term > self._raft_term:
            self._raft_term = header.raft_term
            self._settled = self._all_well = False
            self._go_on()

    async def close(self) -> None:
        """Stop looking."""
        self._client.met = lambda header: None
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    def _go_on(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self._looking = asyncio.get_running_loop().create_task(self._look_again())

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S if self._settled else self._settles_s)
            was_well = self._all_well
            try:
                self._take(await members(self._client, patience_s=LOOK_S))
            except (TenureError, LeaseLost):
                self._all_well = False
            self._settled = was_well and self._all_well

    def _take(self, found: list[Member]) -> None:
        self._all_well = all(keeps_leases(one.version) for one in found)
        newest = max((one.raft_term for one in found), default=0)
        if newest > self._raft_term:
            # Whatever has answered before it was before the change.
            self._all_well = self._all_well and not self._raft_term
            self._raft_term = newest
