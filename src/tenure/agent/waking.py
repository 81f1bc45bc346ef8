"""What a unit waits by: news, or an instant, whichever comes first. Nothing is polled."""

from __future__ import annotations

import asyncio

from tenure.alarm import Alarm
from tenure.clock import Clock, Instant


class Waking:
    """One task's wait. Whoever has news for it calls `wake`."""

    def __init__(self, clock: Clock, alarm: Alarm) -> None:
        self._clock, self._alarm = clock, alarm
        self._news = asyncio.Event()
        self._at: Instant | None = None
        self._timer: asyncio.Task[None] | None = None
        self.stopping = False
        """Set once, for ever: from then on no wait lasts."""

    def wake(self) -> None:
        """Something has changed."""
        self._news.set()

    def stop(self) -> None:
        """Whoever waits is to end."""
        self.stopping = True
        self.wake()

    def look(self) -> None:
        """What has changed so far is about to be looked at: only what comes after this is news."""
        self._news.clear()

    async def wait(self, until: Instant | None = None, *, whatever_comes: bool = False) -> None:
        """Return at `until`, or sooner when there is news (with `whatever_comes`: when it is to stop, and not sooner)."""
        self._set(until)
        while not self.stopping:
            await self._news.wait()
            if not whatever_comes or (until is not None and until.reached(self._clock.now())):
                return
            self._news.clear()

    def close(self) -> None:
        """Forget the instant."""
        self._set(None)

    def _set(self, at: Instant | None) -> None:
        # Asked for the same again, as after most news, the timer goes on as it is.
        if at == self._at and (self._timer is None or not self._timer.done()):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = None if at is None else asyncio.get_running_loop().create_task(self._until(at))

    async def _until(self, at: Instant) -> None:
        await self._alarm.until(at)
        self.wake()
