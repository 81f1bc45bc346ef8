"""A unit waits for news or for an instant, and for nothing at all once it is to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tenure.agent.waking import Waking
from tenure.alarm import Alarm
from tenure.clock import KernelClock, ns
from tests.waiting import until_async


@pytest.fixture
async def clock() -> KernelClock:
    return KernelClock()


@pytest.fixture
async def waking(clock: KernelClock) -> AsyncIterator[Waking]:
    alarm = Alarm(clock)
    waking = Waking(clock, alarm)
    yield waking
    waking.close()
    alarm.close()


async def waiting(waking: Waking, *arguments: object, **options: object) -> asyncio.Task[None]:
    task = asyncio.create_task(waking.wait(*arguments, **options))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    return task


async def test_news_ends_the_wait(waking: Waking) -> None:
    task = await waiting(waking)
    assert not task.done()
    waking.wake()
    await until_async(task.done)


async def test_what_was_looked_at_is_no_news(waking: Waking) -> None:
    waking.wake()
    waking.look()
    task = await waiting(waking)
    assert not task.done()
    task.cancel()


async def test_the_instant_ends_the_wait(waking: Waking, clock: KernelClock) -> None:
    instant = clock.now().after(ns(0.02))
    async with asyncio.timeout(5):
        await waking.wait(instant)
    assert instant.reached(clock.now())


async def test_whatever_comes_only_the_instant_ends_the_wait(waking: Waking, clock: KernelClock) -> None:
    instant = clock.now().after(ns(0.05))
    task = await waiting(waking, instant, whatever_comes=True)
    waking.wake()
    async with asyncio.timeout(5):
        await task
    assert instant.reached(clock.now())


async def test_who_is_to_stop_waits_for_nothing(waking: Waking, clock: KernelClock) -> None:
    task = await waiting(waking, clock.now().after(ns(100)), whatever_comes=True)
    waking.stop()
    await until_async(task.done)
    waking.look()
    await waking.wait(None)


async def test_asking_for_the_same_instant_again_keeps_the_timer(waking: Waking, clock: KernelClock) -> None:
    instant = clock.now().after(ns(0.05))
    for _ in range(3):
        task = await waiting(waking, instant)
        waking.wake()
        await until_async(task.done)
        waking.look()
    async with asyncio.timeout(5):
        await waking.wait(instant)
    assert instant.reached(clock.now())
