"""Hearing that somebody has committed: inotify on the file that each writer opens and closes *after* its commit.

Not on SQLite's own log, which is written before the commit can be seen: who wakes by that may come too early, see
nothing, and sleep on.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable

from tenure.errors import StoreBroken
from tenure.store.sqlite.place import os_fault


class Bell:
    """Calls `rung` in the event loop after each commit of any process; several that are close together may be one call."""

    def __init__(self, path: str, rung: Callable[[], None]) -> None:
        # Here and not above: most commands only read once, and never listen.
        from inotify_simple import INotify, flags

        self._rung = rung
        self._loop = asyncio.get_running_loop()
        try:
            self._inotify = INotify(nonblocking=True)
            self._inotify.add_watch(path, flags.CLOSE_WRITE)
        except OSError as error:
            if error.errno == errno.EMFILE:
                raise StoreBroken(
                    "no inotify instance is left for this user, or no open file for this process",
                    hint="sysctl fs.inotify.max_user_instances=1024; or ulimit -n",
                ) from None
            raise os_fault(error, path) from None
        self._loop.add_reader(self._inotify.fileno(), self._heard)

    def close(self) -> None:
        """Listen no more."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self._inotify.fileno())
        self._inotify.close()

    def _heard(self) -> None:
        # What the events say is of no matter: each says that the store has changed.
        try:
            while len(os.read(self._inotify.fileno(), 8192)) > 4096:
                pass
        except BlockingIOError:
            pass
        self._rung()
