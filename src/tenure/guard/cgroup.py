"""A control group (v2) for a guard's workload, where one can be had: one write ends all that is in it."""

from __future__ import annotations

import os

_NAME = "tenure-guard-"


class Cgroup:
    """A folder of the kernel's. A process is in it from its `join` on, and so is all that it forks, wherever it hides."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def join(self) -> None:
        """Put the calling process into it. Raises OSError."""
        _write(f"{self.folder}/cgroup.procs", "0")

    def kill(self) -> None:
        """Kill all that is in it (Linux 5.14)."""
        try:
            _write(f"{self.folder}/cgroup.kill", "1")
        except OSError:
            pass

    def processes(self) -> list[int]:
        """The pids in it."""
        try:
            with open(f"{self.folder}/cgroup.procs", encoding="ascii") as file:
                return [int(line) for line in file]
        except OSError:
            return []

    def remove(self) -> None:
        """Give it back; one that isn't empty stays, and the next guard beside it tries again."""
        try:
            os.rmdir(self.folder)
        except OSError:
            pass


def make() -> Cgroup | None:
    """A group below this process's own, or None: no v2 hierarchy, no right to write there, or an old kernel."""
    parent = _own_folder()
    if parent is None:
        return None
    try:
        for other in os.listdir(parent):
            # What a killed guard has left. A group that is in use can't be removed; one that is about to be is left alone.
            if other.startswith(_NAME) and not os.path.exists(f"/proc/{other[len(_NAME) :]}"):
                Cgroup(f"{parent}/{other}").remove()
        folder = f"{parent}/{_NAME}{os.getpid()}"
        os.mkdir(folder)
    except OSError:
        return None
    group = Cgroup(folder)
    if not os.path.exists(f"{folder}/cgroup.kill"):
        group.remove()
        return None
    return group


def end_orphans() -> bool:
    """Kill what dead guards beside this process have left in their groups. Whether anything is there yet."""
    parent = _own_folder()
    left = False
    for name in os.listdir(parent) if parent is not None and os.path.isdir(parent) else ():
        if name.startswith(_NAME) and not os.path.exists(f"/proc/{name[len(_NAME) :]}"):
            group = Cgroup(f"{parent}/{name}")
            group.kill()
            left = left or bool(group.processes())
            group.remove()
    return left


def _own_folder() -> str | None:
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            own = next((line.rstrip("\n")[3:] for line in file if line.startswith("0::")), None)
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounts = [line.split(" ") for line in file if " - cgroup2 " in line]
    except OSError:
        return None
    if own is None or not mounts:
        return None
    # Fields 3 and 4: which part of the hierarchy is mounted, and where.
    root, point = mounts[0][3], mounts[0][4]
    if root != "/" and not own.startswith(root):
        return None
    below = own if root == "/" else own[len(root) :]
    return os.path.normpath(f"{point}/{below}")


def _write(path: str, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)
