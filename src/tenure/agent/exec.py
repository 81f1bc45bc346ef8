"""Commands that an operator, or a script on the unit's host, runs in a unit's context: between two hooks of its machine.

They are the standard input of /bin/bash in the charm's folder, with a hook's environment and tools. A True that `is-leader`
says to them leaves the unit, so it is owed in full. What they have buffered is flushed whatever their exit code, as in
Juju; not when they were ended: because their time was over, their caller went away, or the agent or the unit ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tenure.agent.checker import Leadership
from tenure.agent.context import HookContext
from tenure.agent.environment import Surroundings, hook_environment
from tenure.agent.exec_note import ExecNote
from tenure.agent.exec_request import Commands, relation_of
from tenure.agent.hook import Hook
from tenure.agent.hooks import HookProcess
from tenure.agent.host import Host
from tenure.agent.logs import event
from tenure.agent.processes import started_ticks
from tenure.agent.unit import UnitAgent
from tenure.clock import NS_PER_S
from tenure.errors import BadInput, NoSuchThing, TenureError, Unsure
from tenure.model.walltime import now_text
from tenure.names import UnitName
from tenure.office.decisions import Answer
from tenure.store.api import Compare

_SHELL = "/bin/bash"
_TASKS = itertools.count(1)
_log = logging.getLogger("tenure.agent")


class Exec:
    """Answers the verbs `exec` and `hold-hooks`."""

    def __init__(self, host: Host, find: Callable[[UnitName], UnitAgent | None]) -> None:
        self._host = host
        self._find = find

    def register(self) -> None:
        """Have the agent's server ask here."""
        self._host.server.control |= {"exec": self.exec, "hold-hooks": self.hold_hooks}

    async def exec(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run the commands; answers when they have ended. Raises NoSuchThing, BadInput, Unsure: nothing was run.

        Answers `id`, `code` (128+n: ended by signal n; None: they never began), `ended` (why they were ended, if they
        were: `timed out` or another reason), `flush` (why what they had buffered was refused, if it was), `started` and
        `completed`, which are for people.
        """
        name = UnitName.parse(str(request.get("unit", "")))
        unit = self._find(name)
        if unit is None:
            raise NoSuchThing(f"the agent of {self._host.machine} does not run {name}")
        with _streams(Commands.of(request)) as streams:
            return await Run(self._host, unit, streams).run()

    async def hold_hooks(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Let no hook run on this machine from the answer on, until whoever reads the named pipe `pipe` reads no more."""
        pipe = str(request.get("pipe", ""))
        closing = contextlib.ExitStack()
        streams = closing.enter_context(_streams(Commands(text="", stdout=pipe, stderr=pipe)))
        try:
            held = await _locked(self._host.hook_lock, streams.gone)
        except BaseException:
            closing.close()
            raise

        def release(_: object) -> None:
            closing.close()
            if held:
                self._host.hook_lock.release()

        streams.gone.add_done_callback(release)
        return {"held": held}


async def _locked(lock: asyncio.Lock, gone: asyncio.Future[str]) -> bool:
    """Have the hooks' lock; False: given up before."""
    acquiring = asyncio.ensure_future(lock.acquire())
    try:
        await _first(acquiring, gone)
    finally:
        if not acquiring.done():
            acquiring.cancel()
    if acquiring.done() and gone.done():
        lock.release()
        return False
    return acquiring.done()


@dataclass(frozen=True, slots=True)
class Streams:
    """Commands, and the writing ends of their caller's pipes."""

    commands: Commands
    stdout: int
    stderr: int
    gone: asyncio.Future[str]
    """Done once the caller reads no more."""


@contextlib.contextmanager
def _streams(commands: Commands) -> Iterator[Streams]:
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[str] = loop.create_future()
    with contextlib.ExitStack() as closing:
        files = []
        for path in (commands.stdout, commands.stderr):
            try:
                # Not blocking as it is opened: refused where nobody reads, and no hang of the agent's.
                file = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except (OSError, TypeError, ValueError) as error:
                raise BadInput(f"the commands' output can't be written to {path}: {error}") from None
            closing.callback(os.close, file)
            os.set_blocking(file, True)
            # The kernel tells of a pipe whose reader has gone as of an error, which wakes whoever waits to read.
            loop.add_reader(file, settle, gone, "its caller went away")
            closing.callback(loop.remove_reader, file)
            files.append(file)
        yield Streams(commands, files[0], files[1], gone)


def settle(future: asyncio.Future[str], text: str) -> None:
    """Say why, once."""
    if not future.done():
        future.set_result(text)


class _OwedInFull:
    """A unit's leadership for one whose processes the agent doesn't wait for: its True is owed to nobody that could end early."""

    def __init__(self, leadership: Leadership) -> None:
        self._leadership = leadership

    async def is_leader(self, span_s: float | None = None, *, debtor: str | None, term: int | None = None) -> Answer:
        return await self._leadership.is_leader(span_s, debtor=None, term=term)

    def fence(self, term: int) -> Compare:
        return self._leadership.fence(term)


class Run:
    """One run of some commands."""

    def __init__(
        self, host: Host, unit: UnitAgent, streams: Streams, begin: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """`begin` is awaited when it is the commands' turn: what it raises is why they don't begin."""
        self._host = host
        self._unit = unit
        self._streams = streams
        self._begin = begin
        self._commands = streams.commands
        self._ended_because = ""
        self._task = str(next(_TASKS))

    async def run(self) -> Mapping[str, Any]:
        """Wait for the hooks' turn, run them, flush. What it answers stands at `Exec.exec`, with what it raises."""
        loop = asyncio.get_running_loop()
        timer = None
        if self._commands.timeout_s is not None:
            timer = loop.call_later(self._commands.timeout_s, settle, self._streams.gone, "timed out")
        try:
            if not await _locked(self._host.hook_lock, self._streams.gone):
                return {"id": self._task, "code": None, "ended": self._streams.gone.result()}
            try:
                return await self._run()
            finally:
                self._host.hook_lock.release()
                self._unit.wake()
        finally:
            if timer is not None:
                timer.cancel()

    async def _run(self) -> Mapping[str, Any]:
        parts, journal = self._unit.for_commands()
        executor = parts.executor
        await executor.place.models.reached(executor.wrote_at)
        told = {number: list(known.members) for number, known in journal.relations.items()}
        kind = "run-commands" if self._commands.operator else "juju-exec"
        context_id = f"{self._unit.name}-{kind}-{uuid.uuid4().hex}"
        relation = relation_of(self._commands, self._unit.name, executor.place.models.current, told)
        place = replace(executor.place, leadership=_OwedInFull(executor.place.leadership))
        context = HookContext(place, context_id, hook=relation, told=told)
        if self._begin is not None:
            await self._begin()
            self._unit.for_commands()  # it may have come to its end meanwhile
        executor.hook_name = ""
        if journal.failed is None:
            parts.statuses.agent_is("executing", "running commands")
        process = _Shell(self._host.processes, context_id, logging.getLogger(f"unit.{self._unit.name}.{kind}"))
        note = ExecNote(self._host.state.unit(self._unit.name))
        note.begin(context_id)
        self._host.server.admit(context)
        started = now_text()
        begun = self._host.clock.now()
        try:
            environment = self._environment(executor.around, context_id, relation, executor.candidate.term)
            process.start_shell(self._commands.text, environment, executor.place.charm, self._streams)
            note.begin(context_id, process.pid, started_ticks(process.pid))
            with executor.occupied(process):
                await self._wait(process)
                ended = self._ended_because or ("the agent or the unit ends" if executor.ended_running else "")
                await self._host.server.dismiss(context_id)
                flush = "" if ended else await self._flush(context)
        finally:
            await self._host.server.dismiss(context_id)
            note.end()
        code = process.code
        executor.wrote_at = max(executor.wrote_at, context.wrote_at)
        now = self._host.clock.now()
        event(
            _log,
            f"{self._unit.name} ran commands: exit code {code}" + (f", ended: {ended}" if ended else ""),
            event="commands-ended",
            unit=str(self._unit.name),
            context_id=context_id,
            code=code,
            seconds=round((now.boot_ns - begun.boot_ns) / NS_PER_S, 4),
            boot_ns=now.boot_ns,
        )
        return {
            "id": self._task,
            "code": code,
            "ended": ended,
            "flush": flush,
            "started": started,
            "completed": now_text(),
        }

    async def _wait(self, process: _Shell) -> None:
        """Return when the shell has ended, by itself or because it had to."""
        try:
            await _first(process.ended, self._streams.gone)
            if not process.ended.done():
                self._ended_because = self._streams.gone.result()
                await process.end()
                await asyncio.shield(process.ended)
        except asyncio.CancelledError:
            process.kill()
            raise

    async def _flush(self, context: HookContext) -> str:
        try:
            await context.flush()
        except TenureError as error:
            return error.message
        return ""

    def _environment(
        self, around: Surroundings, context_id: str, relation: Hook | None, term: int | None
    ) -> dict[str, str]:
        environment = hook_environment(around, relation or Hook(kind="update-status"), context_id, term)
        del environment["JUJU_DISPATCH_PATH"]
        environment["JUJU_HOOK_NAME"] = ""
        if self._commands.operator:
            environment |= {
                "JUJU_ACTION_NAME": "juju-exec",
                "JUJU_ACTION_UUID": self._task,
                "JUJU_ACTION_TAG": f"action-{self._task}",
            }
        return environment


async def _first(*futures: asyncio.Future[Any]) -> None:
    """Return when one of them is done; the others go on."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


class _Shell(HookProcess):
    """Bash, reading commands, with the caller's pipes for its output."""

    def start_shell(self, text: str, environment: Mapping[str, str], cwd: Any, streams: Streams) -> None:
        """Start it. Raises BadInput, Unsure when the kernel refuses."""
        with contextlib.ExitStack() as closing:
            file = os.memfd_create("commands", os.MFD_CLOEXEC)
            closing.callback(os.close, file)
            try:
                with os.fdopen(os.dup(file), "wb") as script:
                    script.write(text.encode("utf-8", "surrogateescape") + b"\n")
            except UnicodeEncodeError:
                raise BadInput("the commands are no text that could be run") from None
            os.lseek(file, 0, os.SEEK_SET)
            try:
                self._child = self._processes.spawn(
                    [_SHELL, "-s"],
                    context_id=self._context_id,
                    environment=environment,
                    cwd=cwd,
                    stdin=file,
                    stdout=streams.stdout,
                    stderr=streams.stderr,
                )
            except OSError as error:
                raise Unsure(f"{_SHELL} can't be run: {error.strerror}") from None
        self.ticks = started_ticks(self._child.pid)

    @property
    def ended(self) -> asyncio.Future[int]:
        """The shell's own end."""
        assert self._child is not None
        return self._child.ended

    @property
    def code(self) -> int:
        """Its exit code, once it has ended; 128+n for signal n."""
        status = self.ended.result()
        return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
