"""`make demo`: three agents on three machines, an election, a fail-over and a transfer, each step verified.

All of it happens on this host: the machines are three `tenure agent` processes on a fresh store in a temporary folder,
driven with the `tenure` command as anybody would. Ends within a minute; exits with 1, and says why, if anything was not
as promised.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

CHARM = Path(__file__).resolve().parent / "shared-secret"
MACHINES = ("m0", "m1", "m2")
UNITS = ("web/0", "web/1", "web/2")
FAILOVER_WITHIN_S = 0.3
HAND_OVER_WITHIN_S = 1.0
PATIENCE_S = 15.0
SECRET_SETTING = "secret"


class NotAsPromised(Exception):
    """Something that the demo shows was not as Tenure promises it."""


# ---- the world: a store, three agents, the command ------------------------------------------------------------------


class Agent:
    """One machine: a `tenure agent` process, its state folder and its log."""

    def __init__(self, machine: str, folder: Path, environment: dict[str, str]) -> None:
        self.machine = machine
        self.state = folder / machine
        self.log = folder / f"{machine}.log"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [tenure_command(), "agent", "--machine", self.machine, "--state-dir", self.state],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the demo, which then ends its agents itself.
                start_new_session=True,
            )

    def kill(self) -> float:
        """SIGKILL, without a word of warning; returns when, in seconds since the epoch, as logs have it."""
        assert self._process is not None
        self._process.kill()
        at = time.time()
        self._process.wait()
        return at

    def terminate(self) -> None:
        """SIGTERM: it hands over and ends."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def ended(self, within_s: float) -> int | None:
        """Its exit code; None if it still runs after `within_s` (it is killed then)."""
        if self._process is None:
            return 0
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            return None

    def last_words(self, lines: int = 12) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def tenure_command() -> str:
    """The command beside this interpreter, else the one on PATH."""
    beside = Path(sys.executable).with_name("tenure")
    found = str(beside) if beside.exists() else shutil.which("tenure")
    if found is None:
        raise NotAsPromised("there is no tenure command beside this Python: `make demo` makes one")
    return found


class World:
    """A fresh store with its agents, and the `tenure` command pointed at it."""

    def __init__(self, folder: Path) -> None:
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
        self.environment["TENURE_STORE"] = f"sqlite://{folder / 'tenure.db'}"
        self.agents = {machine: Agent(machine, folder, self.environment) for machine in MACHINES}

    def tenure(self, *arguments: str) -> str:
        """What the command prints. Raises NotAsPromised when it fails."""
        done = subprocess.run(
            [tenure_command(), *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise NotAsPromised(f"`tenure {' '.join(arguments)}` exited with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """The same, decoded."""
        return json.loads(self.tenure(*arguments, "--format", "json"))

    def close(self) -> dict[str, int | None]:
        """End every agent; their exit codes."""
        for agent in self.agents.values():
            agent.terminate()
        return {machine: agent.ended(PATIENCE_S) for machine, agent in self.agents.items()}


# ---- what is seen ---------------------------------------------------------------------------------------------------


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

    def heading(self, text: str) -> None:
        """What is about to happen."""
        self.console.print(Text(f"\n{text}", style="bold"))

    def verify(self, promise: str, measured: str = "") -> None:
        """A step that was as promised, with what was measured."""
        self.verified.append((promise, measured))
        self.console.print(self._tick(promise, measured))

    def sum_up(self) -> None:
        """All that was verified."""
        self.console.print(Text(f"\nVerified, in {time.monotonic() - self.began:.0f} s:", style="bold"))
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
        if self.live is not None:
            self.live.update(self._table())

    def _row(self, unit: Seen) -> Text:
        style = {"active": "green", "waiting": "yellow", "error": "red"}.get(unit.status, "")
        return Text.assemble(
            (f"{time.monotonic() - self.began:7.1f}s  ", "dim"),
            f"{unit.unit:6} {unit.machine:3} ",
            (f"{'leader' if unit.leader else '':7}", "bold magenta"),
            ("agent lost  " if unit.agent == "lost" else "", "red"),
            (unit.said, style),
        )

    def _table(self) -> Table:
        table = Table("unit", "machine", "agent", "leader", "status", title=f"{time.monotonic() - self.began:.0f} s")
        for name, unit in sorted(self.units.items()):
            table.add_row(name, unit.machine, unit.agent, "[magenta]★[/]" if unit.leader else "", Text(unit.said))
        return table


class Watch:
    """Looks at `tenure status` all the time, shows what changes, and waits for what is expected."""

    def __init__(self, world: World, stage: Stage) -> None:
        self._world, self._stage = world, stage
        self._news = threading.Condition()
        self._units: Picture = {}
        self._failure: Exception | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._over.is_set():
            try:
                units = picture(self._world.json("status"))
                leader_of(units)
            except Exception as error:
                self._failure = error
                units = self._units
            with self._news:
                self._units = units
                if not self._over.is_set():
                    self._stage.show(units)
                self._news.notify_all()
            if self._failure:
                return
            self._over.wait(0.1)

    def until(self, expected: str, holds: Callable[[Picture], bool], within_s: float = PATIENCE_S) -> Picture:
        """Wait for a picture of which `holds` is true. Raises NotAsPromised after `within_s`."""
        end = time.monotonic() + within_s
        with self._news:
            while self._failure is None:
                if holds(self._units):
                    return self._units
                if not self._news.wait(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                    raise NotAsPromised(f"{expected}: not within {within_s:.1f} s")
        raise self._failure

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


# ---- the play -------------------------------------------------------------------------------------------------------


def play(world: World, stage: Stage, watch: Watch, lease_s: int) -> None:
    """The steps, in order. Raises NotAsPromised."""
    stage.heading(f"1. Three agents start, and shared-secret is deployed to them (lease: {lease_s} s)")
    for agent in world.agents.values():
        agent.start()
    began = time.monotonic()
    world.tenure("deploy", str(CHARM), "web", "-n", "3", "--to", ",".join(MACHINES), "--lease", f"{lease_s}s")
    first = leader_of(watch.until("a leader is elected", lambda units: leader_of(units) is not None))
    assert first is not None
    stage.verify(f"a leader was elected: {first}", f"{time.monotonic() - began:.1f} s after `tenure deploy` began")
    units = watch.until("all three units show the secret's fingerprint", all_share_one)
    fingerprint = units[first].fingerprint
    waited = sorted(stage.ever_waited)
    stage.verify(
        f"all three units show the same fingerprint: {fingerprint}",
        f"{time.monotonic() - began:.1f} s" + (f"; {' and '.join(waited)} waited for the leader" if waited else ""),
    )
    secret = world.json("settings", "web").get(SECRET_SETTING)
    expect(bool(secret), "the leader settings hold the secret")
    watch.until("all units are idle", lambda units: all(unit.agent == "idle" for unit in units.values()))

    machine = units[first].machine
    stage.heading(f"2. SIGKILL for the agent of {first}, the leader: no warning, no goodbye")
    terms = len(world.json("history", "web"))
    killed_at = world.agents[machine].kill()
    second = leader_of(
        watch.until(
            "another unit is elected", lambda units: leader_of(units) not in (None, first), lease_s + PATIENCE_S
        )
    )
    assert second is not None
    after_kill = elected_at(world, second, killed_at) - killed_at
    over = after_kill - lease_s
    expect(over <= FAILOVER_WITHIN_S, f"leader-elected started {over:.2f} s after the lease's end at the latest")
    expect(
        after_kill >= lease_s * 5 / 7,
        f"nobody was elected before the dead leader's lease had ended ({after_kill:.2f} s)",
    )
    stage.verify(
        f"{second} was elected once the lease had ended",
        f"leader-elected began {after_kill:.2f} s after the kill (lease {lease_s} s, renewed until then)",
    )
    expect(world.json("settings", "web").get(SECRET_SETTING) == secret, "the secret is the same")
    watch.until(
        "the others still show the fingerprint",
        lambda units: all(units[unit].fingerprint == fingerprint for unit in UNITS if unit != first),
    )
    stage.verify("the secret is the same", str(fingerprint))
    ended = [term for term in world.json("history", "web") if term.get("unit") == first]
    expect(
        len(world.json("history", "web")) > terms and ended[-1].get("how") == "expired", "history says that it expired"
    )

    stage.heading(f"3. The agent of {first} comes back")
    began = time.monotonic()
    world.agents[machine].start()
    watch.until(
        f"{first} is back as a minion",
        lambda units: (
            units[first].agent == "idle" and leader_of(units) == second and units[first].fingerprint == fingerprint
        ),
    )
    stage.verify(f"{first} is back, as a minion, with the same fingerprint", f"{time.monotonic() - began:.1f} s")

    stage.heading(f"4. Leadership is transferred to {first}, by name")
    wall_began, began = time.time(), time.monotonic()
    world.tenure("transfer", first)
    took = time.monotonic() - began
    watch.until(f"{first} leads", lambda units: leader_of(units) == first)
    handed_over = elected_at(world, first, wall_began) - wall_began
    expect(
        handed_over <= took + HAND_OVER_WITHIN_S,
        f"leader-elected began {handed_over:.2f} s after `tenure transfer` did",
    )
    expect(world.tenure("leader", "web").strip() == first, f"`tenure leader web` says {first}")
    expect(world.json("settings", "web").get(SECRET_SETTING) == secret, "the secret is the same")
    stage.verify(
        f"{first} leads, and nobody had to wait for a lease", f"leader-elected began after {handed_over:.2f} s"
    )


def all_share_one(units: Picture) -> bool:
    """Every unit shows a fingerprint, and it is the same."""
    return (
        len(units) == len(UNITS)
        and None not in (prints := {u.fingerprint for u in units.values()})
        and len(prints) == 1
    )


def expect(holds: bool, promise: str) -> None:
    """Raises NotAsPromised unless it `holds`."""
    if not holds:
        raise NotAsPromised(f"it does not hold that {promise}")


def elected_at(world: World, unit: str, after: float) -> float:
    """When the unit's leader-elected began, by the agent's log (seconds since the epoch; one host, one clock)."""
    log = world.agents[f"m{unit.rsplit('/', 1)[1]}"].log.read_text(errors="replace")
    for line in log.splitlines():
        found = re.match(r"(\S+)Z .*leader-elected", line)
        if found and (at := datetime.fromisoformat(found[1] + "+00:00").timestamp()) > after:
            return at
    raise NotAsPromised(f"no leader-elected of {unit} in its agent's log")


# ---- the frame ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def cleaned_up(keep: bool) -> Iterator[Path]:
    """A temporary folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tenure-demo-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Play it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--lease", type=int, default=5, metavar="SECONDS", help="the lease's length (default: 5)")
    parser.add_argument("--keep", action="store_true", help="leave the folder with store, state and logs")
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with cleaned_up(options.keep) as folder:
        world, stage = World(folder), Stage(console)
        try:
            return perform(world, stage, options.lease)
        except KeyboardInterrupt:
            console.print("\ninterrupted: ending the agents")
            return 128 + signal.SIGINT
        except Exception as error:
            console.print(Text.assemble(("\n✗ not as promised: ", "bold red"), str(error)))
            for agent in world.agents.values():
                console.print(Text(f"\nthe last lines of {agent.machine}'s log:", style="bold"))
                console.print(Text(agent.last_words()))
            return 1
        finally:
            world.close()
            if options.keep:
                console.print(f"kept: {folder}")


def perform(world: World, stage: Stage, lease_s: int) -> int:
    """Watch and play, then end the agents and sum up."""
    console = stage.console
    with contextlib.ExitStack() as stack:
        if console.is_terminal:
            stage.live = stack.enter_context(Live(console=console, refresh_per_second=8, transient=True))
        with Watch(world, stage) as watch:
            play(world, stage, watch, lease_s)
        stage.heading("5. The agents end (SIGTERM)")
        began = time.monotonic()
        codes = world.close()
        expect(set(codes.values()) == {0}, f"every agent hands over and exits with 0 ({codes})")
        stage.verify("all three agents handed over and ended", f"{time.monotonic() - began:.1f} s")
    stage.sum_up()
    return 0


if __name__ == "__main__":
    sys.exit(main())
