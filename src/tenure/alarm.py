"""Waiting for an instant: on the kernel's clock that goes on while the host sleeps, or on a test's.

An event loop's own timers stand still while the host sleeps, so a deadline is a `CLOCK_BOOTTIME` timerfd; and as no
timer counts on both of an instant's lines, a waiter asks the clock each time that it is woken, never the timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import os
import struct
import sys
import time
from typing import Protocol

from tenure.clock import NS_PER_S, Clock, Instant, KernelClock, ns

_NEVER_NS = 2**62
_SLEWING_BY_NS = 5_000_000
"""Below this much time left, what slewing could make of it (a tenth) is less than a timer's own lateness matters."""


class Waiter(Protocol):
    """What lets a task wait for an instant: the kernel's alarm, or the time in a test's hand."""

    async def until(self, instant: Instant) -> None:
        """Return when, of a deadline, it must be taken to have come: either of its lines says so."""
        ...

    async def until_surely(self, instant: Instant) -> None:
        """Return when what is *waited* for has surely passed: the unslewed line says so."""
        ...


def boot_instant(boot_ns: int) -> Instant:
    """The instant at which `CLOCK_BOOTTIME` alone reads `boot_ns`, whatever the other line says."""
    return Instant(boot_ns, _NEVER_NS)


class Alarm:
    """Wakes tasks of one event loop at instants, also when the host has slept meanwhile. One timer file for all of them."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or KernelClock()
        self._file: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._serial = itertools.count()

    async def until(self, instant: Instant) -> None:
        """Return when either line of `instant` has been reached; at once when it has. Cancelling forgets the wait."""
        while not instant.reached(now := self._clock.now()):
            await self._sleep(now, instant.left_ns(now))

    async def until_surely(self, instant: Instant) -> None:
        """Return when the unslewed line of `instant` has been reached."""
        while not instant.surely_passed(now := self._clock.now()):
            await self._sleep(now, instant.raw_ns - now.raw_ns)

    def close(self) -> None:
        """Give the timer back; whoever still waits is cancelled."""
        for _, _, future in self._waiting:
            future.cancel()
        self._waiting.clear()
        if self._file is not None and self._loop is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = None

    async def _sleep(self, now: Instant, left_ns: int) -> None:
        # The timer counts slewed time, so a long wait is halved in by tenths: the last step is too short to be slewed.
        step = left_ns if left_ns <= _SLEWING_BY_NS else left_ns - left_ns // 10
        future = self._open().create_future()
        heapq.heappush(self._waiting, (now.boot_ns + max(step, 1), next(self._serial), future))
        self._arm()
        await future

    def _open(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._file is None:
            self._file, self._loop = _timer_file(), loop
            loop.add_reader(self._file, self._fired)
        elif loop is not self._loop:
            raise RuntimeError("an Alarm belongs to the event loop that first waited on it")
        return loop

    def _fired(self) -> None:
        assert self._file is not None
        with contextlib.suppress(BlockingIOError):
            os.read(self._file, 8)
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        while self._waiting and (self._waiting[0][0] <= now or self._waiting[0][2].done()):
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)
        self._arm()

    def _arm(self) -> None:
        while self._waiting and self._waiting[0][2].done():
            heapq.heappop(self._waiting)
        if self._waiting and self._file is not None:
            _set_timer(self._file, self._waiting[0][0])


class HeldTime:
    """A clock and its alarm in a test's hand: time stands still until `advance` moves it."""

    def __init__(self, start_s: float = 1000.0) -> None:
        self._now = Instant(ns(start_s), ns(start_s))
        self._waiting: list[tuple[Instant, bool, asyncio.Future[None]]] = []

    def now(self) -> Instant:
        """The instant at which the time is held."""
        return self._now

    def advance(self, seconds: float, *, slewed_by: float = 0.0) -> None:
        """Move both lines on; BOOTTIME by `seconds * (1 + slewed_by)`. Whoever waits is woken in the loop's next round."""
        self._now = Instant(self._now.boot_ns + ns(seconds * (1 + slewed_by)), self._now.raw_ns + ns(seconds))
        for instant, surely, future in self._waiting:
            if not future.done() and self._has_come(instant, surely):
                future.set_result(None)
        self._waiting = [waiting for waiting in self._waiting if not waiting[2].done()]

    def next_in_s(self) -> float | None:
        """In how many seconds the first that waits will be woken; None: nobody waits."""
        now = self._now
        left = [
            instant.raw_ns - now.raw_ns if surely else instant.left_ns(now)
            for instant, surely, future in self._waiting
            if not future.done()
        ]
        return min(left) / NS_PER_S if left else None

    async def until(self, instant: Instant) -> None:
        """Return when either line of `instant` has been reached."""
        await self._until(instant, False)

    async def until_surely(self, instant: Instant) -> None:
        """Return when the unslewed line of `instant` has been reached."""
        await self._until(instant, True)

    def _has_come(self, instant: Instant, surely: bool) -> bool:
        return instant.surely_passed(self._now) if surely else instant.reached(self._now)

    async def _until(self, instant: Instant, surely: bool) -> None:
        if not self._has_come(instant, surely):
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((instant, surely, future))
            await future


_TIMERSPEC = struct.Struct("@qqqq")
_TFD_TIMER_ABSTIME = 1
_TFD_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC


if sys.version_info >= (3, 13):

    def _timer_file() -> int:
        return os.timerfd_create(time.CLOCK_BOOTTIME, flags=_TFD_NONBLOCK_CLOEXEC)

    def _set_timer(file: int, boot_ns: int) -> None:
        os.timerfd_settime_ns(file, flags=_TFD_TIMER_ABSTIME, initial=boot_ns)

else:
    import ctypes

    _libc = ctypes.CDLL(None, use_errno=True)

    def _timer_file() -> int:
        return _checked(_libc.timerfd_create(time.CLOCK_BOOTTIME, _TFD_NONBLOCK_CLOEXEC))

    def _set_timer(file: int, boot_ns: int) -> None:
        spec = _TIMERSPEC.pack(0, 0, *divmod(boot_ns, 1_000_000_000))
        _checked(_libc.timerfd_settime(file, _TFD_TIMER_ABSTIME, spec, None))

    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
