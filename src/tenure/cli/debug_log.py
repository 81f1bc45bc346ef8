"""tenure debug-log: show the log of the model's agents.

Prints what there is, merged by time, and ends; with --follow it goes on until Ctrl-C. Exits 0; 2; 3.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tenure.cli import shared, state_folders
from tenure.cli.asking import Through, store_way, through_option
from tenure.cli.far_logs import FarLogs
from tenure.cli.output import as_yaml, one_line

if TYPE_CHECKING:
    from tenure.agent.log_tail import Line, Tail
    from tenure.model.view import ModelView

_FOLLOW_FROM = 10
"""Lines from before that --follow begins with, unless --limit says otherwise."""


@shared.command(prints=True)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is logged from now on, until Ctrl-C.")
@click.option("--here", is_flag=True, help="Only the agents of this host, from their files.")
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(0),
    help="Only the newest so many lines; 0: all.  [default: all; 10 with --follow]",
)
@through_option
async def command(
    settings: shared.Settings, follow: bool, here: bool, limit: int | None, through: Through | None
) -> None:
    """Show the log of the model's agents.

    Agents of this host are read from their files, also those that have ended. Agents of other hosts are asked through the
    store, where their lines are until they are read; one without a unit can't be. JSON is one object a line.

    \b
    Examples:
      tenure debug-log --limit 100
      tenure debug-log --follow
      tenure debug-log --here --format json | jq -r .message
    """
    from tenure.agent.log_tail import Tail, newest

    view = await _view(settings)
    tails = [Tail(folder) for folder in _folders(view, through)]
    away = [] if here or view is None else sorted(_away(view, through))
    if not tails and not away:
        shared.note("no agent of this model has logged anything" + (" on this host" if here else ""))
    most = limit or None if limit is not None else _FOLLOW_FROM if follow else None
    async with store_way(settings) as way:
        far = FarLogs(settings.layout, way, through)
        lines = heapq.merge(newest(tails, most), *(await far.newest(away, most)))
        for line in lines if most is None else deque(lines, maxlen=most):
            _show(settings, line)
        if follow:
            await _follow(settings, tails, None if here or view is None else far)


async def _view(settings: shared.Settings) -> ModelView | None:
    """The model; None, saying so, when it can't be had now."""
    from tenure.errors import Unsure
    from tenure.model.view import read_model

    try:
        async with shared.opened(settings) as store:
            return await read_model(store, settings.layout)
    except Unsure as error:
        shared.note(f"note: {error.message}; shown is what agents of yours have left on this host")
        return None


def _folders(view: ModelView | None, through: Through | None) -> list[Path]:
    """The folders of logs on this host: of the agents that are up, and of this user's that were."""
    if through == "store":
        return []
    found = set()
    if view is not None:
        away = _away(view, through)
        found = {Path(one.state_dir) / "log" for name, one in view.machines.items() if name not in away}
    uuid = view.info.uuid if view is not None and view.info is not None else None
    for state in state_folders.known():
        if uuid is None or _belongs(state, uuid):
            found.add(state / "log")
    return sorted(folder for folder in {folder.resolve() for folder in found} if folder.is_dir())


def _away(view: ModelView, through: Through | None) -> set[str]:
    """The machines whose agents' files aren't on this host."""
    from tenure.clock import boot_id

    here = boot_id()
    if through == "socket":
        return set()
    return {name for name, one in view.machines.items() if through == "store" or one.boot_id != here}


def _belongs(state: Path, model_uuid: str) -> bool:
    try:
        return bool(json.loads((state / "identity").read_bytes())["model_uuid"] == model_uuid)
    except (OSError, ValueError, KeyError, TypeError):
        return False


async def _follow(settings: shared.Settings, tails: list[Tail], far: FarLogs | None) -> None:
    from tenure.agent.log_tail import added

    def show(lines: list[Line]) -> None:
        for line in lines:
            _show(settings, line)
        sys.stdout.flush()

    async def near() -> None:
        async for lines in added(tails):
            show(lines)

    sys.stdout.flush()
    async with asyncio.TaskGroup() as group:
        group.create_task(near())
        if far is not None:
            group.create_task(far.follow(lambda view: _away(view, far.through), show))


def _show(settings: shared.Settings, line: Line) -> None:
    fields = line.fields
    match settings.format:
        case "json":
            click.echo(json.dumps(fields, ensure_ascii=False))
        case "yaml":
            click.echo(as_yaml([fields]), nl=False)
        case _:
            from tenure.model.walltime import local_text

            head = " ".join(
                part
                for part in (
                    local_text(line.time),
                    str(fields.get("level", "")),
                    str(fields.get("machine", "")),
                    str(fields.get("logger", "")),
                )
                if part
            )
            click.echo(f"{head}: {one_line(str(fields.get('message', '')))}")
