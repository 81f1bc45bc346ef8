"""The processes that hooks start, to the last grandchild: who has ended, who is left, and whose it was.

The agent is a subreaper: a process whose parent has ended becomes the agent's child, however deep it was. So as long as
anything of a hook is left, the agent has a child that is the hook's or leads to it, and is told of each end by SIGCHLD.
An orphan shows whose it is by the context id in the environment that it was started with, or by its session; one that
can't be told apart counts for every hook that may have left it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tenure.errors import Broken

CONTEXT_VARIABLE = "JUJU_CONTEXT_ID"
WORK_VARIABLE = "TENURE_WORK"
"""Marks what runs for an office, which is in no hook's context."""

_PR_SET_CHILD_SUBREAPER = 36
_PROC = Path("/proc")


@dataclass(eq=False)
class Child:
    """A process that was started for a context."""

    pid: int
    context_id: str
    ended: asyncio.Future[int]
    """Its wait status, as `os.WIFEXITED` and its kin read it."""


@dataclass
class _Leaving:
    """A context whose hook has ended, and what is to be called when none of its processes is left."""

    session: int
    call: Callable[[], None]


@dataclass
class Processes:
    """All children of this agent. Nothing else in the process may wait for children of its own."""

    _running: dict[int, Child] = field(default_factory=dict)
    _leaving: dict[str, _Leaving] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Become a subreaper and hear of ends. In the main thread of the loop's process."""
        _be_a_subreaper(True)
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def close(self) -> None:
        """Hear of ends no more. What is left goes on."""
        if self._loop is not None:
            self._loop.remove_signal_handler(signal.SIGCHLD)
            self._loop = None
            _be_a_subreaper(False)

    def spawn(
        self,
        argv: Sequence[str],
        *,
        context_id: str,
        environment: Mapping[str, str],
        cwd: Path,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int,
        stderr: int,
    ) -> Child:
        """Start `argv` in a session and process group of its own, with exactly this environment. Raises OSError."""
        assert self._loop is not None
        process = subprocess.Popen(
            list(argv), cwd=cwd, env=environment, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
        )
        process.returncode = 0  # it is reaped here, not by its own object
        child = Child(process.pid, context_id, self._loop.create_future())
        self._running[child.pid] = child
        return child

    def when_none_left(self, child: Child, call: Callable[[], None]) -> None:
        """Call once none of the processes of `child`'s context is left: at once, or in the loop later. `child` has ended."""
        self._leaving[child.context_id] = _Leaving(child.pid, call)
        self._look()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            child = self._running.pop(pid, None)
            if child is not None and not child.ended.done():
                child.ended.set_result(status)
        self._look()

    def _look(self) -> None:
        if not self._leaving:
            return
        try:
            left = self._left()
        except FileNotFoundError:
            return  # nobody can tell what is left: every debt is owed in full
        for context_id in [context_id for context_id in self._leaving if context_id not in left]:
            self._leaving.pop(context_id).call()

    def _left(self) -> set[str]:
        """The contexts, of those that are being left, of which something may be there still."""
        left: set[str] = set()
        for pid in own_children():
            if pid in self._running:
                continue
            owner = self._owner(pid)
            if owner is None:
                return set(self._leaving)
            left.add(owner)
        return left

    def _owner(self, pid: int) -> str | None:
        context_id = context_of(pid)
        if context_id is not None:
            return context_id
        session = _session_of(pid)
        return next((name for name, leaving in self._leaving.items() if leaving.session == session), None)


def _be_a_subreaper(yes: bool) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0):
        raise Broken(f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(ctypes.get_errno())}")


def own_children() -> list[int]:
    """The pids of the main thread's children, zombies included: complete, as none vanishes before it is waited for.

    The main thread is the one that starts hooks, and the one that orphans are given to.
    Raises FileNotFoundError where the kernel doesn't tell (CONFIG_PROC_CHILDREN).
    """
    return [int(pid) for pid in (_PROC / "self/task" / str(os.getpid()) / "children").read_bytes().split()]


def context_of(pid: int) -> str | None:
    """The context id, or the mark, in the environment that the process was started with; None when it can't be told."""
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    for entry in environment.split(b"\0"):
        name, _, value = entry.partition(b"=")
        if name in _MARKS:
            return os.fsdecode(value)
    return None


_MARKS = (os.fsencode(CONTEXT_VARIABLE), os.fsencode(WORK_VARIABLE))


def started_ticks(pid: int) -> int:
    """When the process was started, in the kernel's ticks since the boot; 0 when it is gone."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def _session_of(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[3]) if fields else 0


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat after the name, which may hold blanks and parentheses."""
    try:
        return (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def kill_group(pid: int, number: int) -> None:
    """Signal a process group that one of our children leads; nothing happens when none of it is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def end_what_is_left(context_id: str, pid: int, ticks: int) -> int:
    """Kill every process of a hook that was running when its agent died. Returns how many there were.

    They are known by the context id in their environment, and by the session that the hook led (`pid`, started at
    `ticks`; 0: not known). A process that has shed both can't be told from any other.
    """
    killed: set[int] = set()
    while found := _left_of(context_id, pid, ticks) - killed:
        for victim in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(victim, signal.SIGKILL)
        killed |= found
    return len(killed)


def anything_left(context_id: str) -> bool:
    """Whether a process with that context id, or mark, is there yet."""
    return bool(_left_of(context_id, 0, 0))


def _left_of(context_id: str, pid: int, ticks: int) -> set[int]:
    # A pid is not given away while it names a session; where it is given away, its new owner has another start.
    session = pid if pid and started_ticks(pid) in (0, ticks) else 0
    found = set()
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        fields = _stat(int(entry.name))
        if not fields or fields[0] in (b"Z", b"X"):
            continue
        if (session and int(fields[3]) == session) or context_of(int(entry.name)) == context_id:
            found.add(int(entry.name))
    return found
