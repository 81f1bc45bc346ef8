"""Waiting in tests: for a condition, with a limit, never for a length of time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY_S = 0.005


def until(condition: Callable[[], T], *, within_s: float = 10.0, what: str = "") -> T:
    """What `condition` returns once it is truthy. Fails the test when that takes more than `within_s`."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what or condition}"
        time.sleep(LOOK_EVERY_S)
    return found


async def until_async(condition: Callable[[], T], *, within_s: float = 10.0, what: str = "") -> T:
    """As `until`, letting the event loop run meanwhile."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what or condition}"
        await asyncio.sleep(LOOK_EVERY_S)
    return found
