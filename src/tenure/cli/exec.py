"""tenure exec --unit UNIT -- CMD: run commands in units' hook contexts, on this host or another.

Exits with CMD's own code (of several units: the first that isn't 0, by their order); 124 when --timeout has passed; 125
for a failure of Tenure's: a unit's agent is away or has died meanwhile, the unit is ending, what CMD had buffered was
refused; 2 for wrong usage, or when there is no such unit.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

import click

from tenure.cli import shared, values
from tenure.cli.asking import StoreWay, Through, socket_of, store_way, through_option
from tenure.errors import BadInput, Failed, TenureError, Unsure, Vacant
from tenure.names import UnitName

if TYPE_CHECKING:
    from tenure.agent.exec_client import Ran, Stream
    from tenure.model.view import ModelView

FAILED = Failed.exit_code


@shared.command(prints=True)
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED, metavar="-- CMD [ARGS]")
@click.option(
    "--unit", "-u", "units", multiple=True, metavar="UNIT,…", help="These units; web/leader: whichever leads."
)
@click.option("--application", "-a", "applications", multiple=True, metavar="APP,…", help="All units of these.")
@click.option("--all", "everyone", is_flag=True, help="All units of the model.")
@click.option("--parallel", is_flag=True, help="On all of them at once, rather than one after another.")
@click.option(
    "--timeout",
    "--wait",
    type=values.duration,
    default="5m",
    show_default=True,
    help="How long CMD may wait for hooks and run, on each unit.",
)
@through_option
async def command(
    settings: shared.Settings,
    cmd: tuple[str, ...],
    units: tuple[str, ...],
    applications: tuple[str, ...],
    everyone: bool,
    parallel: bool,
    timeout: float,
    through: Through | None,
) -> int:
    """Run commands in units' hook contexts.

    CMD runs in the charm's folder, between two hooks of its machine, with a hook's environment and tools: is-leader and
    relation-get work in it. Several words are quoted for the shell, one is given to it as it is. Its output is passed on
    as it comes, behind the unit's name where there are several. What it has written with relation-set counts whatever
    its exit code. A True that is-leader has said to it is owed in full. Units of other hosts are asked through the store,
    which holds CMD and its output meanwhile; CMD is never run twice, and ends when this command dies.

    \b
    Examples:
      tenure exec --unit web/leader -- is-leader
      tenure exec --application web --parallel -- 'relation-ids peers; uptime'
      tenure exec --all --format json -- hostname
    """
    from tenure.model.view import read_model

    if not cmd:
        raise BadInput("there is no command to run", hint="tenure exec --unit web/0 -- CMD")
    if not (units or applications or everyone):
        raise BadInput("nothing says on which units", hint="--unit, --application or --all")
    try:
        async with shared.opened(settings) as store:
            view = await read_model(store, settings.layout)
        names = chosen(view, units, applications, everyone)
    except (Unsure, Vacant) as error:
        raise Failed(error.message, hint=error.hint) from None
    tasks = [Task(name, quoted(cmd), timeout, shown=_shown(settings.format, name, len(names))) for name in names]
    async with store_way(settings) as way:
        if parallel:
            await asyncio.gather(*(task.run(view, way, through) for task in tasks))
        else:
            for task in tasks:
                await task.run(view, way, through)
    if settings.format in ("json", "yaml"):
        _emit(settings.format, tasks)
    for task in tasks:
        if task.error:
            shared.note(f"error: {task.unit}: {task.error}")
    return next((task.code for task in tasks if task.code), 0)


def quoted(cmd: tuple[str, ...]) -> str:
    """What the shell is given: one word as it is, several quoted."""
    return cmd[0] if len(cmd) == 1 else shlex.join(cmd)


def chosen(view: ModelView, units: tuple[str, ...], applications: tuple[str, ...], everyone: bool) -> list[UnitName]:
    """The units that are meant, each once, in the order given. Raises BadInput, NoSuchThing, Vacant."""
    found: dict[UnitName, None] = {}
    for text in (part for given in units for part in given.split(",") if part):
        application, _, number = text.partition("/")
        if number == "leader":
            leader = view.application(application).leader
            if leader is None:
                raise Vacant(f"nobody leads {application}", hint=f"tenure wait {application} --for leader")
            found[leader] = None
        else:
            found[view.unit(UnitName.parse(text)).name] = None
    names = [part for given in applications for part in given.split(",") if part]
    for name in [*names, *(view.applications if everyone else ())]:
        found.update(dict.fromkeys(unit.name for unit in view.application(name).units.values()))
    return list(found)


@dataclass
class Task:
    """Commands on one unit, and what became of them."""

    unit: UnitName
    text: str
    timeout_s: float
    shown: bool | str = True
    """Whether their output is passed on as it comes; a text: each line behind it."""
    code: int = 0
    """Theirs; 124, 125 for what else has happened."""
    error: str = ""
    """What went wrong that wasn't the commands' own."""
    enqueued: str = ""
    ran: Ran | None = None
    output: dict[str, bytearray] = field(default_factory=lambda: {"stdout": bytearray(), "stderr": bytearray()})
    _begun: dict[str, bytearray] = field(default_factory=lambda: {"stdout": bytearray(), "stderr": bytearray()})

    async def run(self, view: ModelView, way: StoreWay, through: Through | None) -> None:
        """Run them; never raises for what becomes of them."""
        from tenure.model.walltime import now_text

        self.enqueued = now_text()
        try:
            self.ran = await self._run(view, way, through)
        except TenureError as error:
            self.code, self.error = FAILED, error.message
        else:
            self._settle(self.ran)
        for stream in self._begun:
            self._print(stream, b"", last=True)

    async def _run(self, view: ModelView, way: StoreWay, through: Through | None) -> Ran:
        from tenure.agent.exec_client import run_commands, run_through_store

        unit = view.unit(self.unit)
        socket = socket_of(unit, view, through)
        if socket is not None:
            return await run_commands(
                socket, str(self.unit), self.text, self._show, timeout_s=self.timeout_s, operator=True
            )
        store, model = await way.get()
        return await run_through_store(
            store, view.layout, model, unit, self.text, self._show, timeout_s=self.timeout_s, operator=True
        )

    def _settle(self, ran: Ran) -> None:
        if ran.ended == "timed out":
            self.code, self.error = 124, f"timed out after {self.timeout_s:g} s; the commands were ended"
        elif ran.ended or ran.code is None:
            why = ran.ended if ran.ended.startswith("unknown: ") else f"the commands were ended: {ran.ended}"
            self.code, self.error = FAILED, why
        else:
            self.code = ran.code
            if ran.flush:
                self.code, self.error = ran.code or FAILED, f"committing requested changes failed: {ran.flush}"
        if ran.dropped:
            shared.note(f"note: {self.unit}: the output is cut short: {ran.dropped} bytes more were dropped")

    def _show(self, stream: Stream, data: bytes) -> None:
        self.output[stream] += data
        self._print(stream, data)

    def _print(self, stream: str, data: bytes, *, last: bool = False) -> None:
        if self.shown is False:
            return
        if isinstance(self.shown, str):
            # Whole lines only: those of several units don't run into each other.
            waiting = self._begun[stream]
            waiting += data
            cut = len(waiting) if last else waiting.rfind(b"\n") + 1
            data, self._begun[stream] = bytes(waiting[:cut]), waiting[cut:]
            data = b"".join(self.shown.encode() + line for line in data.splitlines(keepends=True))
            data += b"\n" if last and data and not data.endswith(b"\n") else b""
        _write(sys.stdout if stream == "stdout" else sys.stderr, data)

    @property
    def document(self) -> dict[str, Any]:
        """The task in the shape that Juju's `exec --format json` gives it."""
        results: dict[str, Any] = {
            "return-code": self.ran.code if self.ran and self.ran.code is not None else self.code
        }
        for stream, data in self.output.items():
            if data:
                results[stream] = data.decode("utf-8", "replace")
        found: dict[str, Any] = {
            "id": self.ran.id if self.ran else "",
            "status": "failed" if self.error else "completed",
            "unit": str(self.unit),
            "results": results,
            "timing": {"enqueued": self.enqueued},
        }
        if self.ran and self.ran.started:
            found["timing"] |= {"started": self.ran.started, "completed": self.ran.completed}
        if self.error:
            found["message"] = self.error
        return found


def _write(file: TextIO, data: bytes) -> None:
    """Without Python's buffer and its lock: it may be a thread that writes, and that nobody waits for at the end."""
    file.flush()
    left = memoryview(data)
    while left:
        left = left[os.write(file.fileno(), left) :]


def _shown(chosen_format: str | None, unit: UnitName, many: int) -> bool | str:
    if chosen_format in ("json", "yaml"):
        return False
    return f"{unit}: " if many > 1 else True


def _emit(chosen_format: str, tasks: list[Task]) -> None:
    from tenure.cli.output import emit

    emit(chosen_format, {str(task.unit): task.document for task in tasks}, lambda: "")
    failed = [task for task in tasks if task.code]
    if failed:
        # Juju's words: jubilant looks for "task failed" and "timed out" in them.
        shared.note(f"ERROR the following task{'s' if len(failed) > 1 else ''} failed:")
        for task in failed:
            number = task.ran.id if task.ran else ""
            shared.note(f' - id "{number}" with return code {task.document["results"]["return-code"]}')
