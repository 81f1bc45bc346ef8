"""`memory://NAME`: a store that lives in this process, on the kernel's clock or on one that a test holds.

All that is opened with one name shares one world, as many agents share one database; `memory://` alone is a world of
its own each time it is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from tenure.alarm import Alarm, Waiter
from tenure.clock import Clock, KernelClock
from tenure.errors import StoreUnreachable
from tenure.store.api import Batch, Committed, Compare, Grant, Refused, Renewal, Snapshot, Traits, Write
from tenure.store.checks import WRITES_MAX, check_prefix, check_revision, check_transaction, check_ttl
from tenure.store.expiry import Expiry
from tenure.store.world import MemoryWorld

TRAITS = Traits(
    name="memory",
    least_ttl_s=1,
    most_ttl_s=3600,
    may_end_early=False,
    confirm_renewals=False,
    max_writes=WRITES_MAX,
)

_worlds: dict[str, MemoryWorld] = {}


def world_named(name: str) -> MemoryWorld:
    """The world that this process knows under `name`; without a name, a new one."""
    return _worlds.setdefault(name, MemoryWorld()) if name else MemoryWorld()


class MemoryStore:
    """A connection to a memory world. Leases end by `clock`, noticed by an alarm and by every call."""

    def __init__(
        self,
        world: MemoryWorld | None = None,
        clock: Clock | None = None,
        waiter: Waiter | None = None,
        *,
        url: str = "memory://",
        traits: Traits = TRAITS,
    ) -> None:
        self.world = world or MemoryWorld()
        self._clock = clock or KernelClock()
        self._alarm = Alarm(self._clock)
        self._url = url
        self._traits = traits
        self._landed: set[asyncio.Event] = set()
        self._expiry = Expiry(waiter or self._alarm, self._expire)
        self._closed = False
        self.world.listeners.append(self._wake)

    @property
    def url(self) -> str:
        """What it was opened with."""
        return self._url

    @property
    def traits(self) -> Traits:
        """A faultless engine's."""
        return self._traits

    async def read(self, prefix: str) -> Snapshot:
        """All keys under `prefix`. Raises StoreUnreachable when closed."""
        check_prefix(prefix)
        self._now_ns()
        return self.world.read(prefix)

    async def commit(
        self, when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write] = ()
    ) -> Committed | Refused:
        """One transaction; never unsure. Raises BadInput, LeaseLost, StoreUnreachable when closed."""
        check_transaction(when, then, otherwise)
        self._now_ns()
        return self.world.commit(when, then, otherwise)

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Batch]:
        """Every change under `prefix` after revision `after`. Raises Compacted, StoreUnreachable when closed."""
        check_prefix(prefix)
        self._now_ns()
        woken = asyncio.Event()
        self._landed.add(woken)
        try:
            while True:
                woken.clear()
                for batch in list(self.world.changes(prefix, after)):
                    after = batch.revision
                    yield batch
                # Revisions that concern other keys are read past, else they are read again, and compacted away, later.
                if not woken.is_set():
                    after = max(after, self.world.revision)
                    await woken.wait()
                self._check_open()
        finally:
            self._landed.discard(woken)

    async def grant(self, ttl_s: int) -> Grant:
        """A new lease. Raises BadInput, StoreUnreachable when closed."""
        check_ttl(ttl_s, self._traits)
        granted = self.world.grant(ttl_s, self._now_ns())
        self._expiry.arm(self.world.earliest_end_ns())
        return granted

    async def renew(self, lease: int) -> Renewal:
        """Begin the lease's ttl anew. Raises LeaseLost, StoreUnreachable when closed."""
        return Renewal(self.world.renew(lease, self._now_ns()))

    async def revoke(self, lease: int) -> None:
        """End the lease and its keys now."""
        self._now_ns()
        self.world.revoke(lease)

    async def compact(self, revision: int) -> None:
        """Forget the history before `revision`. Raises BadInput when it doesn't exist yet."""
        check_revision(revision, self.world.revision)
        self.world.compact(revision)

    async def expire_due(self) -> None:
        """End the leases whose time has come by the clock; the alarm does it unasked."""
        self._now_ns()

    async def close(self) -> None:
        """Leave the world; watches end with StoreUnreachable. The world and its leases go on."""
        self._closed = True
        if self._wake in self.world.listeners:
            self.world.listeners.remove(self._wake)
        for woken in self._landed:
            woken.set()
        await self._expiry.close()
        self._alarm.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnreachable(f"{self._url} was closed")

    def _now_ns(self) -> int:
        self._check_open()
        now = self._clock.now().boot_ns
        self.world.expire(now)
        return now

    def _wake(self, batch: Batch) -> None:
        for woken in self._landed:
            woken.set()

    async def _expire(self) -> int | None:
        self.world.expire(self._clock.now().boot_ns)
        return self.world.earliest_end_ns()
