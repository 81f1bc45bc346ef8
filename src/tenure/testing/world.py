"""A world in a test's hand: one store in memory, as many connections as the test makes, and time that passes when it says so."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from tenure.alarm import HeldTime
from tenure.api import Connection, Office, Unit
from tenure.api.candidacies import Standing
from tenure.api.connection import HeldWorld, held_worlds
from tenure.errors import BadInput, Failed
from tenure.office.driver import Candidate
from tenure.store.api import Store
from tenure.testing.cut import CuttableStore

Who = Office | Unit
"""Who can be elected and deposed: an office, of one connection, that is waited for or held; a unit."""

ROUNDS = 100
"""How often the event loop goes round until all that has happened is taken to have been seen by everyone."""

ELECTION_WITHIN_S = 120.0
"""Virtual seconds within which an election must have come about: a minute's lease that runs out, twice."""

_serial = itertools.count(1)


class World:
    """A store in memory, in virtual time. The fixture `tenure_world` is one; elsewhere it is a context manager.

    Time stands still but for `pass_time`, `depose` and `elect`; and while something is given up (a block or a connection is
    left) it passes as far as is still owed, so that no test waits for its own clock.
    """

    def __init__(self) -> None:
        self.url = f"memory://tenure-testing-{next(_serial)}"
        """For `tenure.connect`."""
        self._time = HeldTime()
        self._began = self._time.now()
        self._stores: dict[int, CuttableStore] = {}
        self._held = HeldWorld(self._time, self._time, self._wrap, self._while_giving_up)
        self._giving_up = 0
        self._passing: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        held_worlds[self.url] = self._held
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held_worlds.pop(self.url, None)

    @property
    def now_s(self) -> float:
        """Virtual seconds since the world began."""
        return (self._time.now().boot_ns - self._began.boot_ns) / 1e9

    async def pass_time(self, seconds: float) -> None:
        """Let so much time pass; on return everyone has done what there was to do in it: renewed, expired, elected.

        Raises BadInput for a negative length.
        """
        if seconds < 0:
            raise BadInput(f"time can't pass for {seconds:g} s")
        end_s = self.now_s + seconds
        await self.settle()
        while self._step(end_s - self.now_s):
            await self.settle()

    async def settle(self) -> None:
        """Let everyone do what there is to do at this instant."""
        for _ in range(ROUNDS):
            await asyncio.sleep(0)

    async def elect(self, who: Who) -> int:
        """Have `who` hold its office, whoever holds it now; returns the term's number.

        What the present holder has promised (`is_leader`) is broken, as `tenure transfer --now` would; its block is cancelled.
        Raises BadInput when `who` is no candidate: a task must be in its `hold`, or a unit have joined as a candidate. Failed when it isn't elected, being cut off for one.
        """
        await self.settle()
        candidate = self._candidate(who)

        async def hand_over() -> None:
            holder = self._holder(candidate)
            if holder is not None and holder is not candidate:
                await holder.transfer(candidate.unit, at_once=True)

        waited_s = 0.0
        while not _holds(candidate) and waited_s < ELECTION_WITHIN_S:
            handing_over = asyncio.create_task(hand_over())
            for _ in range(15):
                await self.pass_time(0.1)
                waited_s += 0.1
                if handing_over.done() and _holds(candidate):
                    break
            handing_over.cancel()
            await asyncio.gather(handing_over, return_exceptions=True)
        if candidate.term is None:
            raise Failed(f"{candidate.unit} is not elected within {ELECTION_WITHIN_S:g} s: it is {candidate.state}")
        await self.settle()
        return candidate.term

    async def depose(self, who: Who) -> None:
        """Have `who` lose its office as by a store that is silent for too long; then the store is there again.

        On return its term is over and its block is cancelled; as much virtual time has passed as the lease could ride out,
        20 s with one of 60 s. Whoever waits for the office has it or will get it, `who` last of all. Raises BadInput when it doesn't hold it.
        """
        candidate = self._candidate(who)
        if candidate.term is None:
            raise BadInput(f"{candidate.unit} does not hold {candidate.keys.name}, so it can't be deposed")
        self.partition(who)
        try:
            await self._pass_until(lambda: candidate.term is None)
        finally:
            self.heal(who)
        await self.settle()

    def partition(self, *who: Who | Connection) -> None:
        """Cut the connections of `who` off from the store: their calls fail, and they see no news. Time does the rest."""
        for one in who:
            self._store_of(one).cut()

    def heal(self, *who: Who | Connection) -> None:
        """Let them through again; without arguments, everyone."""
        for store in [self._store_of(one) for one in who] or list(self._stores.values()):
            store.heal()

    # ---- how

    def _wrap(self, store: Store) -> Store:
        wrapped = CuttableStore(store)
        self._stores[id(wrapped)] = wrapped
        return wrapped

    def _store_of(self, who: Who | Connection) -> CuttableStore:
        connection = who if isinstance(who, Connection) else who.connection
        store = connection.workings.store
        if not isinstance(store, CuttableStore) or id(store) not in self._stores:
            raise BadInput("this belongs to another world", hint="connect to the world's url")
        return store

    def _candidate(self, who: Who) -> Candidate:
        self._store_of(who)
        standing: Standing | None = who._standing
        if standing is None:
            raise BadInput(
                f"nobody waits for {who.name} here",
                hint="its hold must be under way in another task; or a unit joins with candidate=True",
            )
        return standing.candidate

    def _holder(self, candidate: Candidate) -> Candidate | None:
        """The candidacy that holds the office, in whichever connection it is."""
        for connection in self._held.connections:
            for standing in connection.workings.standings:
                other = standing.candidate
                if other.keys.holder == candidate.keys.holder and other.term is not None:
                    return other
        return None

    async def _pass_until(self, condition: Callable[[], bool]) -> None:
        until_s = self.now_s + 2 * ELECTION_WITHIN_S
        await self.settle()
        while not condition() and self._step(until_s - self.now_s):
            await self.settle()

    def _step(self, most_s: float) -> bool:
        """Move on to the next instant that somebody waits for, or by `most_s`; whether there was anything left to pass."""
        if most_s <= 0:
            return False
        next_s = self._time.next_in_s()
        self._time.advance(most_s if next_s is None else min(most_s, max(next_s, 1e-9)))
        return True

    @contextmanager
    def _while_giving_up(self) -> Iterator[None]:
        self._giving_up += 1
        if self._passing is None or self._passing.done():
            self._passing = asyncio.create_task(self._pass_while_giving_up())
        try:
            yield
        finally:
            self._giving_up -= 1

    async def _pass_while_giving_up(self) -> None:
        await self.settle()
        while self._giving_up:
            if self._time.next_in_s() is not None:
                self._step(ELECTION_WITHIN_S)
            await self.settle()


def _holds(candidate: Candidate) -> bool:
    return candidate.term is not None
