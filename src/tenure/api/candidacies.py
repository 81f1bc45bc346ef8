"""Candidacies of one connection: begun, shown what the mirror shows, held as a scope, given up within a limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tenure.alarm import Waiter
from tenure.clock import Clock, Instant, ns
from tenure.errors import BadInput, StoreUnreachable, TimedOut
from tenure.howto.leaving import Leaving
from tenure.model.mirror import Mirror
from tenure.model.snapshot import MirrorSnapshot, Segment
from tenure.office.driver import Answer, Candidate, OfficeView

T = TypeVar("T")

Show = Callable[[MirrorSnapshot], OfficeView]


@dataclass(slots=True)
class Standing:
    """A candidacy, and for how many bodies it is held at the moment."""

    candidate: Candidate
    show: Show
    stepping: Leaving
    """Has it step back while the place where the program runs is drained."""
    folder: str = ""
    """The prefix of all keys that it is shown, if they are a segment of the mirror's."""
    seen: Segment | None = None
    """That segment, as it was shown last."""
    bodies: int = 0
    """Of tasks that hold the office, or wait for it."""
    leaving: asyncio.Task[None] | None = field(default=None)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long somebody waits: until `limit`, which is `seconds` after they began to; None: without end."""

    seconds: float | None
    limit: Instant | None

    def over(self, office: str) -> TimedOut:
        """What is said when it has run out."""
        return TimedOut(f"{office} was not to be had within {self.seconds:g} s")


class Times:
    """A clock and what waits for its instants; all limits of this folder are kept by it."""

    def __init__(
        self, clock: Clock, waiter: Waiter, giving_up: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        """`giving_up`: entered while something is given up, so that a test's time can pass meanwhile."""
        self.clock, self.waiter, self.giving_up = clock, waiter, giving_up

    def limit(self, seconds: float | None) -> Instant | None:
        """The instant that is `seconds` from now; None: never. Raises BadInput for a negative length."""
        if seconds is None:
            return None
        if seconds < 0:
            raise BadInput(f"a time-out of {seconds:g} s is in the past")
        return self.clock.now().after(ns(seconds))

    def patience(self, seconds: float | None) -> Patience:
        """So much of it from now on. Raises BadInput for a negative length."""
        return Patience(seconds, self.limit(seconds))

    async def by(self, limit: Instant | None, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns or raises; TimeoutError, once it is cancelled, when `limit` (None: never) comes first."""
        if limit is None:
            return await work
        task = asyncio.ensure_future(work)
        timer = asyncio.ensure_future(self.waiter.until(limit))
        try:
            await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise TimeoutError
        finally:
            timer.cancel()
            task.cancel()
            # What it does as it ends must not overlap with what its caller does next.
            await asyncio.wait({task})


async def sure_answer(standing: Standing, for_s: float | None) -> Answer:
    """What is-leader says to somebody who is answered at this instant. Raises BadInput, StoreUnreachable (can't be known)."""
    answer = await standing.candidate.is_leader(for_s)
    if answer.verdict == "unknown":
        office = standing.candidate.keys.name
        raise StoreUnreachable(
            f"it can't be known whether {standing.candidate.unit} holds {office}: the store is silent"
        )
    return answer


@asynccontextmanager
async def held(standing: Standing, times: Times, mirror: Mirror, patience: Patience) -> AsyncIterator[int]:
    """The next term as a scope, waited for with `patience`; the mirror shows no older picture than its beginning.

    Raises NotLeader as `Candidate.scope`, TimedOut, StoreReplaced.
    """
    candidate = standing.candidate
    if candidate.term is None:
        try:
            await times.by(patience.limit, _elected(candidate, mirror))
        except TimeoutError:
            raise patience.over(candidate.keys.name) from None
    async with candidate.scope() as term:
        # A holder that decided by what it saw before its term could undo what its forerunner did last.
        await mirror.wait_until(lambda snapshot: snapshot.revision >= term)
        yield term


async def _elected(candidate: Candidate, mirror: Mirror) -> None:
    """Return once there is a term. Raises StoreReplaced: then there will be none."""
    waits = {
        asyncio.ensure_future(candidate.until(lambda: candidate.term is not None)),
        asyncio.ensure_future(mirror.lost()),
    }
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in waits:
            task.cancel()
        await asyncio.wait(waits)


async def wait_for(task: asyncio.Task[None]) -> None:
    """Return when `task` is done; it is neither cancelled with the caller, nor are its troubles the caller's."""
    await asyncio.wait({task})
