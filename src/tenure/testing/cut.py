"""A store that can be cut off from one connection, as a network or a hung server would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from tenure.errors import StoreUnreachable
from tenure.store.api import Batch, Committed, Compare, Grant, Refused, Renewal, Snapshot, Store, Traits, Write


class CuttableStore:
    """`store`, but while it is cut every call fails, none of it having happened, and no news comes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._through = asyncio.Event()
        self._through.set()

    def cut(self) -> None:
        """Nothing gets through from now on."""
        self._through.clear()

    def heal(self) -> None:
        """Everything gets through again, with all the news that have come meanwhile."""
        self._through.set()

    @property
    def url(self) -> str:
        """The store's."""
        return self._store.url

    @property
    def traits(self) -> Traits:
        """The store's."""
        return self._store.traits

    async def read(self, prefix: str) -> Snapshot:
        """As the store's. Raises StoreUnreachable while cut."""
        return await self._reached().read(prefix)

    async def commit(
        self, when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write] = ()
    ) -> Committed | Refused:
        """As the store's. Raises StoreUnreachable while cut."""
        return await self._reached().commit(when, then, otherwise)

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Batch]:
        """As the store's; what comes while it is cut is held back."""
        self._reached()
        async for batch in self._store.watch(prefix, after):
            await self._through.wait()
            yield batch

    async def grant(self, ttl_s: int) -> Grant:
        """As the store's. Raises StoreUnreachable while cut."""
        return await self._reached().grant(ttl_s)

    async def renew(self, lease: int) -> Renewal:
        """As the store's. Raises StoreUnreachable while cut."""
        return await self._reached().renew(lease)

    async def revoke(self, lease: int) -> None:
        """As the store's. Raises StoreUnreachable while cut."""
        await self._reached().revoke(lease)

    async def compact(self, revision: int) -> None:
        """As the store's. Raises StoreUnreachable while cut."""
        await self._reached().compact(revision)

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    def _reached(self) -> Store:
        if not self._through.is_set():
            raise StoreUnreachable(f"{self._store.url} is cut off by the test")
        return self._store
