"""Waiting for instants: on the kernel's clock, and on one that the test holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tenure.alarm import Alarm, HeldTime, boot_instant
from tenure.clock import Instant, KernelClock, ns


@pytest.fixture
async def alarm() -> AsyncIterator[Alarm]:
    made = Alarm()
    yield made
    made.close()


async def test_an_instant_that_has_come_is_not_waited_for(alarm: Alarm) -> None:
    now = KernelClock().now()
    await alarm.until(now)
    await alarm.until_surely(now.after(-1))


@pytest.mark.parametrize("seconds", [0.001, 0.05])
async def test_a_wait_ends_once_the_instant_has_come_and_soon_after(alarm: Alarm, seconds: float) -> None:
    instant = KernelClock().now().after(ns(seconds))
    await asyncio.wait_for(alarm.until(instant), 5)
    now = KernelClock().now()
    assert instant.reached(now)
    await asyncio.wait_for(alarm.until_surely(instant.after(ns(seconds))), 5)
    assert instant.after(ns(seconds)).surely_passed(KernelClock().now())


async def test_the_earliest_of_many_waits_ends_first_whenever_it_was_begun(alarm: Alarm) -> None:
    start = KernelClock().now()
    ended: list[int] = []

    async def wait(number: int) -> None:
        await alarm.until(start.after(ns(0.01 * number)))
        ended.append(number)

    await asyncio.wait_for(asyncio.gather(*(wait(number) for number in (3, 1, 4, 2))), 5)
    assert ended == [1, 2, 3, 4]


async def test_a_cancelled_wait_leaves_the_others_alone(alarm: Alarm) -> None:
    start = KernelClock().now()
    forgotten = asyncio.create_task(alarm.until(start.after(ns(0.01))))
    waiting = asyncio.create_task(alarm.until(start.after(ns(0.02))))
    await asyncio.sleep(0)
    forgotten.cancel()
    await asyncio.wait_for(waiting, 5)
    assert forgotten.cancelled()


async def test_closing_cancels_who_still_waits() -> None:
    alarm = Alarm()
    waiting = asyncio.create_task(alarm.until(KernelClock().now().after(ns(3600))))
    await asyncio.sleep(0)
    alarm.close()
    alarm.close()
    await asyncio.wait([waiting])
    assert waiting.cancelled()


class SlewedClock:
    """The kernel's, with an unslewed line that runs ahead by half: what slewing could do, and more."""

    def __init__(self) -> None:
        self.start = KernelClock().now()

    def now(self) -> Instant:
        now = KernelClock().now()
        return Instant(now.boot_ns, self.start.raw_ns + (now.raw_ns - self.start.raw_ns) * 3 // 2)


async def test_a_deadline_has_come_when_either_line_says_so_however_the_timers_own_is_slewed() -> None:
    clock = SlewedClock()
    alarm = Alarm(clock)
    began = time.monotonic()
    await asyncio.wait_for(alarm.until(clock.start.after(ns(0.3))), 5)
    assert 0.19 < time.monotonic() - began < 0.29
    alarm.close()


def test_an_instant_of_boottime_alone_ignores_the_other_line() -> None:
    assert not boot_instant(10).reached(Instant(9, 10**18))
    assert boot_instant(10).reached(Instant(10, 0))


async def test_held_time_wakes_who_waits_when_it_is_moved_there_and_not_before() -> None:
    held = HeldTime()
    start = held.now()
    waiting = asyncio.create_task(held.until(start.after(ns(5))))
    surely = asyncio.create_task(held.until_surely(start.after(ns(5))))
    await asyncio.sleep(0)
    held.advance(4.9)
    await asyncio.sleep(0)
    assert not waiting.done()
    held.advance(0.09, slewed_by=0.5)
    await asyncio.wait_for(waiting, 5)
    assert not surely.done()
    held.advance(0.01)
    await asyncio.wait_for(surely, 5)
