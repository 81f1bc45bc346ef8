"""Moving a store's revisions on: what was restored from an older copy must not hand out numbers a second time.

Term numbers are revisions. A copy that is a day old would give the next holder a number that a holder of that day has
had already, and what is fenced by numbers would take the one for the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from tenure.store.api import Committed, Delete, Put, Store

SCRATCH = "/tenure.revisions"
"""A key that is written for the revision's sake alone, where the engine can't be told to move on."""

_AT_ONCE = 64
"""Writes under way at a time: as many as a server takes in one go of its log."""


@runtime_checkable
class Advancing(Protocol):
    """An engine that can skip revisions."""

    async def advance(self, revision: int) -> None:
        """Every later commit has a revision greater than `revision`, and every later lease a number of its own."""
        ...


async def advance(store: Store, revision: int, progress: Callable[[int, int], None] = lambda done, of: None) -> int:
    """Every later commit has a revision greater than `revision`; returns the newest.

    An engine that can't skip revisions is written to until it is there: some thousands a second; `progress` is told the
    newest and the wanted one. Raises StoreUnreachable, StoreUnsure, StoreBroken; called again it goes on.
    """
    if isinstance(store, Advancing):
        await store.advance(revision)
    newest = (await store.read(SCRATCH)).revision
    while newest < revision:
        progress(newest, revision)
        puts = (store.commit([], [Put(SCRATCH, b"")]) for _ in range(min(_AT_ONCE, revision - newest)))
        landed = await asyncio.gather(*puts)
        newest = max(outcome.revision for outcome in landed if isinstance(outcome, Committed))
    if (await store.read(SCRATCH)).items:
        newest = (await store.commit([], [Delete(SCRATCH)])).revision
    return newest
