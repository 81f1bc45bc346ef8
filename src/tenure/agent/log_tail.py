"""Reads the logs that agents keep on this host: all that is there, and what is added, also while they are rotated."""

from __future__ import annotations

import asyncio
import heapq
import json
import os
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any


class Line:
    """A line of a log, ordered by its time; what isn't one of ours comes with the line before it."""

    __slots__ = ("fields", "text", "time")

    def __init__(self, raw: bytes, time: str) -> None:
        self.text = raw.decode("utf-8", "replace").rstrip("\n")
        try:
            fields = json.loads(self.text)
        except ValueError:
            fields = None
        self.fields: dict[str, Any] = fields if isinstance(fields, dict) else {"message": self.text}
        self.time = str(self.fields.get("time") or time)

    def __lt__(self, other: Line) -> bool:
        return self.time < other.time


class Tail:
    """One agent's log: all of it that is kept, then what is added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "agent.log"
        self._inode = 0
        self._position = 0
        self._time = ""

    def read_all(self) -> Iterator[Line]:
        """Everything, the oldest first."""
        older = sorted(self.folder.glob("agent.log.*"), key=lambda path: -_number(path))
        for path in older:
            try:
                with open(path, "rb") as file:
                    yield from self._lines(file)
            except FileNotFoundError:
                continue  # rotated away as we looked
        yield from self.read_new()

    def read_new(self) -> Iterator[Line]:
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

    def _rest_of_rotated(self) -> Iterator[Line]:
        for path in self.folder.glob("agent.log.*"):
            try:
                with open(path, "rb") as file:
                    if os.fstat(file.fileno()).st_ino == self._inode:
                        file.seek(self._position)
                        yield from self._lines(file)
            except FileNotFoundError:
                continue

    def _lines(self, file: Any) -> Iterator[Line]:
        # A last line without its end is still being written: it is read the next time.
        while (raw := file.readline()).endswith(b"\n"):
            line = Line(raw, self._time)
            self._time = line.time
            yield line


def newest(tails: Sequence[Tail], most: int | None) -> Iterable[Line]:
    """The newest lines of all, merged by time; None: all of them."""
    lines = heapq.merge(*(tail.read_all() for tail in tails))
    return lines if most is None else deque(lines, maxlen=most)


async def added(tails: Sequence[Tail]) -> AsyncIterator[list[Line]]:
    """What is added from now on, as it comes, merged by time where it came at once. Without end."""
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
                if lines := list(heapq.merge(*(tail.read_new() for tail in tails))):
                    yield lines
                await changed.wait()
        finally:
            loop.remove_reader(inotify.fileno())


def _number(path: Path) -> int:
    suffix = path.name.rpartition(".")[2]
    return int(suffix) if suffix.isdigit() else 0
