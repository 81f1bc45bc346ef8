"""Stopping a process in tests as a user's Ctrl-Z or a debugger might, but never at the one instant that stops everybody."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.waiting import until


def stop(pid: int) -> None:
    """SIGSTOP; returns once the process stands still, and holds no lock of a SQLite store that others may need.

    A commit takes a millisecond, but on a loaded machine a signal does come in the middle of one: then every command
    says, rightly, that the store is held by a process which is stopped. That isn't what such a test is about.
    Raises ProcessLookupError when it has ended.
    """

    def stands() -> bool:
        os.kill(pid, signal.SIGSTOP)
        until(lambda: _states(pid) <= {"T", "t"}, what=f"process {pid} to stop")
        if not (_locked_by(pid) & _store_locks(pid)):
            return True
        os.kill(pid, signal.SIGCONT)
        return False

    until(stands, what=f"process {pid} to hold no store's lock")


def _states(pid: int) -> set[str]:
    """The states of all its threads, as letters; of one that has gone nothing is said."""
    found = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            found.add((thread / "stat").read_text().rpartition(")")[2].split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _locked_by(pid: int) -> set[int]:
    """The inodes of the files that it has locked for itself alone."""
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return {
        int(fields[5].rpartition(":")[2])
        for fields in lines
        if fields[1] == "FLOCK" and fields[3] == "WRITE" and fields[4] == str(pid)
    }


def _store_locks(pid: int) -> set[int]:
    """The inodes of the store's lock files that it has open."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(link).endswith((".db-lock", ".db-open")):
                found.add(os.stat(link).st_ino)
        except FileNotFoundError:
            continue
    return found
