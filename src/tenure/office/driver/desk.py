"""A desk: one machine's sessions and candidacies, over one store, with what must outlive the process in one folder."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

from tenure.alarm import Waiter
from tenure.clock import Clock
from tenure.errors import BadInput
from tenure.office.candidacy import Candidacy
from tenure.office.driver.candidate import Candidate
from tenure.office.driver.guarding import Guarding
from tenure.office.driver.ledger import Ledger
from tenure.office.driver.session import Log, Session
from tenure.office.keys import OfficeKeys
from tenure.office.timing import Timing
from tenure.store.api import Store


class Desk:
    """One agent's part in all offices of its units.

    Promises: a desk on the same folder in the same boot, after this process's death, takes its leases and terms up
    again, owes what this one may have promised, and ends what this one has begun to end. Whoever opens a desk holds
    the folder's lock, and the machine's name: two desks that speak for one machine are outside of every promise.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        alarm: Waiter,
        folder: Path,
        machine: str,
        boot_id: str,
        log: Log,
        *,
        wall: Callable[[], str] = lambda: "",
        beside: Path | None = None,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """`wall`: the time of day as text, for the history. Raises OSError where the folder can't be written.

        `beside`: a file outside of what may be copied back with the folder, in a place that is emptied at boot: with it an
        older copy of what was saved is noticed, and nothing is taken up again. `dice`: draws between 0 and 1 for the waits
        before retries; for tests.
        """
        self.machine = machine
        self._store, self._clock, self._alarm, self._log, self._wall = store, clock, alarm, log, wall
        self._dice = dice
        self._ledger = Ledger(folder, boot_id, beside)
        if self._ledger.outdated:
            log("what was saved is an older copy: nothing is taken up again", folder=str(folder))
        self._ledger.note_start(clock.now())
        self._known = dict(self._ledger.known_terms)
        self._sessions: dict[str, Session] = {}
        self._candidates: list[Candidate] = []

    async def session(self, name: str, timing: Timing) -> Session:
        """The session of this name: the saved lease of a former process taken up again, or a new one asked for.

        It has its lease only once the store has answered. Raises BadInput for a lease that the store can't give.
        """
        if name not in self._sessions:
            traits = self._store.traits
            if not traits.least_ttl_s <= timing.ttl_s <= traits.most_ttl_s:
                raise BadInput(
                    f"{self._store.url} has leases from {traits.least_ttl_s} s to {traits.most_ttl_s} s, not {timing.ttl_s} s"
                )
            session = Session(name, timing, self._store, self._clock, self._alarm, self._ledger, self._log, self._dice)
            self._sessions[name] = session
            session.start()
        return self._sessions[name]

    def candidate(
        self,
        session: Session,
        keys: OfficeKeys,
        unit: str,
        *,
        priority: int = 0,
        on_change: Callable[[], None],
        guard: Guarding | None = None,
        found: int = 0,
        promises: bool = True,
        begin: bool = True,
    ) -> Candidate:
        """The unit's candidacy, from now on; it sees nothing before the first `saw`.

        `guard`: who has its terms' work guarded. `found`: the term of which work, or its guard, was found on this host.
        `promises`: whether questions are ever answered with True for it. `begin`: False, it is no candidate before its own `begin`.
        """
        machine = Candidacy(
            session.machine,
            keys,
            unit,
            self.machine,
            priority=priority,
            may_end_early=self._store.traits.may_end_early,
            guarded=guard is not None,
            promises=promises,
            endings=self._ledger.endings(f"{keys.name} {unit}"),
            known_term=max(self._known.values(), default=0),
            known_here=self._known.get(keys.name, 0),
            wall=self._wall,
        )
        candidate = Candidate(
            session, machine, self._store, self._clock, self._alarm, self._ledger, self._log, on_change, guard
        )
        self._candidates = [other for other in self._candidates if not other.closed]
        self._candidates.append(candidate)
        if found:
            candidate.work_found(found)
        if begin:
            candidate.begin()
        return candidate

    def hook_finished(self) -> None:
        """A hook has run to its end: the agent isn't one that dies again and again before it gets on with its work."""
        self._ledger.hook_finished()

    async def close(self, *, hand_over: bool) -> None:
        """Stop. With `hand_over` every term is ended first, once nothing is owed any more, and the leases are revoked.

        Cancelling: what has not been handed over stays with its lease, for a successor of this process or until it runs out.
        """
        try:
            if hand_over:
                open_yet = [candidate for candidate in self._candidates if not candidate.closed]
                await asyncio.gather(*(candidate.withdraw() for candidate in open_yet))
                self._ledger.hook_finished()
        finally:
            left = {id(candidate.session) for candidate in self._candidates if not candidate.machine.left}
            for candidate in self._candidates:
                await candidate.close()
            for session in self._sessions.values():
                await session.close(revoke=hand_over and id(session) not in left)
            self._ledger.save_terms()
            if hand_over and not left:
                self._ledger.clear()
            self._candidates.clear()
            self._sessions.clear()
