"""Three `tenure hold` of one office in a soak; with `guarded` False, three that see to their commands themselves."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

from tests.soak.processes import children
from tests.soak.site import LEASE_S, Site

HOLDS = 3
OFFICE = "x"


class Holds:
    """They are started again when they end."""

    def __init__(self, site: Site, *, guarded: bool = True) -> None:
        self.site, self.guarded = site, guarded
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self._stopped: set[int] = set()
        self.keep_running()

    def keep_running(self) -> None:
        """Start those that don't run."""
        for number in range(HOLDS):
            process = self.processes.get(number)
            if process is None or process.poll() is not None:
                self._start(number)

    def stir(self) -> None:
        """They need nothing from outside."""

    def is_up(self) -> bool:
        """Whether the command has run."""
        return bool(self.site.witness.runs(OFFICE))

    def is_settled(self) -> str:
        """What isn't as it must be once no fault strikes any more; nothing, when all is."""
        return ""

    def freeze_the_holder(self) -> None:
        """Stop every one that has a command."""
        for process in self.processes.values():
            if children(process.pid) and process.pid not in self._stopped:
                self._stopped.add(process.pid)
                process.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        """End them, and what those without a guard have left."""
        work = [] if self.guarded else [pid for process in self.processes.values() for pid in children(process.pid)]
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2 * LEASE_S)
            process.kill()
            process.wait()
        for pid in work:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _start(self, number: int) -> None:
        program = ["tenure", "hold", OFFICE, "--lease", f"{LEASE_S}s", "-v", "--"]
        if not self.guarded:
            program = ["tests.soak.naive", self.site.environment["TENURE_STORE"], str(LEASE_S), OFFICE]
        with open(self.site.folder / f"hold-{number}.err", "ab") as err:
            self.processes[number] = subprocess.Popen(
                [sys.executable, "-m", *program, *self.site.witness.command()],
                env=self.site.environment | self.site.preload,
                stdin=subprocess.DEVNULL,
                stdout=err,
                stderr=err,
                start_new_session=True,
            )
