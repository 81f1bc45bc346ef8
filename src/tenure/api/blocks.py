"""The blocks of one program that hold one office: a single candidacy for all of them, begun with the first, ended with the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tenure.api.candidacies import Patience, Standing, held, wait_for
from tenure.api.workings import Workings


class Blocks:
    """Who of a program's tasks holds the office `name`, or waits for it. `begin` makes a candidacy."""

    def __init__(self, workings: Workings, name: str, ttl_s: int, begin: Callable[[], Awaitable[Standing]]) -> None:
        self._workings, self._name, self._ttl_s, self._begin = workings, name, ttl_s, begin
        self.standing: Standing | None = None
        self._always = False
        self._beginning = asyncio.Lock()
        self._leaving: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def hold(self, timeout_s: float | None) -> AsyncIterator[tuple[Standing, int]]:
        """A term of the office for the length of the block. Raises TimedOut, NotLeader, and what `begin` raises."""
        times, lost, cancelled = self._workings.times, True, False
        patience = times.patience(timeout_s)
        standing = await self._join_in(patience)
        try:
            async with held(standing, times, self._workings.mirror, patience) as number:
                try:
                    yield standing, number
                finally:
                    lost = standing.candidate.term != number
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:
            standing.bodies -= 1
            if not standing.bodies:
                await self.leave(wait=not lost and not cancelled)
            elif self._always and standing.bodies == 1 and not lost:
                release = self._workings.spawn(standing.candidate.release())
                if not cancelled:
                    await self._workings.finish(release, self._ttl_s)

    async def stand(self) -> None:
        """Be a candidate from now on, whether a block waits or not, until `leave`."""
        await self._join_in(self._workings.times.patience(None))
        self._always = True

    async def leave(self, *, wait: bool) -> None:
        """Be no candidate any more. A term that was lost is waited for by nobody: its block has ended already."""
        standing, self.standing = self.standing, None
        if standing is None:
            return
        self._leaving = self._workings.end(standing)
        if wait:
            await self._workings.finish(self._leaving, self._ttl_s)

    async def left(self) -> None:
        """Return when no key of the office is this program's, nor can become it."""
        if self._leaving is not None:
            await wait_for(self._leaving)

    async def _join_in(self, patience: Patience) -> Standing:
        """The candidacy, with one more body. Raises TimedOut."""
        try:
            # Whoever leaves last ends it, and may do so before this task runs again.
            while (standing := await self._workings.times.by(patience.limit, self._stand())) is not self.standing:
                pass
            standing.bodies += 1
            return standing
        except TimeoutError:
            raise patience.over(self._name) from None
        finally:
            if self.standing is not None and not self.standing.bodies:
                await self.leave(wait=False)

    async def _stand(self) -> Standing:
        """The candidacy: begun if there is none, once the one before has ended, so that others come first."""
        async with self._beginning:
            if self.standing is None:
                await self.left()
            self._workings.check_open()
            if self.standing is None:
                self.standing = await self._begin()
            return self.standing
