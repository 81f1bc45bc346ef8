"""Candidacies of one connection: begun, shown what the mirror shows, held as a scope, given up within a limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tenure.alarm import Waiter
from tenure.clock import Clock, ns
from tenure.errors import BadInput, StoreUnreachable, TimedOut
from tenure.model.mirror import Mirror
from tenure.model.snapshot import MirrorSnapshot
from tenure.office.driver import Answer, Candidate, OfficeView, Session

T = TypeVar("T")

Show = Callable[[MirrorSnapshot], OfficeView]


@dataclass(slots=True)
class Standing:
    """A candidacy, and for how many bodies it is held at the moment."""

    candidate: Candidate
    show: Show
    bodies: int = 0
    """Of tasks that hold the office, or wait for it."""
    leaving: asyncio.Task[None] | None = field(default=None)


class Times:
    """A clock and what waits for its instants; all limits of this folder are kept by it."""

    def __init__(self, clock: Clock, waiter: Waiter) -> None:
        self.clock, self.waiter = clock, waiter

    async def within(self, seconds: float | None, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns or raises; TimeoutError, once it is cancelled, when `seconds` (None: no limit) pass first."""
        if seconds is None:
            return await work
        if seconds < 0:
            work.close()
            raise BadInput(f"a time-out of {seconds:g} s is in the past")
        task = asyncio.ensure_future(work)
        timer = asyncio.ensure_future(self.waiter.until(self.clock.now().after(ns(seconds))))
        try:
            await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise TimeoutError
        finally:
            timer.cancel()
            task.cancel()


def begin(session: Session, make: Callable[[], Candidate], show: Show, now: MirrorSnapshot) -> Standing:
    """A candidacy from now on. `now`: what the mirror shows."""
    standing = Standing(make(), show)
    standing.candidate.saw(show(now))
    return standing


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
async def held(standing: Standing, times: Times, mirror: Mirror, timeout_s: float | None) -> AsyncIterator[int]:
    """The next term as a scope, waited for no longer than `timeout_s`; the mirror shows no older picture than its beginning.

    Raises NotLeader as `Candidate.scope`, TimedOut.
    """
    candidate = standing.candidate
    if candidate.term is None:
        try:
            await times.within(timeout_s, candidate.until(lambda: candidate.term is not None))
        except TimeoutError:
            raise TimedOut(f"{candidate.unit} did not get {candidate.keys.name} within {timeout_s:g} s") from None
    async with candidate.scope() as term:
        # A holder that decided by what it saw before its term could undo what its forerunner did last.
        await mirror.wait_until(lambda snapshot: snapshot.revision >= term)
        yield term
