"""What is asked of this machine's units from other hosts, through the store: commands, questions, the log.

A command is begun once at the most, whoever dies: it is this process's only when its compare-and-set has landed, and what a
dead agent had begun is answered, never run again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tenure.agent import wire
from tenure.agent.exec import Run, Streams, settle
from tenure.agent.exec_output import CHUNK_MAX, Output
from tenure.agent.exec_request import Commands
from tenure.agent.host import Host
from tenure.agent.log_tail import Line, Tail, added, newest
from tenure.agent.unit import UnitAgent
from tenure.errors import LeaseLost, NoSuchThing, StoreReplaced, TenureError, Unsure
from tenure.model.application import ApplicationView, UnitView
from tenure.model.records import Request
from tenure.model.tasks import Task
from tenure.model.view import ModelView
from tenure.names import UnitName

GONE = "whoever asked for them went away"
DIED = "unknown: the agent died while it ran"

CLOSE_WITHIN_S = 3.0
"""How long an agent that ends goes on telling what has become of what was asked."""

SET_UP_WITHIN_S = 10.0
"""How long commands wait for a unit that isn't set up, as after its agent's start, before it is said."""

RETRY_S = 0.5

_log = logging.getLogger("tenure.agent")


class _NotBegun(Exception):
    """Nobody asks any more, or another process has begun it."""


@dataclass(slots=True)
class _Open:
    """A request that is seen in the model."""

    gone: asyncio.Future[str]
    endless: bool = False
    """Whether it is done only when nobody asks any more."""
    work: asyncio.Task[None] | None = field(default=None)


class Remote:
    """Answers the requests `exec`, `log` and those answered at once, of this machine's units."""

    def __init__(
        self,
        host: Host,
        find: Callable[[UnitName], UnitAgent | None],
        answers: Mapping[str, Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]],
    ) -> None:
        """`answers`: who answers what is asked and answered at once."""
        self._host = host
        self._find = find
        self._answers = answers
        self._process = uuid.uuid4().hex
        self._seen: dict[str, ApplicationView] = {}
        self._open: dict[str, dict[str, _Open]] = {}

    def saw(self, view: ModelView) -> None:
        """The mirror shows this: begin with what is new, end what nobody asks for any more."""
        for name in [*self._seen.keys() - view.applications.keys()]:
            del self._seen[name]
            self._close_missing(name, {})
        for name, application in view.applications.items():
            if self._seen.get(name) is application:
                continue
            self._seen[name] = application
            asked = {
                request_id: (unit, request)
                for unit in application.units.values()
                if unit.info.machine == self._host.machine and unit.request_items
                for request_id, request in unit.requests.items()
                if request.kind in ("exec", "log", *self._answers)
            }
            self._close_missing(name, asked)
            for request_id, (unit, request) in asked.items():
                if request_id not in self._open.get(name, {}):
                    self._begin(name, request_id, unit, request)

    async def close(self) -> None:
        """Return once all that was asked is answered, or `CLOSE_WITHIN_S` are over."""
        for one in [one for opened in self._open.values() for one in opened.values() if one.endless]:
            settle(one.gone, "the agent ends")
        works = {one.work for opened in self._open.values() for one in opened.values() if one.work is not None}
        if works:
            _, late = await asyncio.wait(works, timeout=CLOSE_WITHIN_S)
            for work in late:
                work.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _close_missing(self, name: str, asked: Mapping[str, object]) -> None:
        opened = self._open.get(name, {})
        for request_id in [*opened.keys() - asked.keys()]:
            settle(opened.pop(request_id).gone, GONE)
        if not opened:
            self._open.pop(name, None)

    def _begin(self, name: str, request_id: str, unit: UnitView, request: Request) -> None:
        one = _Open(asyncio.get_running_loop().create_future())
        self._open.setdefault(name, {})[request_id] = one
        host, item = self._host, unit.request_items[request_id]
        task = Task(host.store, host.layout, unit.name, request_id, item, self._process)
        one.endless = request.kind == "log"
        answering = {"exec": self._exec, "log": self._log}.get(request.kind, self._say)
        one.work = asyncio.get_running_loop().create_task(self._safely(answering(unit.name, task, request, one)))

    async def _safely(self, work: Awaitable[None]) -> None:
        try:
            await work
        except StoreReplaced:
            pass  # the agent ends by it, and says so
        except TenureError as error:
            _log.warning("what was asked through the store can't be answered: %s", error.message)

    async def _say(self, unit: UnitName, task: Task, request: Request, one: _Open) -> None:
        try:
            result = dict(await self._answers[request.kind]({**request.arguments, "unit": str(unit)}))
        except TenureError as error:
            result = wire.error_answer(error)
        await task.send([], result)

    async def _log(self, unit: UnitName, task: Task, request: Request, one: _Open) -> None:
        """The agent's own log, line by line as it stands there: the newest `limit`, or from the time `after` on; `follow`."""
        if await task.begin() == "taken":
            await task.end_taken({"ended": "the agent has started anew"})
            return
        limit, after, follow = (request.arguments.get(name) for name in ("limit", "after", "follow"))
        tail = Tail(self._host.state.path / "log")
        lines = await asyncio.to_thread(lambda: [line for line in newest([tail], limit) if line.time >= (after or "")])
        passing = asyncio.ensure_future(_pass_on(task, tail, lines, follow=bool(follow)))
        ends: set[asyncio.Future[Any]] = {passing, one.gone}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        ended = {} if passing.done() else {"ended": one.gone.result()}
        passing.cancel()
        await asyncio.gather(passing, return_exceptions=True)
        await task.send([], ended)
        await task.close()

    async def _exec(self, unit: UnitName, task: Task, request: Request, one: _Open) -> None:
        loop = asyncio.get_running_loop()
        found = self._find(unit)
        try:
            commands = Commands.of({**request.arguments, "stdout": "", "stderr": ""})
            if found is None:
                raise NoSuchThing(f"the agent of {self._host.machine} does not run {unit}")
        except TenureError as error:
            await task.send([], wire.error_answer(error))
            return
        timer = None
        if commands.timeout_s is not None:
            timer = loop.call_later(commands.timeout_s, settle, one.gone, "timed out")
        try:
            # A new agent first ends what a dead one's commands have left.
            await _set_up(found, one.gone)
            if not await task.end_taken({"id": "", "code": None, "ended": DIED}):
                await self._run(found, task, commands, one)
        finally:
            if timer is not None:
                timer.cancel()

    async def _run(self, unit: UnitAgent, task: Task, commands: Commands, one: _Open) -> None:
        output = Output(task, lambda: settle(one.gone, GONE))

        async def begin() -> None:
            if await self._begun(task, one) != "begun":
                raise _NotBegun(one.gone.result() if one.gone.done() else GONE)

        try:
            with contextlib.ExitStack() as closing:
                closing.callback(os.close, output.stdout)
                closing.callback(os.close, output.stderr)
                # Its time runs already.
                streams = Streams(replace(commands, timeout_s=None), output.stdout, output.stderr, one.gone)
                result = dict(await Run(self._host, unit, streams, begin).run())
        except _NotBegun as error:
            result = {"id": "", "code": None, "ended": str(error)}
        except TenureError as error:
            result = wire.error_answer(error)
        except BaseException:
            output.abandon()
            raise
        await output.finish(result)

    async def _begun(self, task: Task, one: _Open) -> str:
        """Begin it, however long the store is silent, unless its time is over."""
        while not one.gone.done():
            try:
                return await task.begin()
            except (Unsure, LeaseLost) as error:
                _log.warning("commands that were asked for can't be begun now: %s", error)
                await asyncio.sleep(RETRY_S)
        return "gone"


async def _pass_on(task: Task, tail: Tail, lines: list[Line], *, follow: bool) -> None:
    """Send these lines, and, to `follow`, those that are added, for as long as somebody asks."""
    if await _sent(task, lines) and follow:
        async for some in added([tail]):
            if not await _sent(task, some):
                return


async def _sent(task: Task, lines: list[Line]) -> bool:
    data = "".join(f"{line.text}\n" for line in lines).encode()
    for at in range(0, len(data), CHUNK_MAX):
        await task.room()
        if not await task.send([("stdout", data[at : at + CHUNK_MAX])]):
            return False
    return True


async def _set_up(unit: UnitAgent, gone: asyncio.Future[str]) -> None:
    """Return when commands can be run for the unit, or can't be for too long, or nobody asks any more."""
    ready = asyncio.ensure_future(unit.set_up.wait())
    try:
        ends: set[asyncio.Future[Any]] = {ready, gone}
        await asyncio.wait(ends, timeout=SET_UP_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ready.cancel()
