"""tenure rolling APP -- CMD: run a command on an application's units one at a time, and stop at the first failure.

Exits 0 when it has succeeded on every unit; else with the code of the command, or of the check, that failed first; 124
when --timeout or --check-timeout has passed; 125 for a failure of Tenure's (a unit's agent is away, say); 1 when another
one is being carried out on APP, or there is none to continue; 2 for wrong usage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click
import msgspec

from tenure.cli import shared, values
from tenure.cli.asking import StoreWay, Through, store_way, through_option
from tenure.cli.exec import Task, quoted
from tenure.errors import BadInput, Failed, No, NoSuchThing, Unsure
from tenure.model.records import RollingOperation
from tenure.model.walltime import now_text

if TYPE_CHECKING:
    from tenure.model.rolling import Carried
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
@click.option("--only", multiple=True, metavar="UNIT,…", help="Only on these.")
@click.option(
    "--continue", "go_on", is_flag=True, help="Go on with the one that has stopped, or whose command has died."
)
@through_option
async def command(
    settings: shared.Settings,
    application: str,
    cmd: tuple[str, ...],
    at_once: int,
    check: str | None,
    check_timeout: float,
    timeout: float,
    only: tuple[str, ...],
    go_on: bool,
    through: Through | None,
) -> int:
    """Run a command on an application's units one at a time.

    CMD, and the check after it, run as with `tenure exec`: in the unit's hook context, between two hooks. The next unit
    begins when the check has succeeded; the unit that leads comes last. At the first failure no other unit begins.
    A change of leader meanwhile doesn't matter; units that join meanwhile are left alone.

    How far it is stands in the model: --continue goes on from there, also when this command was killed, on any host. A
    unit that had begun is the first, and carries CMD out once more. A second one on APP meanwhile is refused.

    \b
    Examples:
      tenure rolling web -- systemctl restart nginx
      tenure rolling web --check 'curl -fs localhost/health' -- apt-get install -y nginx
      tenure rolling web --at-once 2 --only web/3,web/4 -- ./upgrade
      tenure rolling web --continue
    """
    from tenure.model.rolling import carried
    from tenure.model.view import read_model

    if go_on and (cmd or only or check):
        raise BadInput(
            "--continue goes on with the command, the check and the units that it had", hint="leave them out"
        )
    if not cmd and not go_on:
        raise BadInput("there is no command to run", hint=f"tenure rolling {application} -- CMD")
    layout = settings.layout
    try:
        async with shared.opened(settings) as store, store_way(settings) as way:
            view = await read_model(store, layout)
            names = _order(view, application, only)
            async with carried(store, layout, application) as hold:
                operation = RollingOperation(
                    command=quoted(cmd) if cmd else "", healthy=check, at_once=at_once, timeout_s=timeout,
                    check_timeout_s=check_timeout, began=now_text(),
                )  # fmt: skip
                operation, names = _taken_up(hold, view, application, names, operation, go_on=go_on)
                rolling = Rolling(operation, hold, settings.format, way, through)
                try:
                    await rolling.run(names, lambda: read_model(store, layout))
                except asyncio.CancelledError:
                    rolling.say_how_to_go_on(application)
                    raise
                if not rolling.left:
                    await hold.finish()
    except Unsure as error:
        raise Failed(error.message, hint=error.hint) from None
    if settings.format in ("json", "yaml"):
        from tenure.cli.output import emit

        emit(settings.format, {"application": application, **rolling.document}, lambda: "")
    if rolling.left:
        rolling.say_how_to_go_on(application)
    return next(iter(rolling.failed.values())).code if rolling.failed else 0


def _taken_up(
    hold: Carried,
    view: ModelView,
    application: str,
    names: list[UnitName],
    operation: RollingOperation,
    *,
    go_on: bool,
) -> tuple[RollingOperation, list[UnitName]]:
    """What is carried out, and where, in which order. Raises No: there is nothing to go on with."""
    found = hold.found
    if found is None:
        if go_on:
            raise No(f"no operation on {application} is unfinished")
        return operation, names
    begun = [name for name in names if str(name) in found.at]
    if go_on:
        left = [name for name in names if str(name) in found.left and name not in begun]
        shared.note(f"going on with: {found.command}; done: {', '.join(found.done) or 'none'}")
        if begun:
            shared.note(
                f"{', '.join(map(str, begun))} had begun, and is the first: {found.command} runs there once more"
            )
        return msgspec.structs.replace(found, at=()), begun + left
    shared.note(f"note: given up is what had stopped: {found.command}; not done: {', '.join(found.left)}")
    # What it has begun may not have ended yet. That unit's hooks wait for it, so by going there first nothing is at two.
    return operation, begun + [name for name in names if name not in begun]


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

    operation: RollingOperation
    hold: Carried
    format: str | None
    way: StoreWay
    through: Through | None = None
    total: int = 0
    at: list[UnitName] = field(default_factory=list)
    done: list[UnitName] = field(default_factory=list)
    gone: list[UnitName] = field(default_factory=list)
    failed: dict[UnitName, Failure] = field(default_factory=dict)
    left: list[UnitName] = field(default_factory=list)
    """Those that haven't done it: the failed ones first, then those that haven't begun."""

    async def run(self, names: list[UnitName], look: Any) -> None:
        """Go through the units, `at_once` at a time, until all have done it or one has failed. Raises Unsure's kinds."""
        self.total, self.left = len(names), list(names)
        waiting = iter(names)

        async def work() -> None:
            for name in waiting:
                if not await self._one(name, look) or self.failed:
                    return

        works = [asyncio.ensure_future(work()) for _ in range(min(self.operation.at_once, len(names)))]
        all_done = asyncio.ensure_future(_gathered(works))
        try:
            await asyncio.wait({all_done, self.hold.lost}, return_when=asyncio.FIRST_COMPLETED)
            if not all_done.done():
                raise Failed(
                    "the store was silent for longer than this command's lease: what ran is ended, and nothing more begins",
                    hint="--continue goes on when the store is back",
                )
            all_done.result()
        finally:
            for one in works:
                one.cancel()
            await asyncio.gather(all_done, return_exceptions=True)
        self.left.sort(key=lambda name: name not in self.failed)

    async def _note(self) -> None:
        """Write down how far it is."""
        await self.hold.save(
            msgspec.structs.replace(
                self.operation,
                at=tuple(map(str, self.at)),
                left=tuple(map(str, self.left)),
                done=(*self.operation.done, *map(str, self.done)),
            )
        )

    async def _one(self, name: UnitName, look: Any) -> bool:
        """One unit's turn; whether it went well."""
        try:
            view = await look()
            view.unit(name)
            self.at.append(name)
            await self._note()
        except NoSuchThing:
            self.gone.append(name)
            self.left.remove(name)
            shared.note(f"{name}: is gone meanwhile")
            return True
        except (Unsure, No) as error:
            return self._fail(name, Failed.exit_code, error.message)
        shared.note(f"{name}: begins ({len(self.done) + 1} of {self.total})")
        task = Task(
            name,
            self.operation.command,
            self.operation.timeout_s,
            shown=self.format not in ("json", "yaml") and f"{name}: ",
        )
        await task.run(view, self.way, self.through)
        if task.code or task.error:
            return self._fail(name, task.code, task.error or f"exit code {task.code}")
        if self.operation.healthy is not None and (failure := await self._unhealthy(name, view)):
            return self._fail(name, failure.code, failure.why)
        self.done.append(name)
        self.left.remove(name)
        self.at.remove(name)
        try:
            await self._note()
        except (Unsure, No) as error:
            return self._fail(name, Failed.exit_code, error.message)
        shared.note(f"{name}: done ({len(self.done)} of {self.total})")
        return True

    async def _unhealthy(self, name: UnitName, view: ModelView) -> Failure | None:
        """Ask the check until it says yes; why it didn't, when its time is over."""
        check = self.operation.healthy
        assert check is not None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.operation.check_timeout_s
        while True:
            task = Task(name, check, max(0.1, deadline - loop.time()), shown=False)
            await task.run(view, self.way, self.through)
            if task.code == Failed.exit_code:
                return Failure(task.code, f"the check can't be made: {task.error or 'exit code 125'}")
            if not task.code:
                return None
            if loop.time() + CHECK_EVERY_S >= deadline:
                said = (task.output["stderr"] or task.output["stdout"]).decode("utf-8", "replace").strip()
                last = said.splitlines()[-1] if said else f"exit code {task.code}"
                return Failure(124, f"not healthy within {self.operation.check_timeout_s:g} s: {last}")
            await asyncio.sleep(CHECK_EVERY_S)

    def _fail(self, name: UnitName, code: int, why: str) -> bool:
        self.failed[name] = Failure(code, why)
        shared.note(f"{name}: failed: {why}")
        return False

    def say_how_to_go_on(self, application: str) -> None:
        """Say where it has stopped, and the line that goes on from there."""
        done = ", ".join(map(str, self.done)) or "none"
        stopped = f" at {', '.join(map(str, self.failed))}" if self.failed else ""
        shared.note(f"error: stopped{stopped}; done: {done}; not done: {', '.join(map(str, self.left))}")
        shared.note(f"hint: to go on, when it is mended: tenure rolling {application} --continue")

    @property
    def document(self) -> dict[str, Any]:
        """What has come of it, for programs."""
        return {
            "done": [str(name) for name in self.done],
            "failed": {str(name): {"code": one.code, "why": one.why} for name, one in self.failed.items()},
            "not-done": [str(name) for name in self.left],
            "gone": [str(name) for name in self.gone],
        }


async def _gathered(works: Sequence[asyncio.Future[None]]) -> None:
    await asyncio.gather(*works)
