"""Finds a hook's file in a charm and runs it, as Juju does: which file counts, how it is started, what its end means.

The process's own end decides. What it prints goes to the unit's log, standard output as DEBUG and standard error as
WARNING, up to a limit; a child that keeps the pipes open is waited for no longer than `PIPES_S`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tenure.agent.processes import Child, Processes, end_what_is_left, kill_group, started_ticks
from tenure.defaults import HOOK_OUTPUT_MAX

PIPES_S = 0.1
"""How long the pipes are read on after the hook's own end. Juju's figure."""

KILL_AFTER_S = 1.0
"""How long a hook that is told to end has, from SIGTERM to SIGKILL: enough for a trap, short against any guarantee."""

_READ_AT_ONCE = 4096
"""So few that even a flood of empty lines holds up the loop, and with it the renewals, for milliseconds only."""

_LINE_MAX = 16 * 1024
"""A longer line is logged in pieces."""


class HookCannotRun(Exception):
    """The charm's files don't allow it; the message says which and why, for the unit's log and status."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a hook ended. `killed`: by SIGTERM or SIGKILL themselves, so it is no failure of the charm's."""

    how: Literal["succeeded", "failed", "killed"]
    why: str = ""


def find_hook(charm: Path, name: str) -> Path | None:
    """The file to run for the hook `name`; None: the charm has none, which is a success. Raises HookCannotRun."""
    if not (charm / "metadata.yaml").is_file():
        raise HookCannotRun(f"the charm is missing from disk: {charm / 'metadata.yaml'} isn't there")
    for path in (charm / "dispatch", charm / "hooks" / name):
        if os.path.lexists(path):
            if not path.is_file():
                raise HookCannotRun(f"{path} is not a file")
            if not os.access(path, os.X_OK):
                raise HookCannotRun(f"{path} is not executable: chmod +x it")
            return path
    return None


class HookProcess:
    """One run of a hook's file."""

    def __init__(self, processes: Processes, context_id: str, log: logging.Logger) -> None:
        self._processes = processes
        self._context_id = context_id
        self._log = log
        self._pipes: list[_Pipe] = []
        self._child: Child | None = None
        self.ticks = 0
        """The process's start, in the kernel's ticks."""

    @property
    def pid(self) -> int:
        """Of the process, which leads a session and a group of its own."""
        assert self._child is not None
        return self._child.pid

    def start(self, path: Path, environment: Mapping[str, str], cwd: Path) -> None:
        """Start `path`. Raises HookCannotRun when the kernel refuses."""
        budget = _Budget()
        out, out_end = os.pipe2(os.O_CLOEXEC)
        err, err_end = os.pipe2(os.O_CLOEXEC)
        try:
            self._child = self._processes.spawn(
                [str(path)],
                context_id=self._context_id,
                environment=environment,
                cwd=cwd,
                stdout=out_end,
                stderr=err_end,
            )
        except OSError as error:
            os.close(out)
            os.close(err)
            raise HookCannotRun(f"{path} can't be run: {_why_not(error)}") from None
        finally:
            os.close(out_end)
            os.close(err_end)
        self.ticks = started_ticks(self._child.pid)
        self._pipes = [_Pipe(out, self._log.debug, budget), _Pipe(err, self._log.warning, budget)]

    async def wait(self) -> Ended:
        """Return when the hook has ended and its output is in the log, or its pipes' time is over."""
        assert self._child is not None
        status = await asyncio.shield(self._child.ended)
        ends = [pipe.ended for pipe in self._pipes if not pipe.ended.done()]
        if ends:
            await asyncio.wait(ends, timeout=PIPES_S)
        dropped = sum(pipe.close() for pipe in self._pipes)
        if dropped:
            self._log.warning("%d more bytes of output were dropped", dropped)
        return _ended(status)

    def when_none_left(self, call: Callable[[], None]) -> None:
        """Call once none of the hook's processes is left. After `wait`."""
        assert self._child is not None
        self._processes.when_none_left(self._child, call)

    async def end(self) -> None:
        """Have the hook end: SIGTERM to its group, and after `KILL_AFTER_S` SIGKILL to all that is known to be its own."""
        assert self._child is not None
        kill_group(self.pid, signal.SIGTERM)
        await asyncio.wait([asyncio.shield(self._child.ended)], timeout=KILL_AFTER_S)
        self.kill()

    def kill(self) -> None:
        """Kill all that is known to be the hook's own."""
        end_what_is_left(self._context_id, self.pid, self.ticks)


def _why_not(error: OSError) -> str:
    # The file is there, or it would not have been found: the kernel's words are about what its first line names.
    if error.errno == errno.ENOENT:
        return "the interpreter that its first line names isn't there"
    if error.errno == errno.ENOEXEC:
        return "it is no program, and has no first line that names an interpreter (#!/bin/sh)"
    return error.strerror or str(error)


def _ended(status: int) -> Ended:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        why = f"killed by {signal.Signals(number).name if number in set(signal.Signals) else number}"
        return Ended("killed" if number in (signal.SIGTERM, signal.SIGKILL) else "failed", why)
    code = os.WEXITSTATUS(status)
    return Ended("failed", f"exit status {code}") if code else Ended("succeeded")


@dataclass
class _Budget:
    """What of one hook's output may still be logged."""

    bytes_left: int = HOOK_OUTPUT_MAX


class _Pipe:
    """Reads one of a hook's pipes into its log, line by line."""

    def __init__(self, file: int, log: Callable[[str, str], None], budget: _Budget) -> None:
        self._file = file
        self._log = log
        self._budget = budget
        self._line = b""
        self._dropped = 0
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        os.set_blocking(file, False)
        self._loop.add_reader(file, self._read)

    def close(self) -> int:
        """Read no more; returns how many bytes were dropped."""
        if not self.ended.done():
            self._end()
        return self._dropped

    def _read(self) -> None:
        try:
            data = os.read(self._file, _READ_AT_ONCE if self._budget.bytes_left else 1 << 16)
        except BlockingIOError:
            return
        if data:
            self._take(data)
        else:
            self._end()

    def _take(self, data: bytes) -> None:
        kept = data[: self._budget.bytes_left]
        self._budget.bytes_left -= len(kept)
        self._dropped += len(data) - len(kept)
        *lines, self._line = (self._line + kept).split(b"\n")
        for line in lines:
            self._log("%s", line.decode("utf-8", "replace"))
        while len(self._line) > _LINE_MAX:
            self._log("%s", self._line[:_LINE_MAX].decode("utf-8", "replace"))
            self._line = self._line[_LINE_MAX:]

    def _end(self) -> None:
        self._loop.remove_reader(self._file)
        os.close(self._file)
        if self._line:
            self._log("%s", self._line.decode("utf-8", "replace"))
        self.ended.set_result(None)
