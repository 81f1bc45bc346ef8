"""What a singleton's process prints, line by line into the unit's log, also across the agent's own restart.

It is a named pipe that the process holds open itself, for reading too: without an agent it is not told that nobody
reads, and goes on. It stands still only when it has printed a megabyte more than an agent has read.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pwd
from collections.abc import Callable
from pathlib import Path

_READ_AT_ONCE = 16 * 1024
_PAUSE_S = 0.005
"""Some 3 MB a second are read: a flood must not hold up the loop, and with it the renewals."""

LINES_PER_S, LINES_AT_ONCE = 300, 3000
"""How many lines a second are logged for long, and how many of a burst; what comes beyond that is counted and dropped, for
the log is the whole machine's."""

_FLUSHED_AT_ONCE = 64 * 1024

_LINE_MAX = 16 * 1024
"""A longer line is logged in pieces."""

_PIPE_BYTES = 1024 * 1024
"""What an ordinary user may have for a pipe, unless the host says otherwise."""


class Output:
    """One singleton's pipe. Belongs to the event loop."""

    def __init__(self, path: Path, user: str, log: Callable[[str, str], None]) -> None:
        self._path, self._user, self._log = path, user, log
        self._loop = asyncio.get_running_loop()
        self._file = -1
        self._line = b""
        self._may, self._may_at = float(LINES_AT_ONCE), self._loop.time()
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Read from now on, what a forerunner's process has printed since then first. Raises OSError."""
        if self._file >= 0 and self._path.exists():
            return
        self.close()
        if not self._path.is_fifo():
            self._path.unlink(missing_ok=True)
            os.mkfifo(self._path, 0o600)
        if self._user:
            # Programs that open /dev/stdout anew must be allowed to.
            with contextlib.suppress(OSError, LookupError):
                os.chown(self._path, pwd.getpwnam(self._user).pw_uid, -1)
        # For writing, too: else it would be at its end whenever no process has it open.
        self._file = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._file, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._loop.add_reader(self._file, self._ready)

    def open(self) -> int:
        """A file for a process to print to. Raises OSError."""
        self.begin()
        return os.open(self._path, os.O_RDWR | os.O_CLOEXEC)

    def flush(self) -> None:
        """Log what has been printed so far, or the first of it, at once."""
        for _ in range(_FLUSHED_AT_ONCE // _READ_AT_ONCE):
            if self._file < 0 or not self._read():
                break
        if self._line:
            self._say([self._line])
            self._line = b""
        if self._dropped:
            self._say([])

    def close(self) -> None:
        """Read no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1

    def _ready(self) -> None:
        if self._read():
            self._loop.remove_reader(self._file)
            self._timer = self._loop.call_later(_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        self._loop.add_reader(self._file, self._ready)

    def _read(self) -> bool:
        try:
            data = os.read(self._file, _READ_AT_ONCE)
        except BlockingIOError:
            return False
        *lines, self._line = (self._line + data).split(b"\n")
        while len(self._line) > _LINE_MAX:
            lines.append(self._line[:_LINE_MAX])
            self._line = self._line[_LINE_MAX:]
        self._say(lines)
        return True

    def _say(self, lines: list[bytes]) -> None:
        now = self._loop.time()
        self._may, self._may_at = min(LINES_AT_ONCE, self._may + (now - self._may_at) * LINES_PER_S), now
        if self._dropped and (not lines or self._may >= LINES_PER_S):
            self._log("%s", f"({self._dropped} lines were dropped here: more than {LINES_PER_S} a second)")
            self._dropped = 0
        said = lines[: 0 if self._dropped else int(self._may)]
        self._may -= len(said)
        self._dropped += len(lines) - len(said)
        for line in said:
            self._log("%s", line.decode("utf-8", "replace"))
