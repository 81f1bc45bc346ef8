"""The timer that an open store keeps for the earliest end of a lease."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tenure.alarm import Waiter, boot_instant
from tenure.errors import TenureError

_NEVER_NS = 2**62


class Expiry:
    """Calls `expire` when the earliest end has come that it was told of or that `expire` returned, and again."""

    def __init__(self, waiter: Waiter, expire: Callable[[], Awaitable[int | None]]) -> None:
        self._waiter = waiter
        self._expire = expire
        self._soonest = _NEVER_NS
        self._task: asyncio.Task[None] | None = None
        self._busy = False

    def arm(self, ends_ns: int | None) -> None:
        """A lease ends at `ends_ns` of CLOCK_BOOTTIME, or later: whoever is early only asks once more."""
        if ends_ns is None or ends_ns >= self._soonest:
            return
        self._soonest = ends_ns
        if self._task is not None and not self._busy:
            self._task.cancel()
            self._task = None
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Wait no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while self._soonest < _NEVER_NS:
            await self._waiter.until(boot_instant(self._soonest))
            self._soonest, self._busy = _NEVER_NS, True
            try:
                ends_ns = await self._expire()
            except TenureError:
                # The store is held or broken; the engine's next look at it arms this again.
                ends_ns = None
            finally:
                self._busy = False
            if ends_ns is not None:
                self._soonest = min(self._soonest, ends_ns)
        self._task = None
