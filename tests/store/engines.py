"""The engines as the tests of this folder see them: open connections to one world, and let time pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from tenure.alarm import HeldTime
from tenure.errors import StoreUnsure
from tenure.store import open_store
from tenure.store.api import Batch, Committed, Put, Store
from tenure.store.memory import MemoryStore
from tenure.store.sqlite import SqliteStore

LIMIT_S = 10.0
"""Whatever is waited for has come by then, or the test has failed."""


class Engine(Protocol):
    """One empty world of some engine, and its time."""

    url: str
    stores: list[Any]
    ttl_s: int
    """A lease to wait out in a test."""
    moment_s: float
    """How long before a lease's end a test can surely see that it has not come."""

    async def open(self) -> Store:
        """One more connection to the world, as if from one more process."""
        ...

    async def time_comes(self, seconds: float) -> None:
        """Let time pass, and nobody look."""
        ...

    async def passes(self, seconds: float) -> None:
        """Let time pass, and every store notice what that has ended."""
        ...

    async def close(self) -> None:
        """Close what was opened."""
        ...


class HeldEngine:
    """One empty world of an engine that takes a test's time."""

    ttl_s = 10
    moment_s = 0.001

    def __init__(self, url: str) -> None:
        self.url = url
        self.time = HeldTime()
        self.stores: list[Any] = []

    async def open(self) -> Store:
        store = await open_store(self.url, clock=self.time, waiter=self.time)
        assert isinstance(store, MemoryStore | SqliteStore)
        self.stores.append(store)
        return store

    async def time_comes(self, seconds: float) -> None:
        self.time.advance(seconds)

    async def passes(self, seconds: float) -> None:
        self.time.advance(seconds)
        for store in self.stores:
            await store.expire_due()

    async def close(self) -> None:
        for store in self.stores:
            await store.close()


ENGINES: dict[str, Callable[[Path], str]] = {
    "memory": lambda folder: f"memory://{folder}",
    "sqlite": lambda folder: f"sqlite://{folder}/tenure.db",
}


class Watched:
    """A watch whose batches are awaited with a limit."""

    def __init__(self, batches: AsyncIterator[Batch]) -> None:
        self._batches = batches

    async def next(self) -> Batch:
        """The next batch."""
        return await asyncio.wait_for(anext(self._batches), LIMIT_S)

    async def next_keys(self) -> list[str]:
        """What keys the next batch is about."""
        return [change.key for change in (await self.next()).changes]


@asynccontextmanager
async def watching(store: Store, prefix: str, after: int) -> AsyncIterator[Watched]:
    """A watch that is closed in the end."""
    batches = store.watch(prefix, after)
    try:
        yield Watched(batches)
    finally:
        await batches.aclose()  # type: ignore[attr-defined]


async def put(store: Store, key: str, value: bytes = b"", lease: int = 0) -> int:
    """Put one key; returns the revision."""
    outcome = await store.commit([], [Put(key, value, lease)])
    assert isinstance(outcome, Committed)
    return outcome.revision


async def keys(store: Store, prefix: str = "") -> list[str]:
    """The keys under `prefix`, in their order."""
    return list((await store.read(prefix)).items)


async def settled(call: Callable[[], Awaitable[Any]]) -> Any:
    """What the call comes to, asked again while it can't be known."""
    for _ in range(10):
        try:
            return await call()
        except StoreUnsure:
            continue
    return await call()
