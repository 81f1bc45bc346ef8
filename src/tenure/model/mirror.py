"""A local copy of a prefix that is always consistent: a snapshot, then changes, then a snapshot again when some were missed.

Its readers never notice which it was: they see immutable snapshots whose revisions only grow. A slow reader skips
revisions, never parts of one. While the store is silent the last snapshot stands, and `silent_since` says since when. A store
that was replaced under us is the mirror's end: `failure` says so, and whoever waits is told.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import cast

from tenure.clock import Clock, Instant, KernelClock
from tenure.errors import Broken, Compacted, StoreBroken, StoreReplaced, StoreUnreachable, Unsure, invariant
from tenure.model.snapshot import MirrorSnapshot
from tenure.store.api import Batch, Store

RETRY_FIRST_S, RETRY_MOST_S = 0.05, 1.0
"""A silent store is asked again after the first of these, doubled each time up to the second: a watch that is back a
second late delays only what is told to units, never a term's end."""

_log = logging.getLogger("tenure.mirror")


class Mirror:
    """Mirrors the keys under `prefix`. `await start()` before anything is read; `await close()` at the end."""

    def __init__(self, store: Store, prefix: str, *, clock: Clock | None = None) -> None:
        self._store = store
        self._prefix = prefix
        self._clock = clock or KernelClock()
        self._current: MirrorSnapshot | None = None
        self._silent_since: Instant | None = None
        self._listeners: list[Callable[[MirrorSnapshot], None]] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.failure: StoreReplaced | None = None
        """Why it has ended by itself."""

    @property
    def current(self) -> MirrorSnapshot:
        """The newest snapshot. Only after `start`."""
        if self._current is None:
            raise Broken("a mirror is started before it is read")
        return self._current

    @property
    def silent_since(self) -> Instant | None:
        """Since when the store has not answered; None while changes flow."""
        return self._silent_since

    def on_change(self, listener: Callable[[MirrorSnapshot], None]) -> Callable[[], None]:
        """Call `listener` in the loop with each new snapshot; returns what ends it. It must be quick and must not raise."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def start(self) -> None:
        """Return once there is a snapshot, however long the store stays silent. Raises StoreBroken, BadInput at once."""
        if self._task is None:
            backoff = _Backoff()
            while True:
                try:
                    await self._resync()
                    break
                except StoreBroken:
                    raise
                except Unsure as error:
                    self._fell_silent(error)
                    await backoff.wait()
            self._task = asyncio.create_task(self._follow(), name=f"mirror {self._prefix}")
            self._task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stop following; who waits for a change is told that none will come."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._tell()

    async def after(self, revision: int) -> AsyncGenerator[MirrorSnapshot, None]:
        """Each newer snapshot than `revision`, the newest one where several came meanwhile; ends when the mirror is closed.

        Raises StoreReplaced.
        """
        while True:
            snapshot = await self._newer(revision)
            if snapshot is None:
                return
            revision = snapshot.revision
            yield snapshot

    async def wait_until(self, predicate: Callable[[MirrorSnapshot], bool]) -> MirrorSnapshot:
        """The first snapshot, from the current one on, of which `predicate` holds. Raises StoreUnreachable when it is closed, StoreReplaced."""
        if predicate(self.current):
            return self.current
        async with aclosing(self.after(self.current.revision)) as snapshots:
            async for snapshot in snapshots:
                if predicate(snapshot):
                    return snapshot
        raise StoreUnreachable("the mirror was closed while something was awaited of it")

    async def lost(self) -> None:
        """Never return. Raises StoreReplaced once the mirror has ended by itself: for whoever waits for what it doesn't show."""
        while self.failure is None:
            await self._news.wait()
        raise self.failure

    async def _newer(self, revision: int) -> MirrorSnapshot | None:
        while self.current.revision <= revision:
            if self.failure is not None:
                raise self.failure
            if self._task is None or self._task.done():
                return None
            await self._news.wait()
        return self.current

    async def _follow(self) -> None:
        backoff = _Backoff()
        resync = False
        while True:
            try:
                if resync:
                    await self._resync()
                    resync = False
                    backoff.reset()
                await self._watch(backoff)
            except Compacted:
                resync = True
            except StoreReplaced as error:
                self.failure = error
                return
            except Unsure as error:
                self._fell_silent(error)
                resync = True
                await backoff.wait()

    async def _watch(self, backoff: _Backoff) -> None:
        async with aclosing(_closable(self._store, self._prefix, self.current.revision)) as batches:
            async for batch in batches:
                backoff.reset()
                invariant(batch.revision > self.current.revision, "a watch's revisions only grow")
                self._show(self.current.changed(batch.revision, batch.changes))

    async def _resync(self) -> None:
        read = await self._store.read(self._prefix)
        if self._current is None:
            self._show(MirrorSnapshot.of(self._prefix, read.revision, read.items))
        elif read.revision > self._current.revision:
            self._show(self._current.replaced(read.revision, read.items))
        elif read.revision < self._current.revision:
            raise StoreBroken(
                f"{self._store.url} is at revision {read.revision}, but has shown revision {self._current.revision} before",
                hint="was it restored from a backup? Restoring has a step that raises the revision",
            )
        if self._silent_since is not None:
            _log.info("%s answers again", self._store.url)
            self._silent_since = None

    def _fell_silent(self, error: Exception) -> None:
        if self._silent_since is None:
            self._silent_since = self._clock.now()
            _log.warning("%s does not answer: %s", self._store.url, error)

    def _show(self, snapshot: MirrorSnapshot) -> None:
        self._current = snapshot
        self._tell()
        for listener in tuple(self._listeners):
            listener(snapshot)

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.critical("the mirror of %s has ended", self._prefix, exc_info=error)
        self._tell()


class _Backoff:
    def __init__(self) -> None:
        self._next_s = RETRY_FIRST_S

    def reset(self) -> None:
        self._next_s = RETRY_FIRST_S

    async def wait(self) -> None:
        wait_s, self._next_s = self._next_s, min(self._next_s * 2, RETRY_MOST_S)
        # Drawn: all who lost the store together would else come back for a snapshot in step.
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))


def _closable(store: Store, prefix: str, after: int) -> AsyncGenerator[Batch, None]:
    """The store's watch; every engine's is a generator, which the protocol promises by its `aclose`."""
    return cast("AsyncGenerator[Batch, None]", store.watch(prefix, after))
