"""One unit's life in its machine's agent: look at the model, ask the resolver, run the hook, write it down, look again."""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from tenure.agent import sight
from tenure.agent.asked import Asked
from tenure.agent.hook import Hook
from tenure.agent.hooks import Ended
from tenure.agent.host import Host
from tenure.agent.journal import Journal
from tenure.agent.logs import event
from tenure.agent.preparation import Prepared, prepare
from tenure.agent.resolver import Gone, Idle, Next, Resolve, Run, Seen, Skip, Waiting, next_operation
from tenure.agent.scopes import enter_scope
from tenure.agent.singletons.unit import Singletons
from tenure.agent.waking import Waking
from tenure.clock import ns
from tenure.defaults import UPDATE_STATUS_S
from tenure.errors import No, NotLeader, TenureError, Unsure
from tenure.howto.leaving import Leaving, successors
from tenure.model.application import ApplicationView
from tenure.model.view import ModelView
from tenure.names import LEADER_OFFICE, UnitName
from tenure.office.driver import Candidate

KILLED_PAUSE_S = 3.0
"""How long the agent waits after a hook was killed from outside, for whoever ends the host to come to the agent. Juju's figure."""

ELECTION_WITHIN_S = 1.0
"""How long a unit's hooks wait for the first election that it sees: many times what one takes."""

TRY_AGAIN_FIRST_S, TRY_AGAIN_MOST_S = 0.5, 30.0
"""When what the agent itself does for a unit can't be done now (a silent store, a full disk): doubled up to the second."""


@dataclass(slots=True)
class _Alive:
    """What a unit has once its journal is loaded."""

    journal: Journal
    parts: Prepared
    asked: Asked
    unsaved: Journal | None = None
    """What could not be written down yet: nothing else is done before it is."""


class UnitAgent:
    """Runs one unit until it is gone from the model, or the agent ends."""

    def __init__(
        self,
        host: Host,
        name: UnitName,
        revision: int,
        candidacy: Callable[[Callable[[], None]], Candidate],
        singletons: Singletons,
    ) -> None:
        """`revision`: the create revision of the unit's record. `candidacy` begins the one for the office "leader"."""
        self.host = host
        self.singletons = singletons
        self.name = name
        self.revision = revision
        self.next: Next | None = None
        """What it does, or waits for; for status."""
        self._waking = Waking(host.clock, host.alarm)
        self.candidate = candidacy(self._waking.wake)
        self._leaving = Leaving(self.candidate)
        self._alive: _Alive | None = None
        self.set_up = asyncio.Event()
        """Set once commands can be run for it."""
        self._update_status_at = host.clock.now()
        self._log = logging.getLogger(f"unit.{name}")
        self._tasks: set[asyncio.Task[None]] = set()
        self._resigned = False
        self._shown: list[object] = []

    # ---- for the machine

    async def run(self) -> None:
        """Return when the unit is gone, its terms ended and its keys removed; or when `stop` was called and no hook runs."""
        wait_s = TRY_AGAIN_FIRST_S
        while not self._waking.stopping:
            try:
                if self._alive is None and self._forced():
                    # It goes even where its journal or charm can't be had.
                    await self._end(orderly=False)
                    break
                if self._alive is None:
                    self._alive = await self._prepare()
                    self.set_up.set()
                    await self._settle_leadership()
                if await self._step(self._alive):
                    break
                wait_s = TRY_AGAIN_FIRST_S
            except Exception as error:
                # The agent's other units must not suffer from what this one has met, be it a fault of ours.
                self._trouble(error)
                await self._waking.wait(self.host.clock.now().after(ns(wait_s)), whatever_comes=True)
                wait_s = min(2 * wait_s, TRY_AGAIN_MOST_S)
        self._waking.close()
        if self._alive is not None:
            await self._alive.parts.executor.close()
            await self._alive.asked.close()
            await self._alive.parts.statuses.close()

    def wake(self) -> None:
        """Something has changed that may concern the unit."""
        self._waking.wake()

    def saw(self) -> None:
        """The mirror shows something new."""
        view = self.host.view()
        application = view.applications.get(self.name.application)
        if application is not None:
            own = application.units.get(self.name.number)
            self.candidate.prefer(own.info.priority if own is not None else 0)
            away = self.host.machine in view.drained
            line = successors(view, application, LEADER_OFFICE, str(self.name)) if away else ()
            self._leaving.look(away, line)
            self.candidate.saw(application.office_view(self.name, view.revision))
        self.singletons.saw(application, view)
        found = sight.find(view, self.name, self.revision)
        if found is not None and found[1].info.life == "dying" and self.candidate.term is None and not self._resigned:
            holder = found[0].office().holder
            if holder is None or holder.unit != str(self.name):
                # A dying leader goes on to its last hook; one that dies as a minion is no candidate any more.
                self._resigned = True
                self._leaving.close()
                self._spawn(self.candidate.withdraw())
        if self._alive is not None:
            self._alive.asked.look_for_transfers()
        if self._alive is not None and (found is None or self._forced()) and self._alive.parts.executor.running:
            self._spawn(self._alive.parts.executor.end_running())
        if self._concerns(view, application):
            self.wake()

    def _concerns(self, view: ModelView, application: ApplicationView | None) -> bool:
        """Whether something has changed that the unit is told of, or asked: others' applications are none of its business."""
        numbers = application.info.peer_relations.values() if application else ()
        shown: list[object] = [
            application,
            *(view.snapshot.segment(self.host.layout.relation(number)) for number in numbers),
        ]
        before, self._shown = self._shown, shown
        return len(before) != len(shown) or any(one is not other for one, other in zip(before, shown, strict=True))

    def stop(self) -> None:
        """Start no further hook."""
        self._waking.stop()
        self._leaving.close()

    async def end_running(self) -> None:
        """End the hook that runs, if any; it will run again when the agent is back."""
        if self._alive is not None:
            await self._alive.parts.executor.end_running()

    def kill_running(self) -> None:
        """The same, without a moment's grace; the singletons' processes, too."""
        self.singletons.kill()
        if self._alive is not None:
            self._alive.parts.executor.kill_running()

    def for_commands(self) -> tuple[Prepared, Journal]:
        """What is needed to run commands in the unit's context now. Raises Unsure, No. Whoever calls holds the hook lock."""
        alive = self._alive
        if alive is None:
            raise Unsure(
                f"{self.name} is not set up yet: nothing was run", hint="its agent's log says what it waits for"
            )
        if alive.parts.executor.closed or self._waking.stopping:
            raise No(f"{self.name} or its agent is ending: nothing was run")
        return alive.parts, alive.journal

    @property
    def running(self) -> bool:
        """Whether a hook runs now."""
        return self._alive is not None and self._alive.parts.executor.running

    # ---- one step

    async def _step(self, alive: _Alive) -> bool:
        """Do what is next, or wait until something may be; True when the unit is gone."""
        if alive.unsaved is not None:
            await self._save(alive, alive.unsaved)
        if alive.journal.started and not alive.journal.stopped and alive.journal.boot_id == self.host.boot_id:
            self.singletons.start()
        self._waking.look()
        alive.asked.look(in_error=alive.journal.failed is not None)
        seen = self._seen(alive)
        self.next = (
            Gone(orderly=False) if self._forced() else next_operation(alive.journal, seen, self.host.clock.now())
        )
        match self.next:
            case Run():
                await self._run_next(alive)
            case Skip(hook):
                await self._commit(alive, hook)
            case Resolve(hook, retry):
                journal = alive.journal
                await self._save(alive, journal.again(hook) if retry else journal.committed(hook, self.host.boot_id))
                await alive.asked.resolved(retry)
            case Gone(orderly):
                await alive.parts.statuses.close()
                await self._end(orderly)
                return True
            case Waiting(hook=hook, until=until):
                alive.parts.statuses.failed(hook)
                await self._waking.wait(until)
            case Idle(until):
                alive.parts.statuses.agent_is("idle")
                await self._waking.wait(until)
        return False

    async def _run_next(self, alive: _Alive) -> None:
        if isinstance(self.next, Run) and self.next.hook.kind == "stop":
            # Before the hook, which may remove what they need; and before the lock, as they may take their time.
            await self.singletons.withdraw()
        async with self.host.hook_lock:
            # While the lock was awaited the world has moved: what is next may be something else, or nothing.
            now = self.host.clock.now()
            if self._waking.stopping or self._forced():
                return
            operation = next_operation(alive.journal, self._seen(alive), now)
            if not isinstance(operation, Run):
                return
            hook = operation.hook
            if hook.kind == "relation-created":
                assert hook.relation is not None
                entered = await enter_scope(self.host, self.name, self.revision, hook.relation)
                alive.parts.executor.wrote_at = max(alive.parts.executor.wrote_at, entered)
            alive.parts.statuses.before(hook)
            ended = await alive.parts.executor.execute(alive.journal, hook, self._told())
        await self._after(alive, hook, ended)

    async def _after(self, alive: _Alive, hook: Hook, ended: Ended) -> None:
        journal, now = alive.journal, self.host.clock.now()
        self.host.counters.hooks[self.name.application, hook.kind, ended.how] += 1
        self._put_update_status_off()
        match ended.how:
            case "succeeded":
                await self._commit(alive, hook)
                alive.parts.statuses.after(hook)
            case "failed":
                await self._save(alive, journal.failing(hook, now))
            case "killed":
                await self._save(alive, journal.again(hook))
                if not self._forced():
                    await self._waking.wait(now.after(ns(KILLED_PAUSE_S)), whatever_comes=True)

    async def _end(self, orderly: bool) -> None:
        # Only now: what removes units knows charms, and with them YAML, which an agent is better off without.
        from tenure.model.removal import finish_unit

        if self._alive is not None:
            await self._alive.parts.executor.close()
        self._log.info("%s leaves the model", self.name)
        self._leaving.close()
        while True:
            await asyncio.gather(self.singletons.withdraw(), self.candidate.withdraw())
            try:
                await finish_unit(self.host.store, self.host.layout, self.name)
                break
            except NotLeader:
                # The mirror's holder may be a term that is over already, or one that a late claim has begun.
                await self._waking.wait(self.host.clock.now().after(ns(TRY_AGAIN_FIRST_S)))
        for folder in (self.host.state.unit(self.name), self.host.state.tools(self.name)):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        event(self._log, f"{self.name} is gone", event="unit-gone", unit=str(self.name), orderly=orderly)

    # ---- parts

    async def _prepare(self) -> _Alive:
        prepared = await prepare(self.host, self.name, self.revision, self.candidate, self._log)
        self._put_update_status_off()
        if (guard := self.host.guards.get(self.name)) is not None:
            guard.told = self._told
        return _Alive(prepared.journal, prepared, Asked(self.host, self.name, self.revision, self.candidate))

    def _told(self) -> dict[int, list[str]]:
        """The relations that the unit was told of, with whom it was told of in each."""
        known = self._alive.journal.relations if self._alive is not None else {}
        return {number: list(relation.members) for number, relation in known.items()}

    def _put_update_status_off(self) -> None:
        wait_s = UPDATE_STATUS_S * random.uniform(0.8, 1.2)
        self._update_status_at = self.host.clock.now().after(ns(wait_s))

    async def _settle_leadership(self) -> None:
        """Return once it is known whether the unit is the leader, or that nobody is.

        Before its lease is vouched for a restarted agent believes nothing: what it did then would take its own term for
        lost. And a new unit's first hooks come in Juju's order only when an election under way is over.
        """
        session, clock = self.candidate.session, self.host.clock
        session.on_moved.append(self.wake)
        while not self._waking.stopping and session.lease is None:
            self._waking.look()
            await self._waking.wait(None)
        session.on_moved.remove(self.wake)
        patience = clock.now().after(ns(ELECTION_WITHIN_S))
        while not self._waking.stopping and not patience.reached(clock.now()):
            found = sight.find(self.host.view(), self.name, self.revision)
            holder = found[0].office().holder if found else None
            # That the office is the unit's own, and not yet believed, is a moment's state.
            if found is None or self.candidate.term is not None or (holder and holder.unit != str(self.name)):
                return
            self._waking.look()
            await self._waking.wait(patience)

    def _seen(self, alive: _Alive) -> Seen:
        return sight.look(
            self.host.view(),
            self.name,
            self.revision,
            term=self.candidate.term,
            boot_id=self.host.boot_id,
            addresses=self.host.addresses,
            update_status_at=self._update_status_at,
            resolved=alive.asked.resolved_by,
        )

    def _forced(self) -> bool:
        found = sight.find(self.host.view(), self.name, self.revision)
        return found is not None and found[1].info.life == "dying" and any(
            request.kind == "remove" and request.arguments.get("force") for request in found[1].requests.values()
        )  # fmt: skip

    async def _commit(self, alive: _Alive, hook: Hook) -> None:
        if hook.relation is not None and hook.remote_unit:
            bag = self.host.bags.of(hook.relation, hook.remote_unit)
            await asyncio.to_thread(alive.parts.bags.told, hook, bag)
        await self._save(alive, alive.journal.committed(hook, self.host.boot_id))

    async def _save(self, alive: _Alive, journal: Journal) -> None:
        # In a thread: a slow disk must not hold up the loop that renews leases.
        alive.unsaved = journal
        alive.journal = await asyncio.to_thread(alive.parts.file.save, journal)
        alive.unsaved = None

    def _trouble(self, error: Exception) -> None:
        hint = f" ({error.hint})" if isinstance(error, TenureError) and error.hint else ""
        known = isinstance(error, TenureError | OSError)
        self._log.error("%s can't go on now: %s%s", self.name, error, hint, exc_info=None if known else error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
