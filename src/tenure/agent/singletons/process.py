"""One singleton on one unit: its process under guards, run again when it fails, given up when it fails too often."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from tenure.agent.guard_files import GuardFiles
from tenure.agent.host import Host
from tenure.agent.logs import event
from tenure.agent.processes import WORK_VARIABLE, anything_left, end_what_is_left
from tenure.agent.singletons.output import Output
from tenure.agent.singletons.policy import Again, GiveUp, Next, Rest, Row
from tenure.clock import NS_PER_S, Instant, ns
from tenure.defaults import KILL_MARGIN_S
from tenure.guard import cgroup
from tenure.guard.duty import Duty
from tenure.guard.spec import Spec
from tenure.model.records import Singleton, Work
from tenure.model.walltime import now_text
from tenure.names import UnitName
from tenure.office.driver import Candidate, OfficeKeys, Session, Timing

LEFT_EVERY_S = 0.05
"""How often it is looked again whether anything is left, when a guard was killed."""

_State = Literal["starting", "running", "waiting", "stopping", "done", "failed"]


class SingletonProcess:
    """The owner of a singleton's work on one unit.

    Promises: the process runs only while this unit's term is sure, and is gone with all its children before another
    unit can hold the office, whatever becomes of this agent; an agent that is back within its lease finds it again.
    """

    candidate: Candidate

    def __init__(
        self, host: Host, unit: UnitName, name: str, singleton: Singleton, timing: Timing, say: Callable[[Work], None]
    ) -> None:
        """`say` is told how it does, for the status."""
        self.singleton = singleton
        self.duty = Duty(self)
        self._host, self._unit, self._name, self._timing, self._tell = host, unit, name, timing, say
        self._log = logging.getLogger(f"unit.{unit}.{name}")
        self._files = GuardFiles(host, host.state.unit(unit) / "singletons" / name)
        self._output = Output(self._files.folder / "output", singleton.user, self._log.debug)
        self._row = Row(singleton.restart, singleton.failures, singleton.within_s)
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Task[None] | None = None
        self._health: asyncio.Task[None] | None = None
        self._checked: asyncio.Future[int] | None = None
        self._context_id = ""
        self._term = 0
        """The term that is believed in, 0: none."""
        self._noted_term = 0
        self._runs = 0
        """In that term."""
        self._rests = ""
        """How it ended, where it is not run again in that term: done, or failed."""
        self._ready = False
        """A guard is there that was not told to run yet."""
        self._runs_since: Instant | None = None
        self._ending_run = ""
        """Why the run that is under way is being ended by us; empty: it isn't."""
        self._decided: Next | None = None
        self._enclosed_by = ""
        self._said: tuple[object, ...] = ()

    def begin(self, session: Session, keys: OfficeKeys, *, candidate: bool) -> None:
        """Look for a forerunner's guard, and be a candidate, or not yet one."""
        note = self._files.read()
        if note is not None:
            self._context_id, self._noted_term, self._runs = note.context_id, note.term, note.runs
            self._rests = note.rests
        found, dead = self._files.take_up(self.duty, note)
        if found and found != self._noted_term:
            self._noted_term, self._runs, self._rests = found, 0, ""
        if note is not None or found:
            with contextlib.suppress(OSError):
                self._output.begin()
        priority = int(self.singleton.preferred_unit == self._unit.number)
        self.candidate = self._host.desk.candidate(
            session,
            keys,
            str(self._unit),
            priority=priority,
            on_change=self._changed,
            guard=self.duty,
            found=found,
            promises=False,
            begin=candidate,
        )
        self.duty.bind(self.candidate)
        if dead:
            self._log.warning("the guard of term %d is gone, and its process with it", found)
            self.duty.follow(found)

    def kill(self) -> None:
        """End its process at once."""
        self.duty.kill()

    def close(self) -> None:
        """Watch it no more."""
        self._stop_watching()
        self._output.flush()
        self._output.close()

    # ---- as the owner of the work

    def spec(self, term: int, until: Instant, link: int, second: bool) -> Spec:
        """What the guard of the term's next run is told."""
        singleton, guarantee_ns = self.singleton, self._timing.guarantee_ns
        health = singleton.health
        self._ready = False
        if term != self._noted_term:
            self._noted_term, self._runs, self._rests = term, 0, ""
        self._files.make_room()
        begun = second or term == self._term
        self._files.note(term, self._context_id, begun=begun, runs=self._runs, rests=self._rests)
        return Spec(
            term=term,
            office=f"{self._unit.application}/{singleton.office}",
            until=(until.boot_ns, until.raw_ns),
            guarantee_ns=guarantee_ns,
            stop_ns=ns(self._timing.stop_timeout_s(singleton.stop_timeout_s, spelled="lease: {}s")),
            margin_ns=min(ns(KILL_MARGIN_S), guarantee_ns // 4),
            command=[] if second else list(singleton.command),
            link=link,
            begun=second,
            stopper=list(singleton.stop_command),
            check=[] if health is None else list(health.command),
            user=singleton.user,
            folder=str(self._host.state.charm(self._unit)),
            verdict=str(self._files.verdict),
            listen=str(self._files.socket),
            namespace=singleton.namespace,
            waits=True,
        )

    def environment(self, term: int) -> dict[str, str]:
        """The process's: little of the agent's own, nothing of a hook's."""
        own = ("PATH", "TZ") if self.singleton.user else ("PATH", "TZ", "HOME", "USER", "LOGNAME", "SHELL")
        charm = str(self._host.state.charm(self._unit))
        return {
            "LANG": "C.UTF-8",
            **{name: os.environ[name] for name in own if name in os.environ},
            "CHARM_DIR": charm,
            "JUJU_CHARM_DIR": charm,
            "JUJU_MODEL_NAME": self._host.layout.model,
            "JUJU_UNIT_NAME": str(self._unit),
            **self.singleton.environment,
            "TENURE_TERM": str(term),
            "TENURE_OFFICE": f"{self._unit.application}/{self.singleton.office}",
            WORK_VARIABLE: self._context_id,
        }

    def output(self, term: int) -> int | None:
        """The pipe that is read into the log."""
        self._context_id = f"{self._unit}-{self._name}-{uuid.uuid4().hex}"
        self._files.folder.mkdir(parents=True, exist_ok=True)
        return self._output.open()

    def may_begin(self, term: int) -> None:
        """The term is believed in: run the process, or watch the one that a forerunner has begun."""
        self._term, self._decided = term, None
        self._note()
        if self._runs_since is not None:
            self._show("running")
            self._watch_health(term)
        elif self._rests:
            self._show("done" if self._rests == "done" else "failed")
        else:
            self._run_in(term, self._row.wait_s)

    def work_ended(self, term: int, status: int) -> bool:
        """The process has ended; by itself, unless its term ends, or it was not well."""
        self._output.flush()
        code = os.waitstatus_to_exitcode(status)
        how = f"exit status {code}" if code >= 0 else f"killed by signal {-code}"
        if term != self._term:
            self._run_over(term, how)
            return False
        self._failed_or_done(term, self._ending_run or how, well=not self._ending_run and code == 0)
        return not isinstance(self._decided, GiveUp)

    def said(self, term: int, word: str, rest: str) -> None:
        """The guard's other words."""
        if word == "armed":
            self._armed(term, rest)
        elif word == "running":
            self._ready = False
            self._runs_since = self._host.clock.now()
        elif word == "checked":
            if self._checked is not None and not self._checked.done():
                self._checked.set_result(int(rest))
        elif word == "ending":
            self._stop_watching()
            if term != self._term and not isinstance(self._decided, GiveUp):
                self._show("stopping", term=term)
        elif word == "stuck":
            self._log.error("processes that the kernel can't end hold %s up: %s", self.singleton.office, rest)
            self._show("stopping", f"the kernel can't end {rest}", term=term)
        elif word == "gone":
            if self._ending_run and term == self._term:
                self._failed_or_done(term, self._ending_run, well=False)
            self._run_over(term, "ended with its term")
        elif word == "killed":
            self._log.warning("the guard of term %d was killed, and the process with it", term)
            self._count(well=False)
            self._run_over(term, "its guard was killed")

    def guard_failed(self, term: int, error: OSError) -> None:
        """Without a guard nothing is run."""
        self._log.error("no guard can be started for term %d, so it ends: %s", term, error)

    async def none_left(self) -> None:
        """Of a guard that was killed without a namespace around its work this ends the rest."""
        while True:
            end_what_is_left(self._context_id, 0, 0)
            if not cgroup.end_orphans() and not anything_left(self._context_id):
                return
            await asyncio.sleep(LEFT_EVERY_S)

    # ---- runs

    def _armed(self, term: int, enclosed_by: str) -> None:
        self._enclosed_by = enclosed_by
        self._ready = self._runs_since is None
        decided = self._decided
        if term != self._term or decided is None:
            return
        # The guard of the next run in a term that goes on.
        if isinstance(decided, Again):
            self._run_in(term, decided.wait_s)

    def _run_in(self, term: int, wait_s: float) -> None:
        self._stop_watching()
        if wait_s:
            self._show("waiting", f"is run again in {wait_s:g} s")
        else:
            self._show("starting")
        self._timer = self._spawn(self._run_at(term, self._host.clock.now().after(ns(wait_s))))

    async def _run_at(self, term: int, at: Instant) -> None:
        await self._host.alarm.until(at)
        if term != self._term or not self._ready:
            return
        self._ready, self._decided, self._ending_run = False, None, ""
        self._runs += 1
        self._note()
        self._runs_since = self._host.clock.now()
        self._event("starts", "singleton-started", term=term, runs=self._runs, boot_ns=self._runs_since.boot_ns)
        self.duty.run(term)
        self._show("running")
        self._watch_health(term)

    def _failed_or_done(self, term: int, how: str, *, well: bool) -> None:
        """A run is over in a term that may go on: decide what follows."""
        self._ending_run = ""
        decided = self._decided = self._count(well=well)
        self._run_over(term, how, failed=not well)
        if isinstance(decided, GiveUp):
            self._log.warning("it has failed %d times in a row here: another unit may have it", decided.failures)
            self._show("failed", how)
            self.candidate.let_go(given_up=True)
        elif isinstance(decided, Rest):
            self._rests = decided.how
            self._note()
            self._show(decided.how, how)

    def _count(self, *, well: bool) -> Next | None:
        if self._runs_since is None:
            return None
        ran_s = -self._runs_since.left_ns(self._host.clock.now()) / NS_PER_S
        return self._row.ended(well=well, ran_s=ran_s)

    def _run_over(self, term: int, how: str, *, failed: bool = False) -> None:
        self._stop_watching()
        if self._runs_since is None:
            return
        self._runs_since = None
        self._output.flush()
        level = logging.WARNING if failed else logging.INFO
        now = self._host.clock.now()
        self._event(f"has ended: {how}", "singleton-ended", term=term, how=how, boot_ns=now.boot_ns, level=level)

    def _changed(self) -> None:
        if self.candidate.term is None and self._term:
            self._term = 0
            self._stop_watching()

    # ---- health

    def _watch_health(self, term: int) -> None:
        if self.singleton.health is not None:
            self._health = self._spawn(self._mind_health(term))

    async def _mind_health(self, term: int) -> None:
        health, clock, alarm = self.singleton.health, self._host.clock, self._host.alarm
        assert health is not None
        failures = 0
        while failures < health.failures:
            await alarm.until(clock.now().after(ns(health.interval_s)))
            checked = self._checked = asyncio.get_running_loop().create_future()
            self.duty.check(term)
            try:
                await asyncio.wait_for(checked, health.timeout_s)
            except TimeoutError:
                self.duty.uncheck(term)
                why = f"no answer within {health.timeout_s:g} s"
            else:
                code = os.waitstatus_to_exitcode(checked.result())
                if code == 0:
                    failures = 0
                    continue
                why = f"exit status {code}" if code > 0 else f"killed by signal {-code}"
            failures += 1
            self._log.warning("its health command fails (%d of %d): %s", failures, health.failures, why)
        self._ending_run = "its health command fails"
        self._health = None
        self.duty.end_run(term)

    def _stop_watching(self) -> None:
        for task in (self._timer, self._health):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        self._timer = self._health = None

    # ---- words

    def _note(self) -> None:
        self._files.note_more(self._noted_term, self._context_id, runs=self._runs, rests=self._rests)

    def _show(self, state: _State, message: str = "", *, term: int = 0) -> None:
        said = (term or self._term, state, message, self._runs)
        if said == self._said:
            return
        self._said = said
        self._tell(
            Work(
                term=term or self._term,
                state=state,
                since=now_text(),
                restarts=max(0, self._runs - 1),
                enclosed_by=self._enclosed_by,
                message=message,
            )
        )

    def _event(self, message: str, name: str, *, level: int = logging.INFO, **fields: Any) -> None:
        event(
            self._log,
            f"{self._unit} {self._name} {message}",
            level=level,
            event=name,
            unit=str(self._unit),
            singleton=self._name,
            **fields,
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
