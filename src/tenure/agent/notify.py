"""What systemd is told of an agent that it has started: that it is ready, that it goes on, that it ends. sd_notify(3)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable

_log = logging.getLogger("tenure.agent")


class Manager:
    """Whoever has started this process, if it wants to be told: else everything here does nothing."""

    def __init__(self) -> None:
        """Takes what is for this process alone out of the environment."""
        self._path = os.environ.pop("NOTIFY_SOCKET", "")
        usec, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
        ours = not pid or pid == str(os.getpid())
        self.watchdog_s = int(usec) / 1e6 if usec.isdigit() and ours and self._path else 0.0
        """It takes the process for dead when it has heard nothing for so long; 0: never."""

    def tell(self, text: str) -> None:
        """`READY=1`, `STATUS=…`, …; lost when nobody listens."""
        if not self._path:
            return
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(text.encode(), address)

    async def watch(self, turns: Callable[[], int]) -> None:
        """Feed the watchdog, three times in its length, for as long as the loop turns and `turns` grows."""
        if not self.watchdog_s:
            return
        seen = -1
        while True:
            now = turns()
            if now > seen:
                seen = now
                self.tell("WATCHDOG=1")
            else:
                _log.error(
                    "nothing has been asked of the store for %.1f s: the watchdog is not fed", self.watchdog_s / 3
                )
            await asyncio.sleep(self.watchdog_s / 3)
