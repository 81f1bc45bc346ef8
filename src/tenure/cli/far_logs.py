"""The logs of agents on other hosts: asked for through the store, each of a unit that its machine runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tenure.cli import shared
from tenure.errors import Lost, TenureError

if TYPE_CHECKING:
    from tenure.agent.log_tail import Line
    from tenure.cli.asking import StoreWay, Through
    from tenure.model.layout import Layout
    from tenure.model.view import ModelView

COMES_WITH = 10
"""Lines from before that a machine which comes later begins with."""

WITHIN_S = 20.0
"""How long an agent may take for what it has logged so far."""


class FarLogs:
    """What has been read of each machine's log, so that no line is shown twice, and none is missed between two questions."""

    def __init__(self, layout: Layout, way: StoreWay, through: Through | None) -> None:
        self.through = through
        self._layout = layout
        self._way = way
        self._read: dict[str, tuple[str, set[str]]] = {}
        self._complaints: set[str] = set()

    async def newest(self, machines: Iterable[str], most: int | None) -> list[list[Line]]:
        """The newest lines of each machine; None: all. Of an agent that can't be asked it is said why."""
        from tenure.model.view import ModelView

        if not machines:
            return []
        _, model = await self._way.get()
        view = ModelView(model.current, self._layout)
        found: list[list[Line]] = [[] for _ in machines]
        await asyncio.gather(
            *(
                self._ask(view, name, lines.extend, {"limit": most}, WITHIN_S)
                for name, lines in zip(machines, found, strict=True)
            )
        )
        return found

    async def follow(self, away: Callable[[ModelView], set[str]], show: Callable[[list[Line]], None]) -> None:
        """Show what is added from now on, also of machines that come, or come back. Without end. Raises Unsure's kinds."""
        from tenure.model.view import ModelView

        _, model = await self._way.get()
        following: dict[str, asyncio.Task[None]] = {}
        try:
            async with contextlib.aclosing(model.after(-1)) as snapshots:
                async for snapshot in snapshots:
                    view = ModelView(snapshot, self._layout)
                    for name in sorted(away(view)):
                        if (name not in following or following[name].done()) and view.units_on(name):
                            after = self._read.get(name, ("", set()))[0]
                            arguments = {"follow": True, "after": after, "limit": None if after else COMES_WITH}
                            following[name] = asyncio.ensure_future(self._ask(view, name, show, arguments, None))
        finally:
            for task in following.values():
                task.cancel()
            await asyncio.gather(*following.values(), return_exceptions=True)

    async def _ask(
        self,
        view: ModelView,
        machine: str,
        show: Callable[[list[Line]], None],
        arguments: dict[str, Any],
        within_s: float | None,
    ) -> None:
        from tenure.model.tasks import asking

        unit = next(iter(view.units_on(machine)), None)
        if unit is None:
            self._complain(f"{machine} has no unit yet through which its agent could be asked for its log")
            return
        store, model = await self._way.get()
        beginning = bytearray()

        async def take(stream: str, data: bytes) -> None:
            whole, cut, rest = (bytes(beginning) + data).rpartition(b"\n")
            beginning[:] = rest
            if cut and (lines := self._new(machine, whole.split(b"\n"))):
                show(lines)

        try:
            async with asking(store, self._layout, unit, "log", arguments) as asked:
                answer = await asked.follow(model, take, within_s)
            if ended := answer.get("ended"):
                self._complain(f"the log of {machine} breaks off: {ended}")
        except TenureError as error:
            why = error.why if isinstance(error, Lost) else error.message
            self._complain(f"the log of {machine} can't be shown: {why}")

    def _new(self, machine: str, raw: list[bytes]) -> list[Line]:
        """The lines that have not been read yet: the agent gives those of the last time read once more."""
        from tenure.agent.log_tail import Line

        found = []
        for one in raw:
            newest, texts = self._read.get(machine, ("", set()))
            line = Line(one, newest)
            if line.time == newest and line.text in texts:
                continue
            if line.time > newest:
                self._read[machine] = (line.time, {line.text})
            elif line.time == newest:
                texts.add(line.text)
            found.append(line)
        return found

    def _complain(self, text: str) -> None:
        if text not in self._complaints:
            self._complaints.add(text)
            shared.note(f"note: {text}")
