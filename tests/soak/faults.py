"""The faults of a soak: one at a time is drawn, several may last at the same time."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import resource
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random

from tests.soak.processes import found_below
from tests.soak.site import LEASE_S, Site

YEAR_S = 365 * 24 * 3600


class Faults:
    """Draws them, and counts those that have struck."""

    def __init__(self, site: Site, draw: Random) -> None:
        self.site, self.draw = site, draw
        self.struck: Counter[str] = Counter()
        self._healing: dict[int, tuple[threading.Timer, Callable[[], object]]] = {}
        self._healings = itertools.count()
        self._busy: list[subprocess.Popen[bytes]] = []
        self._kinds: dict[str, Callable[[], bool]] = {
            **{
                f"kill {kind}": self._killing(kind) for kind in ("agent", "hold", "guard", "keeper", "workload", "hook")
            },
            **{
                f"stop {kind}": self._stopping(kind)
                for kind in ("agent", "hold", "guard", "keeper", "workload", "hook")
            },
            "kill agent and guard": lambda: self._together("agent", signal.SIGKILL),
            "stop agent and guard": lambda: self._together("agent", signal.SIGSTOP),
            "stop hold and guard": lambda: self._together("hold", signal.SIGSTOP),
            "end agent": lambda: self._signal("agent", signal.SIGTERM),
            "end hold": lambda: self._signal("hold", signal.SIGTERM),
            "store locked": self._lock,
            "starved": self._starve,
            "out of memory": self._squeeze,
            **{f"full {name}": self._filling(name) for name in site.disks if site.can_be_full(name)},
            **({"clock moved": self._move_clock} if site.preload else {}),
        }

    def one(self) -> None:
        """Have one happen; of a kind that finds no victim, another."""
        kinds = list(self._kinds)
        self.draw.shuffle(kinds)
        for kind in kinds:
            if self._kinds[kind]():
                self.struck[kind] += 1
                return

    def heal(self) -> None:
        """End all that lasts."""
        for key in list(self._healing):
            if (found := self._healing.pop(key, None)) is not None:
                timer, heal = found
                timer.cancel()
                heal()
        for process in self._busy:
            process.kill()
            process.wait()
        self._busy.clear()
        for pids in found_below(os.getpid()).values():
            for pid in pids:
                _send(pid, signal.SIGCONT)

    # ---- each kind; whether it found a victim

    def _killing(self, kind: str) -> Callable[[], bool]:
        return lambda: self._signal(kind, signal.SIGKILL)

    def _stopping(self, kind: str) -> Callable[[], bool]:
        return lambda: self._signal(kind, signal.SIGSTOP)

    def _signal(self, kind: str, number: signal.Signals) -> bool:
        return self._send(self._pick(found_below(os.getpid()).get(kind, [])), number)

    def _together(self, kind: str, number: signal.Signals) -> bool:
        pids = self._pick(found_below(os.getpid()).get(kind, []))
        guards = found_below(pids[0]).get("guard", []) if pids else []
        return bool(guards) and self._send([*guards, *pids], number)

    def _send(self, pids: list[int], number: signal.Signals) -> bool:
        for pid in pids:
            _send(pid, number)
        if pids and number == signal.SIGSTOP:
            self._for(self.draw.uniform(0.2, 2 * LEASE_S), partial(_wake, pids))
        return bool(pids)

    def _lock(self) -> bool:
        if not self.site.lock.exists():
            return False
        file = os.open(self.site.lock, os.O_RDWR)
        fcntl.flock(file, fcntl.LOCK_EX)
        self._for(self.draw.uniform(0.5, 2 * LEASE_S), lambda: os.close(file))
        return True

    def _filling(self, name: str) -> Callable[[], bool]:
        filler = self.site.disks[name] / "filler"

        def fill() -> bool:
            if filler.exists():
                return False
            with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
                size = 1 << 20
                while size:
                    try:
                        file.write(b"\0" * size)
                    except OSError:
                        size //= 16
            self._for(self.draw.uniform(0.5, 2 * LEASE_S), lambda: filler.unlink(missing_ok=True))
            return True

        return fill

    def _move_clock(self) -> bool:
        self.site.move_clock(self.draw.choice([-YEAR_S, -3600, -60, -1, 0, 1, 60, 3600, YEAR_S]))
        return True

    def _starve(self) -> bool:
        seconds = self.draw.uniform(0.5, LEASE_S)
        self._busy = [process for process in self._busy if process.poll() is None]
        self._busy += [
            subprocess.Popen(["timeout", f"{seconds:.2f}", "sh", "-c", "while :; do :; done"])
            for _ in range(4 * (os.cpu_count() or 1))
        ]
        return True

    def _squeeze(self) -> bool:
        found = found_below(os.getpid())
        for pid in self._pick([*found.get("agent", []), *found.get("hold", []), *found.get("guard", [])]):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                    size = int(file.read().split()[0]) * resource.getpagesize()
                before = resource.prlimit(pid, resource.RLIMIT_AS)
                resource.prlimit(pid, resource.RLIMIT_AS, (size + self.draw.randrange(1 << 20), before[1]))
                self._for(self.draw.uniform(0.5, 2 * LEASE_S), partial(_limit, pid, before))
                return True
        return False

    def _pick(self, pids: list[int]) -> list[int]:
        return [self.draw.choice(pids)] if pids else []

    def _for(self, seconds: float, heal: Callable[[], object]) -> None:
        key = next(self._healings)

        def in_time() -> None:
            if self._healing.pop(key, None) is not None:
                heal()

        timer = threading.Timer(seconds, in_time)
        timer.daemon = True
        self._healing[key] = (timer, heal)
        timer.start()


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wake(pids: list[int]) -> None:
    for pid in pids:
        _send(pid, signal.SIGCONT)


def _limit(pid: int, limits: tuple[int, int]) -> None:
    with contextlib.suppress(OSError):
        resource.prlimit(pid, resource.RLIMIT_AS, limits)
