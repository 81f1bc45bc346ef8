"""tenure debug-log: show the log of this host's agents.

Prints what there is, merged by time, and ends; with --follow it goes on until Ctrl-C. Exits 0; 2; 3.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from tenure.cli import shared, state_folders
from tenure.cli.output import as_yaml, one_line

_FOLLOW_FROM = 10
"""Lines from before that --follow begins with, unless --limit says otherwise."""


@shared.command(prints=True)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is logged from now on, until Ctrl-C.")
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(0),
    help="Only the newest so many lines; 0: all.  [default: all; 10 with --follow]",
)
async def command(settings: shared.Settings, follow: bool, limit: int | None) -> None:
    """Show the log of this host's agents.

    Agents of other hosts keep theirs. JSON is one object a line.

    \b
    Examples:
      tenure debug-log --limit 100
      tenure debug-log --follow
      tenure debug-log --format json | jq -r .message
    """
    folders = await _folders(settings)
    if not folders:
        shared.note("no agent of this model has logged anything on this host")
    tails = [_Tail(folder) for folder in folders]
    lines: Iterable[_Line] = heapq.merge(*(tail.read_all() for tail in tails))
    most = limit if limit is not None else _FOLLOW_FROM if follow else 0
    for line in deque(lines, maxlen=most) if most else lines:
        _show(settings, line)
    if follow:
        await _follow(settings, tails)


async def _folders(settings: shared.Settings) -> list[Path]:
    """The folders of logs on this host: of the agents that are up, and of this user's that were."""
    from tenure.clock import boot_id
    from tenure.errors import Unsure
    from tenure.model.view import read_model

    here, uuid = boot_id(), None
    found: set[Path] = set()
    try:
        async with shared.opened(settings) as store:
            view = await read_model(store, settings.layout)
        uuid = view.info.uuid if view.info is not None else None
        found = {Path(one.state_dir) / "log" for one in view.machines.values() if one.boot_id == here}
    except Unsure as error:
        shared.note(f"note: {error.message}; shown is what agents of yours have left on this host")
    for state in state_folders.known():
        if uuid is None or _belongs(state, uuid):
            found.add(state / "log")
    return sorted(folder for folder in {folder.resolve() for folder in found} if folder.is_dir())


def _belongs(state: Path, model_uuid: str) -> bool:
    try:
        return bool(json.loads((state / "identity").read_bytes())["model_uuid"] == model_uuid)
    except (OSError, ValueError, KeyError, TypeError):
        return False


class _Line:
    """A line of a log, ordered by its time; what isn't one of ours comes with the line before it."""

    __slots__ = ("fields", "time")

    def __init__(self, raw: bytes, time: str) -> None:
        text = raw.decode("utf-8", "replace").rstrip("\n")
        try:
            fields = json.loads(text)
        except ValueError:
            fields = None
        self.fields: dict[str, Any] = fields if isinstance(fields, dict) else {"message": text}
        self.time = str(self.fields.get("time") or time)

    def __lt__(self, other: _Line) -> bool:
        return self.time < other.time


class _Tail:
    """One agent's log: all of it that is kept, then what is added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "agent.log"
        self._inode = 0
        self._position = 0
        self._time = ""

    def read_all(self) -> Iterator[_Line]:
        older = sorted(self.folder.glob("agent.log.*"), key=lambda path: -_number(path))
        for path in older:
            try:
                with open(path, "rb") as file:
                    yield from self._lines(file)
            except FileNotFoundError:
                continue  # rotated away as we looked
        yield from self.read_new()

    def read_new(self) -> Iterator[_Line]:
        """What has been added; where the file was rotated, the rest of the old one first."""
        try:
            file = open(self._path, "rb")  # noqa: SIM115 - closed below, by `with`, once it is known which one it is
        except FileNotFoundError:
            return
        with file:
            inode = os.fstat(file.fileno()).st_ino
            if self._inode not in (0, inode):
                yield from self._rest_of_rotated()
                self._position = 0
            self._inode = inode
            file.seek(self._position)
            for line in self._lines(file):
                self._position = file.tell()
                yield line

    def _rest_of_rotated(self) -> Iterator[_Line]:
        for path in self.folder.glob("agent.log.*"):
            try:
                with open(path, "rb") as file:
                    if os.fstat(file.fileno()).st_ino == self._inode:
                        file.seek(self._position)
                        yield from self._lines(file)
            except FileNotFoundError:
                continue

    def _lines(self, file: Any) -> Iterator[_Line]:
        # A last line without its end is still being written: it is read the next time.
        while (raw := file.readline()).endswith(b"\n"):
            line = _Line(raw, self._time)
            self._time = line.time
            yield line


async def _follow(settings: shared.Settings, tails: list[_Tail]) -> None:
    from inotify_simple import INotify, flags

    changed, loop = asyncio.Event(), asyncio.get_running_loop()
    with INotify(nonblocking=True) as inotify:
        for tail in tails:
            inotify.add_watch(str(tail.folder), flags.MODIFY | flags.CREATE | flags.MOVED_TO)
        loop.add_reader(inotify.fileno(), changed.set)
        try:
            while True:
                changed.clear()
                inotify.read(timeout=0)
                for line in heapq.merge(*(tail.read_new() for tail in tails)):
                    _show(settings, line)
                sys.stdout.flush()
                await changed.wait()
        finally:
            loop.remove_reader(inotify.fileno())


def _show(settings: shared.Settings, line: _Line) -> None:
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


def _number(path: Path) -> int:
    suffix = path.name.rpartition(".")[2]
    return int(suffix) if suffix.isdigit() else 0
