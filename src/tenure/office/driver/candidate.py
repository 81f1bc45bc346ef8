"""The driver of a candidacy: performs what its machine decides, and lets the agent ask, release, transfer and withdraw."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tenure.alarm import Waiter
from tenure.clock import Clock, Instant
from tenure.errors import BadInput, LeaseLost, NotLeader, StoreUnreachable, StoreUnsure, Unsure
from tenure.office import decisions as d
from tenure.office.candidacy import Candidacy
from tenure.office.driver.calls import Tasks, Ticker, within
from tenure.office.driver.guarding import Guarding
from tenure.office.driver.ledger import Ledger
from tenure.office.driver.scope import Body, BodyCancelled
from tenure.office.driver.session import Log, Session
from tenure.office.keys import OfficeKeys, OfficeView
from tenure.office.records import Present, encode
from tenure.office.restored import raise_to
from tenure.store.api import Committed, Compare, Refused, Store, created_at, modified_at

SAVE_TERMS_AFTER_S = 0.5

_STOPPED = "the agent has stopped"
_NEVER = 1 << 62
"""A mod revision that no key has: a commit that compares it reads, linearizably and at one revision."""


class Candidate:
    """One unit's candidacy for one office.

    `term` is the term believed in, None from the instant at which that ends; `on_change` is called when it changes.
    All methods belong to the desk's event loop.
    """

    def __init__(
        self,
        session: Session,
        machine: Candidacy,
        store: Store,
        clock: Clock,
        waiter: Waiter,
        ledger: Ledger,
        log: Log,
        on_change: Callable[[], None],
        guard: Guarding | None = None,
    ) -> None:
        self.session = session
        self.machine = machine
        self.keys: OfficeKeys = machine.keys
        self.unit = machine.unit
        self._id = f"{machine.keys.name} {machine.unit}"
        self._store, self._clock, self._waiter, self._ledger, self._log = store, clock, waiter, ledger, log
        self._on_change = on_change
        self._guard = guard
        self._tasks = Tasks()
        self._ticker = Ticker(clock, waiter, self._tasks, machine.wake_in_ns, self._tick)
        self._asks = 0
        self._complaint = ""
        self._said_went_back = False
        self._present: Present | None = None
        self._asked: dict[int, asyncio.Future[d.Answer]] = {}
        self._overs: dict[int, list[asyncio.Future[str]]] = {}
        self._transfers: dict[str, asyncio.Future[str]] = {}
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._bodies: list[Body] = []
        self._todo: deque[d.Decision] = deque()
        self._performing = False
        self.closed = False
        self._withdrawing: asyncio.Task[None] | None = None
        session.on_moved.append(self._tick)

    # ---- what is known

    @property
    def term(self) -> int | None:
        """The term believed in: not deposed, not ending."""
        return self.machine.term

    @property
    def held_since(self) -> Instant | None:
        """Since when."""
        return self.machine.held_since

    @property
    def state(self) -> str:
        """For people: watching, in line, claiming, waiting out, holding, ending, giving up, cleaning up."""
        return self.machine.state

    def explain(self) -> dict[str, str | int | float | None]:
        """Why it is as it is, for people and programs: the state, its term, the reason of the last end, what it waits for."""
        now = self._clock.now()
        return {
            "office": self.keys.name,
            "unit": self.unit,
            "state": self.machine.state,
            "term": self.machine.number or None,
            "because": self.machine.because,
            "surely_left_s": max(0.0, self.session.machine.sure_ns(now) / 1e9),
            "owed_s": self.machine.owed_ns(now) / 1e9,
            "leases_lost": self.session.lost,
            "store_went_back_behind_term": self.machine.store_went_back or None,
        }

    def fence(self, term: int) -> Compare:
        """What every write made as leader in `term` compares: it lands in that term, or never."""
        return modified_at(self.keys.holder, term)

    # ---- what is asked

    def begin(self) -> None:
        """Be a candidate."""
        self._feed(self.machine.begin(self._clock.now()))

    def prefer(self, priority: int) -> None:
        """Stand in line by this priority from now on: the greater comes first at the next vacancy."""
        self._feed(self.machine.prefer(self._clock.now(), priority))

    def saw(self, view: OfficeView) -> None:
        """The mirror shows this."""
        self.machine.may_end_early = self._store.traits.may_end_early
        self._feed(self.machine.saw(self._clock.now(), view))
        if self._ledger.note_term(self.keys.name, self.machine.picture.number()):
            # Not now: an election is what is under way.
            asyncio.get_running_loop().call_later(SAVE_TERMS_AFTER_S, self._ledger.save_terms)
        if not self._said_went_back and (known := self.machine.store_went_back):
            self._said_went_back = True
            self._log(
                "no candidate: the store was put back to an older state",
                office=self.keys.name,
                unit=self.unit,
                term=known,
                revision=view.revision,
                hint=f"end all agents, then: tenure store raise-terms {raise_to(known)}",
            )
        if self._present is not None:
            self._keep()

    async def is_leader(
        self, span_s: float | None = None, *, debtor: str | None = None, term: int | None = None
    ) -> d.Answer:
        """Whether the unit holds the office for `span_s` more (None: the guarantee), renewing first where too little is sure.

        Promises: a yes is true until `span_s` after the last instant at which it may be printed, and no voluntary end
        comes before; unless `debtor`, to whom it is owed, is settled. In any other term than `term` the answer is no.
        Times: answers within two requests' time-outs. Cancelling: a yes may be owed that nobody has heard.
        Raises: BadInput for a span that no lease of this length can give.
        """
        span_ns = self.session.timing.span_ns(span_s)
        if self.closed:
            return d.Answer("unknown")
        self._asks += 1
        ask = self._asks
        future: asyncio.Future[d.Answer] = asyncio.get_running_loop().create_future()
        self._asked[ask] = future
        try:
            self._feed(self.machine.ask(self._clock.now(), ask, span_ns, debtor=debtor, term=term))
            return await future
        finally:
            self._asked.pop(ask, None)

    def settle(self, debtor: str) -> None:
        """That debtor is gone with all its processes, and its flush is settled: nothing is owed to it any more."""
        self._feed(self.machine.settle(self._clock.now(), debtor))

    async def release(self, *, at_once: bool = False) -> None:
        """End the term, if there is one, once all that is owed has passed; `at_once` breaks the debts, and the history says so.

        Returns when the key is surely gone. Cancelling: the term ends all the same. Raises StoreUnreachable when the
        desk is closed meanwhile: a successor of this process goes on with it.
        """
        over = self._over(self.machine.number)
        self._feed(self.machine.release(self._clock.now(), at_once=at_once))
        if self.machine.number and await over == _STOPPED:
            raise self._stopped()

    async def transfer(self, to: str, *, at_once: bool = False) -> bool:
        """Hand the office to the unit `to`, without a gap, once all that is owed has passed.

        False: nothing has changed, for `to` isn't there or has not answered within a second, or this unit isn't the
        holder; or, rarely, the term has ended otherwise (`term` says which).
        """
        over = self._over(self.machine.number)
        if (under_way := self._transfers.get(to)) is not None:
            if at_once:
                self._feed(self.machine.transfer(self._clock.now(), to, at_once=True))
            await asyncio.wait((under_way, over), return_when=asyncio.FIRST_COMPLETED)
            return over.done() and over.result().startswith("transferred")
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._transfers[to] = outcome
        self._feed(self.machine.transfer(self._clock.now(), to, at_once=at_once))
        try:
            await asyncio.wait((outcome, over), return_when=asyncio.FIRST_COMPLETED)
            return over.done() and over.result().startswith("transferred")
        finally:
            self._transfers.pop(to, None)
            outcome.cancel()

    async def withdraw(self) -> None:
        """Be no candidate any more: a term is released once nothing is owed, the present key goes.

        Returns when no key of the office is this unit's, nor can become it; may be called again meanwhile. Cancelling:
        it goes on.
        """
        await asyncio.shield(self.step_back())

    def step_back(self) -> asyncio.Task[None]:
        """Begin what `withdraw` waits for: nothing is claimed from now on."""
        if self._withdrawing is None:
            self._feed(self.machine.withdraw(self._clock.now()))
            self._withdrawing = self._tasks.start(self._withdraw())
        return self._withdrawing

    async def come_back(self) -> None:
        """Be a candidate again after `withdraw`, once that has come to its end."""
        if self._withdrawing is not None:
            await asyncio.shield(self._withdrawing)
            self._withdrawing = None
            self.begin()

    async def _withdraw(self) -> None:
        await self.session.drop(self.keys.present)
        self._feed(self.machine.present_gone(self._clock.now()))
        await self.until(lambda: self.machine.left)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when `condition` holds; it is asked after each event."""
        if not condition():
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((condition, future))
            await future

    @asynccontextmanager
    async def scope(self) -> AsyncIterator[int]:
        """The next term of this unit's, or the one it is in, as a cancel scope: `async with candidate.scope() as term`.

        Promises: nobody else holds the office while the body runs. The body is cancelled as soon as the term is not
        believed in any more, a guarantee before it can end by itself; an end on purpose waits for the body.
        Raises: NotLeader when the body was cancelled so; no write of that term lands any more where it is fenced.
        """
        while (term := self.term) is None:
            await self.until(lambda: self.term is not None)
        body = Body(term)
        if not any(other.term == term for other in self._bodies):
            self._feed(self.machine.work_begun(self._clock.now(), term))
        self._bodies.append(body)
        try:
            with body:
                yield term
        except BodyCancelled:
            raise NotLeader(f"{self.unit} does not hold {self.keys.name} any more: term {term} has ended") from None
        finally:
            self._bodies.remove(body)
            if not any(other.term == term for other in self._bodies):
                self._feed(self.machine.work_gone(self._clock.now(), term))

    def let_go(self, *, given_up: bool = False) -> None:
        """Begin to end the term, if there is one; as `release`, which waits for it. `given_up`: this unit isn't fit for it."""
        self._feed(self.machine.release(self._clock.now(), given_up=given_up))

    def guard_acknowledged(self, term: int, until: Instant) -> None:
        """The guard of the term will have ended all its work by `until`."""
        self._feed(self.machine.guard_acknowledged(self._clock.now(), term, until))

    def guard_gone(self, term: int) -> None:
        """The guard of the term is dead, or refuses to go on."""
        self._feed(self.machine.guard_gone(self._clock.now(), term))

    def work_found(self, term: int) -> None:
        """A forerunner's work of the term is there yet, or its guard. Before `begin` alone."""
        self._feed(self.machine.work_found(self._clock.now(), term))

    def work_gone(self, term: int) -> None:
        """Nothing of the term's work is left on this host, and its leader-deposed has ended."""
        self._feed(self.machine.work_gone(self._clock.now(), term))

    async def close(self) -> None:
        """Stop, as if the process had died: nothing is given up, nothing is answered any more."""
        if self.closed:
            return
        self.closed = True
        self.session.on_moved.remove(self._tick)
        await self._tasks.cancel()
        for future in (future for _, future in self._waiting if not future.done()):
            future.set_exception(self._stopped())
        for asked in (asked for asked in self._asked.values() if not asked.done()):
            asked.set_result(d.Answer("unknown"))
        for over in (over for overs in self._overs.values() for over in overs if not over.done()):
            over.set_result(_STOPPED)

    # ---- how

    def _feed(self, decisions: Sequence[d.Decision]) -> None:
        self._todo.extend(decisions)
        if self._performing or self.closed:
            return
        self._performing = True
        try:
            while self._todo:
                self._perform(self._todo.popleft())
        finally:
            self._performing = False
        self._ticker.arm()
        if self._waiting:
            self._wake_waiting()

    def _tick(self) -> None:
        self._feed(self.machine.tick(self._clock.now()))

    def _perform(self, decision: d.Decision) -> None:
        match decision:
            case d.Answered(ask=ask, answer=answer):
                if (future := self._asked.get(ask)) is not None and not future.done():
                    future.set_result(answer)
            case d.Commit():
                self._tasks.start(self._commit(decision))
            case d.ReadOffice(call=call):
                self._tasks.start(self._read(call))
            case d.SaveEnding(ending=ending):
                self._ledger.save_ending(self._id, ending)
            case d.DropEnding(term=term):
                self._ledger.drop_ending(self._id, term)
            case d.RenewFirst():
                self.session.renew_now()
            case d.LeaseGone(lease=lease):
                self.session.lease_gone(lease)
            case d.Keep(present=present):
                self._present = present
                self._keep()
            case d.Moved():
                self.session.moved()
            case d.Arm(term=term, until=until):
                if self._guard is not None:
                    self._guard.arm(term, until)
            case d.EndWork(term=term, deadline=deadline, because=because):
                if self._guard is not None:
                    self._guard.end(term, deadline, because)
            case d.Elected(term=term):
                self._log("elected", office=self.keys.name, unit=self.unit, term=term)
                if self._guard is not None:
                    self._guard.elected(term)
                self._tell()
            case d.Disbelieved(term=term, because=because):
                self._log("term ends", office=self.keys.name, unit=self.unit, term=term, because=because)
                for body in self._bodies:
                    if body.term == term:
                        body.cancel()
                self._tell()
            case d.Over(term=term, how=how):
                self._log("term over", office=self.keys.name, unit=self.unit, term=term, how=how)
                if self._guard is not None:
                    self._guard.over(term)
                for over in self._overs.pop(term, ()):
                    if not over.done():
                        over.set_result(how)
            case d.TransferFailed(to=to, why=why):
                if (failed := self._transfers.get(to)) is not None and not failed.done():
                    failed.set_result(why)

    def _keep(self) -> None:
        """Put the present key, once the unit's own record is known: a put that lands late, after the unit is gone, is void."""
        created = self.machine.unit_created
        if self._present is None or self._withdrawing is not None or (self.keys.unit_info and not created):
            return
        when = (created_at(self.keys.unit_info, created),) if self.keys.unit_info else ()
        self.session.keep(self.keys.present, encode(self._present), when)
        self._present = None

    def _tell(self) -> None:
        # Later in the loop: what the listener does, or raises, must not come between two decisions.
        asyncio.get_running_loop().call_soon(self._on_change)

    async def _commit(self, decision: d.Commit) -> None:
        machine, call = self.machine, decision.call
        try:
            outcome = await self._within(self._store.commit(decision.when, decision.then))
        except StoreUnsure as error:
            self._complain(f"unsure of its {decision.purpose}", error)
            self._feed(machine.unsure(self._clock.now(), call))
        except LeaseLost:
            self._feed(machine.lease_gone(self._clock.now(), call))
        except (Unsure, BadInput) as error:
            self._complain(f"could not {decision.purpose}", error)
            self._feed(machine.unreachable(self._clock.now(), call))
        else:
            self._complaint = ""
            if isinstance(outcome, Committed):
                self._feed(machine.committed(self._clock.now(), call, outcome.revision))
            else:
                self._feed(machine.refused(self._clock.now(), call, outcome.revision, outcome.current))

    async def _read(self, call: int) -> None:
        keys = [key for key in (self.keys.holder, self.keys.last, self.keys.unit_info) if key]
        try:
            outcome = await self._within(self._store.commit([modified_at(key, _NEVER) for key in keys], ()))
        except Unsure as error:
            self._complain("could not read", error)
            self._feed(self.machine.unreachable(self._clock.now(), call))
            return
        assert isinstance(outcome, Refused)
        self._complaint = ""
        current = outcome.current
        found = (current.get(self.keys.holder), current.get(self.keys.last), current.get(self.keys.unit_info))
        self._feed(self.machine.read(self._clock.now(), call, outcome.revision, *found))

    def _complain(self, what: str, error: Exception) -> None:
        # What is tried again several times a second fails so too: said once, until something succeeds.
        if self._complaint != (complaint := f"{what}: {error}"):
            self._complaint = complaint
            self._log(what, office=self.keys.name, unit=self.unit, error=str(error))

    async def _within(self, call: Coroutine[Any, Any, Committed | Refused]) -> Committed | Refused:
        limit = self._clock.now().after(self.session.timing.commit_timeout_ns)
        return await within(self._waiter, limit, call)

    def _stopped(self) -> StoreUnreachable:
        return StoreUnreachable(f"{self.unit} is no candidate for {self.keys.name} any more: its agent has stopped")

    def _over(self, number: int) -> asyncio.Future[str]:
        over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if number:
            self._overs.setdefault(number, []).append(over)
        return over

    def _wake_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for condition, future in waiting:
            if future.done():
                continue
            if condition():
                future.set_result(None)
            else:
                self._waiting.append((condition, future))
