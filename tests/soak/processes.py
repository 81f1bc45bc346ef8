"""What runs in a soak, by what it is: found in the kernel's own tree, below the soak's process."""

from __future__ import annotations

import ctypes
import os
from collections import defaultdict
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def be_a_subreaper() -> None:
    """What its parent has left becomes this process's child, and is found."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def found_below(pid: int) -> dict[str, list[int]]:
    """The pids of agents, holds, guards, keepers, workloads and hooks."""
    found: dict[str, list[int]] = defaultdict(list)
    todo = [(child, "") for child in children(pid)]
    while todo:
        one, parent = todo.pop()
        kind = _kind(_words(one), parent)
        if kind:
            found[kind].append(one)
        todo += [(child, kind) for child in children(one)]
    return {kind: sorted(pids) for kind, pids in found.items()}


def children(pid: int) -> list[int]:
    """A process's children, whichever of its threads has them."""
    found: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (thread / "children").read_text().split()]
    except OSError:
        pass
    return found


def reap(pids: set[int]) -> None:
    """Forget those of our children that have ended and were given to us; `pids`: whom others wait for."""
    for child in children(os.getpid()):
        if child not in pids:
            try:
                os.waitpid(child, os.WNOHANG)
            except ChildProcessError:
                continue


def _words(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _kind(words: list[bytes], parent: str) -> str:
    if any(word.endswith(b"/guard/__main__.py") for word in words):
        return "keeper" if parent == "guard" else "guard"
    if b"tenure.agent" in words:
        return "agent"
    if b"tests.soak.naive" in words or (b"tenure" in words and b"hold" in words):
        return "hold"
    if any(word.endswith(b"/work.py") for word in words):
        return "workload"
    return "hook" if any(b"/charm/hooks/" in word for word in words) else ""
