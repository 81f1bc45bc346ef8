"""What the demo shows: each change of a unit as it happens, each verified step with what was measured."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from demo_world import NotAsPromised, World
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

PATIENCE_S = 30.0


@dataclass(frozen=True)
class Seen:
    """One unit, as `tenure status` shows it."""

    unit: str
    machine: str = ""
    agent: str = ""
    leader: bool = False
    status: str = ""
    message: str = ""

    @property
    def said(self) -> str:
        """`waiting: for leader`."""
        return f"{self.status}: {self.message}" if self.message else self.status

    @property
    def fingerprint(self) -> str | None:
        """The secret's fingerprint, once the unit has the secret."""
        return self.message if self.status == "active" and self.message else None


Picture = dict[str, Seen]


def picture(status: dict[str, Any]) -> Picture:
    """All units, out of `tenure status --format json`."""
    units = status.get("applications", {}).get("web", {}).get("units", {})
    return {
        name: Seen(
            name,
            unit.get("machine") or "",
            unit.get("juju-status", {}).get("current", ""),
            bool(unit.get("leader")),
            unit.get("workload-status", {}).get("current", ""),
            unit.get("workload-status", {}).get("message", ""),
        )
        for name, unit in units.items()
    }


def leader_of(units: Picture) -> str | None:
    """The one leader. Raises NotAsPromised when a picture shows two."""
    leaders = [unit.unit for unit in units.values() if unit.leader]
    if len(leaders) > 1:
        raise NotAsPromised(f"two leaders at once: {' and '.join(leaders)}")
    return leaders[0] if leaders else None


@dataclass
class Stage:
    """What people see: each change as a row, each verified step ticked; a live table below where there is a terminal."""

    console: Console
    began: float = field(default_factory=time.monotonic)
    verified: list[tuple[str, str]] = field(default_factory=list)
    units: Picture = field(default_factory=dict)
    ever_waited: set[str] = field(default_factory=set)
    live: Live | None = None
    counter: str = ""
    """What is shown below the table."""

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.began

    def heading(self, text: str) -> None:
        """What is about to happen."""
        self.console.print(Text(f"\n{text}", style="bold"))

    def verify(self, promise: str, measured: str = "") -> None:
        """A step that was as promised, with what was measured."""
        self.verified.append((promise, measured))
        self.console.print(self._tick(promise, measured))

    def sum_up(self) -> None:
        """All that was verified."""
        self.console.print(Text(f"\nVerified, in {self.seconds:.0f} s:", style="bold"))
        for promise, measured in self.verified:
            self.console.print(self._tick(promise, measured))

    @staticmethod
    def _tick(promise: str, measured: str) -> Text:
        return Text.assemble(("   ✓ ", "bold green"), promise, (f"  ({measured})" if measured else "", "cyan"))

    def show(self, units: Picture) -> None:
        """Print a row for each unit that is seen otherwise than before."""
        for name, unit in sorted(units.items()):
            if unit.said == "waiting: for leader":
                self.ever_waited.add(name)
            before = self.units.get(name, Seen(name))
            if (unit.leader, unit.said, unit.agent == "lost") != (before.leader, before.said, before.agent == "lost"):
                self.console.print(self._row(unit))
        self.units = units
        self.refresh()

    def refresh(self) -> None:
        """Show the table anew, where there is a terminal."""
        if self.live is not None:
            self.live.update(self._table())

    def _row(self, unit: Seen) -> Text:
        style = {"active": "green", "waiting": "yellow", "error": "red"}.get(unit.status, "")
        return Text.assemble(
            (f"{self.seconds:7.1f}s  ", "dim"),
            f"{unit.unit:6} {unit.machine:3} ",
            (f"{'leader' if unit.leader else '':7}", "bold magenta"),
            ("agent lost  " if unit.agent == "lost" else "", "red"),
            (unit.said, style),
        )

    def _table(self) -> Table:
        table = Table(
            "unit", "machine", "agent", "leader", "status", title=f"{self.seconds:.0f} s", caption=self.counter
        )
        for name, unit in sorted(self.units.items()):
            table.add_row(name, unit.machine, unit.agent, "[magenta]★[/]" if unit.leader else "", Text(unit.said))
        return table


class Watch:
    """Follows `tenure status --watch`, shows what changes, and waits for what is expected."""

    def __init__(self, world: World, stage: Stage) -> None:
        self._world, self._stage = world, stage
        self._news = threading.Condition()
        self._units: Picture = {}
        self._failure: Exception | None = None
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        """Begin; the store must be there."""
        self._process = self._world.popen("status", "--watch", "--format", "json")
        self._thread.start()

    def _follow(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._see(json.loads(line))
        with self._news:
            self._failure = NotAsPromised("`tenure status --watch` has ended")
            self._news.notify_all()

    def _see(self, status: dict[str, Any]) -> None:
        with self._news:
            self._units = picture(status)
            self._stage.show(self._units)
            try:
                leader_of(self._units)
            except NotAsPromised as error:
                self._failure = error
            self._news.notify_all()

    def until(self, expected: str, holds: Callable[[Picture], bool], within_s: float = PATIENCE_S) -> Picture:
        """Wait for a picture of which `holds` is true. Raises NotAsPromised after `within_s`."""
        end = time.monotonic() + within_s
        with self._news:
            while not holds(self._units):
                if self._failure is not None:
                    raise self._failure
                for agent in self._world.agents.values():
                    if agent.ended_early:
                        raise NotAsPromised(f"the agent of {agent.machine} has ended by itself")
                if time.monotonic() > end:
                    raise NotAsPromised(f"{expected}: not within {within_s:.1f} s")
                self._news.wait(0.5)
            return self._units

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._thread.join()
