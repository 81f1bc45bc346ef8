"""Waiting: for a call of the store with a limit, and for the instant at which a machine wants to be asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tenure.alarm import Waiter
from tenure.clock import Clock, Instant
from tenure.errors import Broken, StoreUnsure

T = TypeVar("T")


async def within(waiter: Waiter, limit: Instant, call: Coroutine[Any, Any, T]) -> T:
    """What `call` returns or raises; StoreUnsure when the limit comes first: it is cancelled, and may have landed."""
    task = asyncio.ensure_future(call)
    timer = asyncio.ensure_future(waiter.until(limit))
    try:
        await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise StoreUnsure("the store has not answered in time")
    finally:
        timer.cancel()
        task.cancel()


class Tasks:
    """The tasks that one driver has started; each is forgotten when it is done, all end with `cancel`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin `work` in the running loop."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def cancel(self) -> None:
        """End all of them."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, Broken):
            # A task keeps even this to itself; a loop that goes on would go on without one of our promises.
            raise SystemExit(f"tenure: a promise of its own does not hold, so it ends: {error}")
        task.get_loop().call_exception_handler(
            {"message": "a task of the protocol's driver failed", "exception": error, "task": task}
        )


class Ticker:
    """Calls `tick` when a machine wants it. A wake-up that has moved to later is let come: one more question costs
    less than a timer set anew with each renewal.
    """

    def __init__(
        self,
        clock: Clock,
        waiter: Waiter,
        tasks: Tasks,
        wake_in_ns: Callable[[Instant], int | None],
        tick: Callable[[], None],
    ) -> None:
        self._clock, self._waiter, self._tasks = clock, waiter, tasks
        self._wake_in_ns, self._tick = wake_in_ns, tick
        self._at: Instant | None = None
        self._task: asyncio.Task[None] | None = None

    def arm(self) -> None:
        """To be called after each event."""
        now = self._clock.now()
        wake_in_ns = self._wake_in_ns(now)
        if wake_in_ns is None:
            return
        at = now.after(wake_in_ns)
        if self._at is not None and self._at.boot_ns <= at.boot_ns:
            return
        if self._task is not None:
            self._task.cancel()
        self._at = at
        self._task = self._tasks.start(self._wait(at))

    async def _wait(self, at: Instant) -> None:
        try:
            await self._waiter.until(at)
        finally:
            # Also after a failure: the next event arms it again.
            if self._at is at:
                self._at = self._task = None
        self._tick()
