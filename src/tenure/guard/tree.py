"""Every process below one, and their end: for a host on which no namespace can be had, and for what a dead guard left."""

from __future__ import annotations

import os
import signal


def children(pid: int) -> list[int]:
    """The children of a process, zombies included, of all its threads. Empty when it is gone."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:
        pass
    return found


def below(pid: int, spare: tuple[int, ...] = ()) -> list[int]:
    """All descendants of a process, parents first; `spare` and what is below them are left out."""
    found: list[int] = []
    todo = [pid]
    while todo:
        new = [child for child in children(todo.pop()) if child not in spare]
        found += new
        todo += new
    return found


def kill_below(pid: int, spare: tuple[int, ...] = ()) -> None:
    """Kill all descendants. They are stopped first, until no new ones come up: a fork bomb is not outrun otherwise.

    One that is forked in the very moment may be missed: whoever calls looks again until none is left.
    """
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        new = [child for child in below(pid, spare) if child not in stopped]
        if not new:
            break
        for child in new:
            send(child, signal.SIGSTOP)
        stopped.update(new)
    for child in below(pid, spare):
        send(child, signal.SIGKILL)


_ROUNDS = 50


def send(pid: int, number: int) -> None:
    """Signal a process; nothing happens when it is gone, or another user's."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def reap() -> list[tuple[int, int]]:
    """The (pid, status) of each child that has ended since; raises ChildProcessError when there are no children at all."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            if ended:
                return ended
            raise
        if pid == 0:
            return ended
        ended.append((pid, status))


def any_child() -> bool:
    """Whether this process has a child, dead or alive; asked of the kernel, and none is reaped."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
