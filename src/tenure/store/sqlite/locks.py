"""The two locks beside a database: the writer's, and the one that says that somebody has it open. Both are `flock`s.

`flock` belongs to the open file, so two stores in one process exclude each other too, and it goes when its process
does, however that ended.
"""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Callable

from tenure.errors import StoreUnreachable
from tenure.store.sqlite.place import os_fault

PATIENCE_S = 2.0
"""How long a lock is waited for. A commit takes a millisecond, a checkpoint some dozens: who holds it longer is stuck."""

_PAUSES_S = (0.000_05, 0.002)
"""Between two tries: a fraction of a commit at first, and no more than is felt."""


class FileLock:
    """One lock file, made with the database's own mode when it isn't there."""

    def __init__(self, path: str, mode: int) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        except OSError as error:
            raise os_fault(error, path) from None

    def try_exclusive(self) -> bool:
        """Take the lock for this file alone, if nobody else has it."""
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Take or keep the lock together with others; one that was exclusive may be lost on the way."""
        return self._try(fcntl.LOCK_SH)

    def wait_exclusive(self, patience_s: float = PATIENCE_S) -> None:
        """Take the lock. Raises StoreUnreachable, naming who holds it, when `patience_s` have passed."""
        waited = Patience(patience_s)
        while not self.try_exclusive():
            if waited.over:
                raise self.held()
            time.sleep(waited.pause())

    def release(self) -> None:
        """Let the lock go."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let the lock go and close its file."""
        os.close(self._file)

    def is_in_place(self) -> bool:
        """Whether the file that is locked still is the one that others would find under its name."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._file))
        except OSError:
            return False

    def held(self) -> StoreUnreachable:
        """The error that says who holds the lock."""
        return held_by(self.path, holder_of(os.fstat(self._file)))

    def _try(self, how: int) -> bool:
        try:
            fcntl.flock(self._file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise os_fault(error, self.path) from None
        return True


class Patience:
    """Time that is spent waiting for somebody else's lock, in pauses that grow."""

    def __init__(self, seconds: float = PATIENCE_S) -> None:
        self._until = time.monotonic() + seconds
        self._pause = _PAUSES_S[0]

    @property
    def over(self) -> bool:
        """Whether it has been waited long enough."""
        return time.monotonic() > self._until

    def pause(self) -> float:
        """How long to wait before the next try; never the same for two who wait, lest they meet again."""
        self._pause = min(self._pause * 1.5, _PAUSES_S[1])
        return self._pause * random.uniform(0.5, 1.0)


def share_after(
    lock: FileLock, is_foreign: Callable[[], bool], take_over: Callable[[], None], patience_s: float = 2 * PATIENCE_S
) -> None:
    """Hold `lock` shared, with nothing foreign in the database.

    What is foreign is taken over under the exclusive lock alone, so while no process of another kernel has the
    database open. The exclusive lock is asked for first, and a shared one kept only after a look under it: else
    several that start together after a reboot would block each other for ever.
    Raises StoreUnreachable when somebody keeps it open all the while.
    """
    waited = Patience(patience_s)
    while True:
        if is_foreign() and lock.try_exclusive():
            take_over()
        if lock.try_shared():
            if not is_foreign():
                return
            lock.release()
        if waited.over:
            raise lock.held()
        time.sleep(waited.pause())


def held_by(lock_path: str, pid: int) -> StoreUnreachable:
    """The error that says that the process `pid` holds the lock; 0: one that can't be told."""
    path = lock_path.removesuffix("-lock").removesuffix("-open")
    if not pid:
        return StoreUnreachable(f"{path} is held by a process that can't be seen from here")
    state = state_of(pid)
    if state == "stopped":
        hint = f"`kill -CONT {pid}` lets it go on"
    else:
        hint = f"`ps {pid}` shows it"
    return StoreUnreachable(f"{path} is held by process {pid} ({name_of(pid)}), which is {state}", hint=hint)


def holder_of(about: os.stat_result) -> int:
    """The process that holds a `flock` on the file, 0 when none does or it can't be told."""
    device = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}"
    try:
        with open("/proc/locks", encoding="utf-8") as file:
            lines = [line.split() for line in file]
    except OSError:
        return 0
    holders = [
        (fields[5].startswith(device), int(fields[4]))
        for fields in lines
        if fields[1] == "FLOCK" and fields[5].endswith(f":{about.st_ino}")
    ]
    # Some file systems (btrfs) show another device here than stat does; then the inode's number must do.
    return max(holders, default=(False, 0))[1]


def state_of(pid: int) -> str:
    """What a process is doing, in a word for a message."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            letter = file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "gone, but has left a child that holds it"
    return {"T": "stopped", "t": "being traced", "D": "waiting for the disk"}.get(letter, "running")


def name_of(pid: int) -> str:
    """The program that a process runs."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "gone"
