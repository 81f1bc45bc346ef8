"""What an agent counts while it works, for whoever watches it: plain numbers, turned into metrics when they are asked for."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeVar

from tenure.errors import LeaseLost, TenureError
from tenure.store.api import Batch, Committed, Compare, Grant, Refused, Renewal, Snapshot, Store, Traits, Write

T = TypeVar("T")

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Upper bounds of a renewal's latencies. A request that takes longer than a second is given up."""


@dataclass(slots=True)
class Latencies:
    """How many took how long."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        place = next((index for index, bound in enumerate(BOUNDS_S) if seconds <= bound), len(BOUNDS_S))
        self.buckets[place] += 1
        self.sum_s += seconds

    def cumulative(self) -> list[tuple[str, int]]:
        """As a histogram has it: how many took no longer than each bound."""
        total, found = 0, list[tuple[str, int]]()
        for bound, count in zip([*map(str, BOUNDS_S), "+Inf"], self.buckets, strict=True):
            total += count
            found.append((bound, total))
        return found


@dataclass(slots=True)
class Counters:
    """Since the agent's start."""

    hooks: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(application, hook's kind, how it ended) -> how many."""
    elected: Counter[str] = field(default_factory=Counter)
    """Office -> how many terms have begun."""
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(office, because) -> how many terms have ended."""
    renewals: Counter[str] = field(default_factory=Counter)
    """Outcome -> how many: renewed, lost, failed, late."""
    renewal: Latencies = field(default_factory=Latencies)
    """Of those that the store has answered."""
    calls: Counter[str] = field(default_factory=Counter)
    store_errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(call, error's class) -> how many."""


class CountedStore:
    """A store whose calls are counted; in all else it is the one that it was made of."""

    def __init__(self, store: Store, counters: Counters) -> None:
        self._store, self._counters = store, counters

    @property
    def url(self) -> str:
        """The store's."""
        return self._store.url

    @property
    def traits(self) -> Traits:
        """The store's."""
        return self._store.traits

    async def read(self, prefix: str) -> Snapshot:
        """Counted."""
        return await self._count("read", self._store.read(prefix))

    async def commit(
        self, when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write] = ()
    ) -> Committed | Refused:
        """Counted."""
        return await self._count("commit", self._store.commit(when, then, otherwise))

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Batch]:
        """Counted, and its end."""
        self._counters.calls["watch"] += 1
        try:
            async with aclosing(self._store.watch(prefix, after)) as batches:  # type: ignore[type-var]
                async for batch in batches:
                    yield batch
        except TenureError as error:
            self._counters.store_errors["watch", type(error).__name__] += 1
            raise

    async def grant(self, ttl_s: int) -> Grant:
        """Counted."""
        return await self._count("grant", self._store.grant(ttl_s))

    async def renew(self, lease: int) -> Renewal:
        """Counted and timed."""
        began, outcome = time.monotonic(), "failed"
        try:
            renewal = await self._count("renew", self._store.renew(lease))
            outcome = "renewed"
            return renewal
        except LeaseLost:
            outcome = "lost"
            raise
        except asyncio.CancelledError:
            outcome = "late"
            raise
        finally:
            self._counters.renewals[outcome] += 1
            if outcome in ("renewed", "lost"):
                self._counters.renewal.add(time.monotonic() - began)

    async def revoke(self, lease: int) -> None:
        """Counted."""
        await self._count("revoke", self._store.revoke(lease))

    async def compact(self, revision: int) -> None:
        """Counted."""
        await self._count("compact", self._store.compact(revision))

    async def close(self) -> None:
        """The store's."""
        await self._store.close()

    async def _count(self, call: str, work: Awaitable[T]) -> T:
        self._counters.calls[call] += 1
        try:
            return await work
        except TenureError as error:
            self._counters.store_errors[call, type(error).__name__] += 1
            raise
