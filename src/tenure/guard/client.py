"""The other side of a guard: its process, and the messages to and from it, for an asyncio program."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tenure.clock import Instant
from tenure.guard.spec import Spec, moment

Heard = Callable[[str, str], None]
_SCRIPT = str(Path(__file__).with_name("__main__.py"))


class Client:
    """One guard. `heard(word, rest)` is called with each message, `lost()` when the guard's process is no more.

    All methods belong to one event loop. What is said to a guard that is gone is lost, and raises nothing.
    """

    def __init__(self, heard: Heard, lost: Callable[[], None]) -> None:
        self._heard, self._lost = heard, lost
        self._link: socket.socket | None = None
        self.pid = 0
        self.term = 0
        """Of a guard that was found: the term that it guards, as it was told itself; 0: that can't be read."""

    def start(
        self,
        spec: Callable[[int], Spec],
        environment: Mapping[str, str],
        *,
        output: int | None = None,
    ) -> None:
        """Start the guard's process; `spec` is given the number of its socket. Raises OSError.

        Environment and standard files are the work's too. `output`: a file for what it prints, with nothing to read;
        None: this process's own files.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", _SCRIPT, *spec(theirs.fileno()).words()],
                    pass_fds=[theirs.fileno()],
                    env=dict(environment),
                    stdin=None if output is None else subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    # A terminal's signals are for whoever has the command in it.
                    start_new_session=output is not None,
                )
            except BaseException:
                ours.close()
                raise
        self.pid = process.pid
        process.returncode = 0  # whoever owns the host's children reaps it
        self._attach(ours)

    def find(self, path: str) -> bool:
        """Speak to a guard that a former process of ours has started, of the term `term`. False: none listens there."""
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            link.connect(path)
        except OSError:
            link.close()
            return False
        peer = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self.pid = int.from_bytes(peer[:4], sys.byteorder)
        self.term = _term_of(self.pid)
        self._attach(link)
        return True

    def extend(self, until: Instant) -> None:
        """All may go on until then; `held` comes back, or `ending`."""
        self._say(f"extend {until.boot_ns}:{until.raw_ns}")

    def run(self) -> None:
        """Begin the work."""
        self._say("run")

    def check(self) -> None:
        """Run the check: `checked` comes back, unless the work ends before."""
        self._say("check")

    def uncheck(self) -> None:
        """Kill the check that runs, with what it has started."""
        self._say("uncheck")

    def end(self) -> None:
        """End the work, in its time."""
        self._say("end")

    def kill(self) -> None:
        """End the work: there is no time left."""
        self._say("kill")

    def destroy(self) -> None:
        """Kill a guard that doesn't answer; the work dies with it."""
        if self.pid and self._link is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Speak to it no more."""
        if self._link is not None:
            asyncio.get_running_loop().remove_reader(self._link)
            self._link.close()
            self._link = None

    def _attach(self, link: socket.socket) -> None:
        link.setblocking(False)
        self._link = link
        asyncio.get_running_loop().add_reader(link, self._ready)

    def _say(self, message: str) -> None:
        if self._link is not None:
            with contextlib.suppress(OSError):
                self._link.send(message.encode())

    def _ready(self) -> None:
        assert self._link is not None
        try:
            message = self._link.recv(65536).decode("utf-8", "replace")
        except BlockingIOError:
            return
        except OSError:
            message = ""
        if message:
            word, _, rest = message.partition(" ")
            self._heard(word, rest)
        else:
            self.close()
            self._lost()


def _term_of(pid: int) -> int:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return 0
    said = [word.removeprefix(b"term=") for word in words if word.startswith(b"term=")]
    return int(said[0]) if said and said[0].isdigit() else 0


def instant(text: str) -> Instant:
    """An instant as messages have it."""
    return Instant(*moment(text))
