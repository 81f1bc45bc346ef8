"""All watches of one store: one reader of the change log, from which each takes what concerns it.

A watch first catches up from the log by itself, while what is new already gathers for it; then it lives on that. One
that falls too far behind drops what has gathered and catches up again, so what waits in memory has a bound.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from functools import partial

from tenure.errors import StoreUnreachable, TenureError
from tenure.store.api import Batch
from tenure.store.sqlite.bell import Bell
from tenure.store.sqlite.database import Database
from tenure.store.sqlite.history import Chunk, Look, changes, look
from tenure.store.sqlite.worker import Worker
from tenure.store.world import under

LOOK_EVERY_S = 1.0
"""The slow look, for what no bell was rung for: its writer was killed in between."""

_GATHERED_MOST = 1000


class _Feed:
    """One watch: where it stands, and what has gathered for it since."""

    def __init__(self, prefix: str, after: int) -> None:
        self.prefix = prefix
        self.position = after
        self.gathered: deque[Batch] = deque()
        self.behind = True
        self.live = False
        self.woken = asyncio.Event()

    async def wait(self) -> None:
        await self.woken.wait()
        self.woken.clear()

    def restart(self) -> None:
        self.gathered.clear()
        self.behind = self.live = False

    def fall_behind(self) -> None:
        self.gathered.clear()
        self.behind = True
        self.live = False
        self.woken.set()

    def gather(self, batches: list[Batch], upto: int) -> None:
        if self.behind:
            return
        for batch in batches:
            if only := under(batch, self.prefix):
                self.gathered.append(only)
        if len(self.gathered) > _GATHERED_MOST:
            self.fall_behind()
        elif self.gathered:
            self.woken.set()
        elif self.live:
            # Nothing for it in these: it need not read them again, nor mind that they are forgotten.
            self.position = max(self.position, upto)


class Hub:
    """Looks at the store when the bell rings and once a second, and hands what is new to the watches."""

    def __init__(self, worker: Worker, database: Database, looked: Callable[[int | None], None]) -> None:
        self._worker = worker
        self._database = database
        self._looked = looked
        self._feeds: set[_Feed] = set()
        self._bell: Bell | None = None
        self._seen: int | None = None
        self._looking: asyncio.Task[None] | None = None
        self._again = self._closely = False
        self._broken: TenureError | None = None
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(LOOK_EVERY_S, self._slow_look)

    async def watch(self, prefix: str, after: int) -> AsyncGenerator[Batch, None]:
        """Every change under `prefix` after revision `after`. Raises Compacted, StoreBroken, StoreUnreachable when closed."""
        feed = _Feed(prefix, after)
        if self._bell is None:
            self._bell = Bell(self._database.place.lock_path, self._look)
        self._feeds.add(feed)
        try:
            while self._broken is None:
                while feed.behind:
                    chunk = await self._chunk(feed)
                    for batch in chunk.batches:
                        feed.position = batch.revision
                        yield batch
                    feed.position = max(feed.position, chunk.upto)
                    if not chunk.whole:
                        feed.fall_behind()
                feed.live = True
                while feed.gathered:
                    batch = feed.gathered.popleft()
                    if batch.revision > feed.position:
                        feed.position = batch.revision
                        yield batch
                await feed.wait()
            raise self._broken
        finally:
            self._leave(feed)

    def close(self) -> None:
        """End every watch."""
        self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()
        self._fail(StoreUnreachable(f"{self._database.place.url} was closed"))

    async def _chunk(self, feed: _Feed) -> Chunk:
        # Whatever a look finds after this line gathers; and the log is read after it, so nothing lies in between.
        feed.restart()
        chunk = await self._worker.read(partial(self._database.read, changes, feed.prefix, feed.position))
        if self._seen is None:
            self._seen = chunk.upto
            self._look()
        return chunk

    def _leave(self, feed: _Feed) -> None:
        self._feeds.discard(feed)
        if not self._feeds and self._bell is not None:
            self._bell.close()
            self._bell, self._seen = None, None

    def _slow_look(self) -> None:
        self._timer = self._loop.call_later(LOOK_EVERY_S, self._slow_look)
        self._closely = True
        self._look()

    def _look(self) -> None:
        self._again = True
        if self._looking is None:
            self._looking = self._loop.create_task(self._look_while_asked())

    async def _look_while_asked(self) -> None:
        try:
            while self._again and self._broken is None:
                seen, closely = self._seen, self._closely
                self._again = self._closely = False
                found = await self._worker.read(partial(self._read_look, seen, closely))
                self._looked(found.ends_ns)
                if seen is not None and seen == self._seen:
                    self._hand_out(found)
        except StoreUnreachable:
            pass  # a program that isn't Tenure holds the database, or the store was closed: the next look tells
        except TenureError as error:
            self._fail(error)
        finally:
            self._looking = None

    def _read_look(self, seen: int | None, closely: bool) -> Look:
        # In the store's thread.
        if closely:
            self._database.check_in_place()
        return self._database.read(look, seen, _GATHERED_MOST)

    def _hand_out(self, found: Look) -> None:
        assert self._seen is not None
        if found.revision <= self._seen:
            return
        self._seen = found.revision
        for feed in self._feeds:
            if found.batches:
                feed.gather(found.batches, found.revision)
            else:
                feed.fall_behind()

    def _fail(self, error: TenureError) -> None:
        self._broken = self._broken or error
        for feed in self._feeds:
            feed.woken.set()
