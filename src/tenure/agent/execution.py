"""One run of one hook: from its context's admission to its flush, with its debt settled when nothing of it is left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from tenure.agent.context import HookContext, Place
from tenure.agent.environment import Surroundings, hook_environment
from tenure.agent.hook import Hook
from tenure.agent.hooks import Ended, HookCannotRun, HookProcess, find_hook
from tenure.agent.host import Host
from tenure.agent.journal import Journal, JournalFile, Running
from tenure.agent.logs import event
from tenure.clock import NS_PER_S
from tenure.errors import TenureError
from tenure.office.driver import Candidate

SUCCEEDED = Ended("succeeded")


@dataclass(slots=True)
class Executor:
    """Runs one unit's hooks, one at a time."""

    host: Host
    place: Place
    around: Surroundings
    candidate: Candidate
    file: JournalFile
    wrote_at: int = 0
    """The latest revision at which something of the unit's own has landed: the next hook's view is no older."""
    hook_name: str = ""
    """Of the hook that runs, or ran last."""
    closed: bool = False
    """Whether nothing more may be started."""
    _process: HookProcess | None = None
    _ending: bool = field(default=False)
    _free: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def running(self) -> bool:
        """Whether a hook's process runs."""
        return self._process is not None

    async def end_running(self) -> None:
        """Have the hook that runs, if any, end: it counts as killed, whatever it makes of that."""
        if self._process is not None and not self._ending:
            self._ending = True
            await self._process.end()

    def kill_running(self) -> None:
        """The same, at once."""
        if self._process is not None:
            self._ending = True
            self._process.kill()

    @property
    def ended_running(self) -> bool:
        """Whether what runs, or ran last, was ended by the agent."""
        return self._ending

    @contextlib.contextmanager
    def occupied(self, process: HookProcess) -> Iterator[None]:
        """While `process` runs, of commands that are no hook: what ends hooks ends it, too."""
        self._process, self._ending = process, False
        try:
            yield
        finally:
            self._process = None
            self._free.set()

    async def close(self) -> None:
        """Start nothing more; returns once nothing runs. For the unit's own loop, so of no hook of its own."""
        self.closed = True
        while self._process is not None:
            self._free.clear()
            await self._free.wait()

    async def execute(self, journal: Journal, hook: Hook, told: Mapping[int, Iterable[str]]) -> Ended:
        """Run `hook`; what it has buffered has landed when it succeeded. Whoever calls holds the machine's hook lock."""
        log = logging.getLogger(f"unit.{self.place.unit}.{hook.name}")
        self.hook_name = hook.name
        try:
            path = find_hook(self.place.charm, hook.name)
        except HookCannotRun as error:
            log.error("%s", error)
            return Ended("failed", str(error))
        if path is None:
            log.debug("skipped: the charm has no such hook")
            return SUCCEEDED
        await self.host.server.be_there()
        await self.place.models.reached(self.wrote_at)
        context_id = f"{self.place.unit}-{hook.name}-{uuid.uuid4().hex}"
        if hook.kind == "leader-elected":
            # That it starts is a True to it: owed to it like any other.
            answer = await self.candidate.is_leader(debtor=context_id, term=hook.term)
            if answer.verdict != "yes":
                log.info("skipped: term %s is over", hook.term)
                self.candidate.settle(context_id)
                return SUCCEEDED
        return await self._run(journal, hook, path, HookContext(
            self.place, context_id, hook=hook, told=told, term=hook.term
        ), log)  # fmt: skip

    async def _run(self, journal: Journal, hook: Hook, path: Path, context: HookContext, log: logging.Logger) -> Ended:
        candidate, clock = self.candidate, self.host.clock
        environment = hook_environment(self.around, hook, context.context_id, candidate.term)
        process = HookProcess(self.host.processes, context.context_id, log)
        note = Running(serial=journal.serial + 1, hook=hook, context_id=context.context_id, boot_id=self.host.boot_id)
        self.file.begin(note)
        self.host.server.admit(context)
        begun = clock.now()
        try:
            process.start(path, environment, self.place.charm)
        except HookCannotRun as error:
            await self.host.server.dismiss(context.context_id)
            candidate.settle(context.context_id)
            log.error("%s", error)
            return Ended("failed", str(error))
        self._process, self._ending = process, False
        event(
            log,
            f"{self.place.unit} {hook.name} starts",
            event="hook-started",
            unit=str(self.place.unit),
            hook=hook.name,
            context_id=context.context_id,
            boot_ns=begun.boot_ns,
            **({"term": candidate.term} if candidate.term is not None else {}),
        )
        self.file.begin(replace(note, pid=process.pid, started_ticks=process.ticks))
        try:
            ended = await process.wait()
        finally:
            self._process = None
        if self._ending:
            ended = Ended("killed", "ended by the agent")
        await self.host.server.dismiss(context.context_id)
        if ended.how == "succeeded":
            ended = await self._flush(context)
        self.wrote_at = max(self.wrote_at, context.wrote_at)
        now = clock.now()
        event(
            log,
            f"{self.place.unit} {hook.name} {_spelled(ended)}",
            level=logging.INFO if ended.how == "succeeded" else logging.WARNING,
            event="hook-ended",
            unit=str(self.place.unit),
            hook=hook.name,
            context_id=context.context_id,
            how=ended.how,
            seconds=round((now.boot_ns - begun.boot_ns) / NS_PER_S, 4),
            boot_ns=now.boot_ns,
        )
        self.host.desk.hook_finished()
        process.when_none_left(_settling(candidate, context.context_id))
        return ended

    async def _flush(self, context: HookContext) -> Ended:
        try:
            await context.flush()
        except TenureError as error:
            return Ended("failed", error.message)
        return SUCCEEDED


def _settling(candidate: Candidate, context_id: str) -> Callable[[], None]:
    return lambda: candidate.settle(context_id)


def _spelled(ended: Ended) -> str:
    match ended.how:
        case "succeeded":
            return "done"
        case "killed":
            return f"was ended ({ended.why}), it will run again"
        case _:
            return f"failed: {ended.why}"
