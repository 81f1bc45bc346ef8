"""A unit's terms under guards, so that its charm's hooks/leader-deposed runs in time, whatever becomes of the agent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any

from tenure.agent.context import HookContext, Place
from tenure.agent.environment import hook_environment
from tenure.agent.guard_files import GuardFiles
from tenure.agent.hook import Hook
from tenure.agent.host import Host
from tenure.agent.logs import event
from tenure.agent.processes import end_what_is_left
from tenure.clock import Instant, ns
from tenure.defaults import HOOK_OUTPUT_MAX, KILL_MARGIN_S
from tenure.errors import TenureError
from tenure.guard.duty import Duty
from tenure.guard.spec import Spec
from tenure.names import UnitName
from tenure.office.driver import Candidate, OfficeKeys, Session, Timing

HOOK = Hook(kind="leader-deposed")


class UnitGuard:
    """The guards of one unit's terms, and what they say."""

    def __init__(self, host: Host, name: UnitName, timing: Timing) -> None:
        self._host, self._name, self._timing = host, name, timing
        self.place: Place | None = None
        """What the hook's tools need; None until the unit is prepared."""
        self.told: Callable[[], Mapping[int, Iterable[str]]] = dict
        """The relations that the unit was told of."""
        self._duty = Duty(self)
        self._files = GuardFiles(host, host.state.unit(name))
        self._context: HookContext | None = None
        self._context_id = ""
        self._log = logging.getLogger(f"unit.{name}.{HOOK.name}")
        self._tasks: set[asyncio.Task[None]] = set()

    def candidate(self, session: Session, keys: OfficeKeys, wake: Callable[[], None]) -> Candidate:
        """The unit's candidacy, with a guard for each term; a forerunner's guard is looked for first."""
        note = self._files.read()
        if note is not None:
            self._context_id = note.context_id
        found, dead = self._files.take_up(self._duty, note)
        candidate = self._host.desk.candidate(
            session, keys, str(self._name), on_change=wake, guard=self._duty, found=found
        )
        self._duty.bind(candidate)
        if dead:
            self._log.warning("the guard of term %d is gone: leader-deposed runs at once", found)
            self._duty.follow(found)
        return candidate

    # ---- as the owner of the work

    def spec(self, term: int, until: Instant, link: int, second: bool) -> Spec:
        """What the term's guard is told."""
        guarantee_ns, charm = self._timing.guarantee_ns, self._host.state.charm(self._name)
        self._files.make_room()
        self._files.note(term, self._context_id, begun=second)
        return Spec(
            term=term,
            office=f"{self._name.application}/leader",
            until=(until.boot_ns, until.raw_ns),
            guarantee_ns=guarantee_ns,
            stop_ns=0,
            margin_ns=min(ns(KILL_MARGIN_S), guarantee_ns // 4),
            command=[],
            link=link,
            begun=second,
            hook=[str(charm / "hooks" / HOOK.name)],
            folder=str(charm),
            verdict=str(self._files.verdict),
            listen=str(self._files.socket),
            waits=True,
        )

    def environment(self, term: int) -> dict[str, str]:
        """The hook's."""
        # Only now: what prepares a unit knows its guard.
        from tenure.agent.preparation import surroundings

        return hook_environment(surroundings(self._host, self._name), HOOK, self._context_id, term)

    def output(self, term: int) -> int | None:
        """A file in the unit's folder, which is read into the log when the hook has ended."""
        self._context_id = f"{self._name}-{HOOK.name}-{uuid.uuid4().hex}"
        self._files.folder.mkdir(parents=True, exist_ok=True)
        return os.open(self._output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def may_begin(self, term: int) -> None:
        """The term has begun: from now on its end is told."""
        self._files.note_more(term, self._context_id)
        self._duty.run(term)

    def work_ended(self, term: int, status: int) -> bool:
        """There is no workload."""
        return False

    def said(self, term: int, word: str, rest: str) -> None:
        """The guard's other words."""
        if word == "ending":
            self._admit(term)
        elif word == "deposed":
            self._spawn(self._after(term, int(rest)))
        elif word == "killed":
            self._log.warning("the guard of term %d was killed", term)
        elif word == "stuck":
            self._log.error("processes that the kernel can't end hold leadership up: %s", rest)
        elif word == "gone":
            self._dismiss()

    def guard_failed(self, term: int, error: OSError) -> None:
        """Without a guard nothing is believed."""
        self._log.error("no guard can be started for term %d, so it ends: %s", term, error)

    async def none_left(self) -> None:
        """The hook of a guard that was killed is killed with it; this ends what that had started."""
        end_what_is_left(self._context_id, 0, 0)

    # ---- the hook

    def _admit(self, term: int) -> None:
        """Serve the hook's tools from now on."""
        if self.place is None or self._context is not None:
            return
        self._context = HookContext(self.place, self._context_id, hook=HOOK, told=self.told(), term=term)
        self._host.server.admit(self._context)
        now = self._host.clock.now()
        event(
            self._log,
            f"{self._name} {HOOK.name} starts",
            event="hook-started",
            unit=str(self._name),
            hook=HOOK.name,
            context_id=self._context_id,
            boot_ns=now.boot_ns,
            term=term,
        )

    async def _after(self, term: int, status: int) -> None:
        context = self._dismiss()
        code = os.waitstatus_to_exitcode(status)
        how = "failed" if code else "succeeded"
        self._host.counters.hooks[self._name.application, HOOK.kind, how] += 1
        self._show_output()
        if context is not None and code == 0:
            try:
                await context.flush()
            except TenureError as error:
                self._log.warning("what leader-deposed said on relations is lost: %s", error.message)
        now = self._host.clock.now()
        event(
            self._log,
            f"{self._name} {HOOK.name} {'done' if code == 0 else f'failed: {_spelled(code)}'}",
            level=logging.INFO if code == 0 else logging.WARNING,
            event="hook-ended",
            unit=str(self._name),
            hook=HOOK.name,
            how=how,
            term=term,
            boot_ns=now.boot_ns,
        )

    def _dismiss(self) -> HookContext | None:
        context, self._context = self._context, None
        if context is not None:
            self._spawn(self._host.server.dismiss(context.context_id))
        return context

    def _show_output(self) -> None:
        with contextlib.suppress(OSError):
            with open(self._output, "rb") as file:
                data = file.read(HOOK_OUTPUT_MAX)
            for line in data.decode("utf-8", "replace").splitlines():
                self._log.debug("%s", line)

    @property
    def _output(self) -> Path:
        return self._files.folder / "leader-deposed.out"

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _spelled(code: int) -> str:
    return f"exit status {code}" if code >= 0 else f"killed by signal {-code}"
