"""tenure rolling APP -- CMD: run a command on an application's units one at a time, and stop at the first failure.

Exits 0 when it has succeeded on every unit; else with the code of the command, or of the check, that failed first; 124
when --timeout or --check-timeout has passed; 125 for a failure of Tenure's (a unit's agent is away, or on another host);
2 for wrong usage.
"""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from tenure.cli import shared, values
from tenure.cli.exec import Task, quoted
from tenure.errors import BadInput, Failed, NoSuchThing, Unsure

if TYPE_CHECKING:
    from tenure.model.view import ModelView
    from tenure.names import UnitName

CHECK_EVERY_S = 1.0
"""How long a unit that isn't healthy yet is left in peace before it is asked again."""


@shared.command(prints=True)
@click.argument("application", type=values.application, metavar="APP")
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED, metavar="-- CMD [ARGS]")
@click.option("--at-once", type=click.IntRange(1), default=1, show_default=True, help="On how many units at a time.")
@click.option("--check", metavar="CMD", help="A shell command that says by exit code 0 that the unit is healthy again.")
@click.option(
    "--check-timeout", type=values.duration, default="1m", show_default=True, help="How long it may take to become so."
)
@click.option("--timeout", type=values.duration, default="5m", show_default=True, help="How long CMD may wait and run.")
@click.option("--only", multiple=True, metavar="UNIT,…", help="Only on these: to go on after a failure.")
async def command(
    settings: shared.Settings,
    application: str,
    cmd: tuple[str, ...],
    at_once: int,
    check: str | None,
    check_timeout: float,
    timeout: float,
    only: tuple[str, ...],
) -> int:
    """Run a command on an application's units one at a time.

    CMD, and the check after it, run as with `tenure exec`: in the unit's hook context, between two hooks. The next unit
    begins when the check has succeeded; the unit that leads comes last. At the first failure no other unit begins, and
    it is said how to go on. A change of leader meanwhile doesn't matter; units that join meanwhile are left alone.

    \b
    Examples:
      tenure rolling web -- systemctl restart nginx
      tenure rolling web --check 'curl -fs localhost/health' -- apt-get install -y nginx
      tenure rolling web --at-once 2 --only web/3,web/4 -- ./upgrade
    """
    from tenure.model.view import read_model

    if not cmd:
        raise BadInput("there is no command to run", hint=f"tenure rolling {application} -- CMD")
    try:
        async with shared.opened(settings) as store:
            names = _order(await read_model(store, settings.layout), application, only)
            rolling = Rolling(quoted(cmd), check, timeout, check_timeout, settings.format)
            try:
                await rolling.run(names, at_once, lambda: read_model(store, settings.layout))
            except asyncio.CancelledError:
                rolling.say_how_to_go_on(application, cmd, at_once)
                raise
    except Unsure as error:
        raise Failed(error.message, hint=error.hint) from None
    if settings.format in ("json", "yaml"):
        from tenure.cli.output import emit

        emit(settings.format, {"application": application, **rolling.document}, lambda: "")
    if rolling.left:
        rolling.say_how_to_go_on(application, cmd, at_once)
    return next(iter(rolling.failed.values())).code if rolling.failed else 0


def _order(view: ModelView, application: str, only: tuple[str, ...]) -> list[UnitName]:
    """The units in the order in which they come: by number, the one that leads last. Raises NoSuchThing, BadInput."""
    from tenure.names import UnitName

    found = view.application(application)
    names = [unit.name for unit in found.units.values() if unit.info.life == "alive"]
    wanted = {UnitName.parse(part) for given in only for part in given.split(",") if part}
    for name in sorted(wanted - set(names)):
        raise NoSuchThing(f'there is no unit "{name}" of {application}', hint=f"tenure status {application}")
    return sorted(
        (name for name in names if not wanted or name in wanted), key=lambda name: (name == found.leader, name)
    )


@dataclass(frozen=True)
class Failure:
    """Why a unit's turn was the last."""

    code: int
    why: str


@dataclass
class Rolling:
    """A command that goes from unit to unit."""

    text: str
    check: str | None
    timeout_s: float
    check_timeout_s: float
    format: str | None
    total: int = 0
    done: list[UnitName] = field(default_factory=list)
    gone: list[UnitName] = field(default_factory=list)
    failed: dict[UnitName, Failure] = field(default_factory=dict)
    left: list[UnitName] = field(default_factory=list)
    """Those that haven't done it: the failed ones first, then those that haven't begun."""

    async def run(self, names: list[UnitName], at_once: int, look: Any) -> None:
        """Go through the units, `at_once` at a time, until all have done it or one has failed. Raises Unsure's kinds."""
        self.total, self.left = len(names), list(names)
        waiting = iter(names)

        async def work() -> None:
            for name in waiting:
                if not await self._one(name, look) or self.failed:
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once, len(names))):
                group.create_task(work())
        self.left.sort(key=lambda name: name not in self.failed)

    async def _one(self, name: UnitName, look: Any) -> bool:
        """One unit's turn; whether it went well."""
        try:
            view = await look()
            view.unit(name)
        except NoSuchThing:
            self.gone.append(name)
            self.left.remove(name)
            shared.note(f"{name}: is gone meanwhile")
            return True
        except Unsure as error:
            return self._fail(name, Failed.exit_code, error.message)
        shared.note(f"{name}: begins ({len(self.done) + 1} of {self.total})")
        task = Task(name, self.text, self.timeout_s, shown=self.format not in ("json", "yaml") and f"{name}: ")
        await task.run(view)
        if task.code or task.error:
            return self._fail(name, task.code, task.error or f"exit code {task.code}")
        if self.check is not None and (failure := await self._unhealthy(name, view)):
            return self._fail(name, failure.code, failure.why)
        self.done.append(name)
        self.left.remove(name)
        shared.note(f"{name}: done ({len(self.done)} of {self.total})")
        return True

    async def _unhealthy(self, name: UnitName, view: ModelView) -> Failure | None:
        """Ask the check until it says yes; why it didn't, when its time is over."""
        assert self.check is not None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.check_timeout_s
        while True:
            task = Task(name, self.check, max(0.1, deadline - loop.time()), shown=False)
            await task.run(view)
            if task.code == Failed.exit_code:
                return Failure(task.code, f"the check can't be made: {task.error or 'exit code 125'}")
            if not task.code:
                return None
            if loop.time() + CHECK_EVERY_S >= deadline:
                said = (task.output["stderr"] or task.output["stdout"]).decode("utf-8", "replace").strip()
                last = said.splitlines()[-1] if said else f"exit code {task.code}"
                return Failure(124, f"not healthy within {self.check_timeout_s:g} s: {last}")
            await asyncio.sleep(CHECK_EVERY_S)

    def _fail(self, name: UnitName, code: int, why: str) -> bool:
        self.failed[name] = Failure(code, why)
        shared.note(f"{name}: failed: {why}")
        return False

    def say_how_to_go_on(self, application: str, cmd: tuple[str, ...], at_once: int) -> None:
        """Say where it has stopped, and the line that goes on from there."""
        done = ", ".join(map(str, self.done)) or "none"
        stopped = f" at {', '.join(map(str, self.failed))}" if self.failed else ""
        shared.note(f"error: stopped{stopped}; done: {done}; not done: {', '.join(map(str, self.left))}")
        words = ["tenure", "rolling", application]
        words += ["--at-once", str(at_once)] if at_once > 1 else []
        words += ["--check", self.check] if self.check is not None else []
        words += ["--only", ",".join(map(str, self.left)), "--", *cmd]
        shared.note(f"hint: to go on, when it is mended: {shlex.join(words)}")

    @property
    def document(self) -> dict[str, Any]:
        """What has come of it, for programs."""
        return {
            "done": [str(name) for name in self.done],
            "failed": {str(name): {"code": one.code, "why": one.why} for name, one in self.failed.items()},
            "not-done": [str(name) for name in self.left],
            "gone": [str(name) for name in self.gone],
        }
