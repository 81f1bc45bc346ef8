"""`make demo-settings`: a setting is rolled out while units die, join, come back and leave, each step verified.

The charm is acknowledged-settings-python; its option `colour` stands for whatever is rolled out. Machines are `tenure
agent` processes on this host. Ends within a minute; exits with 1, and says why, if anything was not as promised.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from demo_run import expect, run
from demo_stage import PATIENCE_S, Stage, Watch, leader_of
from demo_world import NotAsPromised, World, tenure_command
from rich.text import Text

CHARM = Path(__file__).resolve().parent / "acknowledged-settings-python"
MACHINES = ("m0", "m1", "m2", "m3")
LOOK_EVERY_S = 0.25


@dataclass
class RollOut:
    """How far a version has come, as `tenure settings web --acknowledged` tells it."""

    version: int = 0
    acknowledged: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """All of it in a line."""
        missing = "".join(f"; {unit} is missing: {why}" for unit, why in self.missing.items())
        return f"version {self.version}: acknowledged by {', '.join(self.acknowledged) or 'nobody'}{missing}"


class Play:
    """The steps, in order."""

    def __init__(self, world: World, stage: Stage, watch: Watch, lease_s: int) -> None:
        self.world, self.stage, self.watch, self.lease_s = world, stage, watch, lease_s
        self.colour = ""
        self._shown = ""

    def __call__(self) -> None:
        """Play them. Raises NotAsPromised."""
        self.deploys()
        dead = self.rolls_out_without_one()
        self.grows(dead)
        leader = self.loses_its_leader(dead)
        self.is_whole_again(dead)
        self.goes_on_without(leader)

    def deploys(self) -> None:
        """Three units, one colour."""
        self.stage.heading(f"1. Three units are deployed with the colour red (lease: {self.lease_s} s)")
        self.colour = "red"
        where = ("-n", "3", "--to", "m0,m1,m2", "--lease", f"{self.lease_s}s")
        self.world.tenure("deploy", str(CHARM), "web", *where, "--config", "colour=red")
        self.watch.start()
        began = time.monotonic()
        for machine in MACHINES[:3]:
            self.world.agents[machine].start()
        self.until("everyone has version 1", lambda now: now.version == 1 and len(now.acknowledged) == 3)
        self.stage.verify("three units have applied and acknowledged red", f"{time.monotonic() - began:.1f} s")
        self.watch.until("all are idle", lambda units: all(unit.agent == "idle" for unit in units.values()))

    def rolls_out_without_one(self) -> str:
        """A change while a unit is dead; returns that one."""
        units = self.watch.until("somebody leads", lambda units: leader_of(units) is not None)
        dead = min(unit for unit in units if unit != leader_of(units))
        self.stage.heading(f"2. SIGKILL for the agent of {dead}; then the colour becomes blue")
        self.world.agents[units[dead].machine].kill()
        self.change("blue")
        began = time.monotonic()
        self.until("the two that live acknowledge it", lambda now: now.version == 2 and len(now.acknowledged) == 2)
        self.stage.verify("the two that live have blue", f"{time.monotonic() - began:.2f} s after the change")
        now = self.look()
        expect(list(now.missing) == [dead], f"{dead} alone is missing")
        expect(self.painted(dead) == "red", f"{dead} still has red")
        self.stage.verify(f"the leader knows who is missing: {dead}", now.missing[dead])
        return dead

    def grows(self, dead: str) -> None:
        """A unit is added while the leader waits."""
        self.stage.heading("3. A unit is added meanwhile, on a machine that isn't up yet")
        self.world.tenure("add-unit", "web", "--to", "m3")
        added = "web/3"
        now = self.look()
        expect(added in now.missing, f"{added} is missed as soon as it is a member ({now.line})")
        self.stage.verify(f"{added} is waited for before its machine has started", now.missing[added])
        self.world.agents["m3"].start()
        self.until(f"{added} acknowledges version 2", lambda now: added in now.acknowledged)
        self.stage.verify(f"{added} has blue, too; it never had red")
        now = self.until(f"{dead} is lost", lambda now: "agent lost" in now.missing.get(dead, ""), PATIENCE_S + 10)
        self.stage.verify(f"the leader knows why {dead} is missing", now.missing[dead])

    def loses_its_leader(self, dead: str) -> str:
        """The leader is killed in the middle of the roll-out; returns who that was."""
        leader = leader_of(self.watch.until("somebody leads", lambda units: leader_of(units) is not None))
        assert leader is not None
        self.stage.heading(f"4. SIGKILL for the agent of {leader}, the leader, in the middle of the roll-out")
        self.world.agents[f"m{leader[-1]}"].kill()
        units = self.watch.until(
            "another leads", lambda units: leader_of(units) not in (None, leader), self.lease_s + PATIENCE_S
        )
        second = leader_of(units)
        now = self.look()
        expect(now.version == 2 and dead in now.missing, f"the roll-out stands where it stood ({now.line})")
        self.until_application_says(f"{second} waits for {dead}", dead)
        self.stage.verify(f"{second} took it up where it stood: still version 2, and {dead} is missing")
        return leader

    def is_whole_again(self, dead: str) -> None:
        """The dead one comes back, and applies what it has missed."""
        self.stage.heading(f"5. The agent of {dead} comes back")
        began = time.monotonic()
        self.world.agents[f"m{dead[-1]}"].start()
        self.until("nobody is missing", lambda now: not now.missing)
        self.stage.verify(f"{dead} has applied what it missed", f"{time.monotonic() - began:.1f} s")
        self.until_application_says("version 2 is everywhere", "everywhere")
        self.stage.verify("the leader knows that blue is everywhere")

    def goes_on_without(self, gone: str) -> None:
        """A dead unit is removed while it is waited for."""
        self.stage.heading(f"6. The colour becomes green; {gone}, dead since step 4, is removed while it is waited for")
        self.change("green")
        self.until("the three that live acknowledge it", lambda now: now.version == 3 and len(now.acknowledged) == 3)
        expect(list(self.look().missing) == [gone], f"{gone} alone is missing")
        self.world.tenure("remove-unit", gone, "--force")
        self.until("nobody is missing", lambda now: not now.missing and gone not in now.acknowledged)
        self.until_application_says("version 3 is everywhere", "version 3 is everywhere")
        self.stage.verify(f"{gone} is no member any more, and nobody waits for it: version 3 is everywhere")

    # ---- what is done and looked at

    def change(self, colour: str) -> None:
        """`tenure config web colour=…`."""
        self.world.tenure("config", "web", f"colour={colour}")
        self.colour = colour

    def look(self) -> RollOut:
        """How far it is now; printed where that differs from before. Raises NotAsPromised if it says what isn't so."""
        done = subprocess.run(
            [tenure_command(), "settings", "web", "--acknowledged", "--format", "json"],
            env=self.world.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode == 2:
            return RollOut()
        if done.returncode not in (0, 1):
            raise NotAsPromised(f"`tenure settings web --acknowledged` exited with {done.returncode}: {done.stderr}")
        found = json.loads(done.stdout)
        missing = {unit: about["why"] for unit, about in found["missing"].items()}
        now = RollOut(found["version"], sorted(found["acknowledged"]), missing)
        said = now.line.partition(" for ")[0] if "agent lost" in now.line else now.line
        if said != self._shown:
            self._shown = said
            self.stage.console.print(Text(f"            {now.line}", style="blue"))
        return now

    def until(self, expected: str, holds: Callable[[RollOut], bool], within_s: float = PATIENCE_S) -> RollOut:
        """Look until it `holds`; then whoever has acknowledged must have applied it."""
        end = time.monotonic() + within_s
        while not holds(now := self.look()):
            if time.monotonic() > end:
                raise NotAsPromised(f"{expected}: not within {within_s:.1f} s ({now.line})")
            time.sleep(LOOK_EVERY_S)
        for unit in now.acknowledged:
            expect(self.painted(unit) == self.colour, f"{unit}, which has acknowledged {self.colour}, has applied it")
        return now

    def until_application_says(self, expected: str, text: str) -> None:
        """Wait until the leader has said it in the application's status."""
        end = time.monotonic() + PATIENCE_S
        while True:
            said = self.world.json("status")["applications"]["web"]["application-status"].get("message", "")
            if text in said:
                return
            if time.monotonic() > end:
                raise NotAsPromised(f"{expected}: not within {PATIENCE_S:.0f} s (the application says: {said})")
            time.sleep(LOOK_EVERY_S)

    def painted(self, unit: str) -> str:
        """The colour that the unit has applied: a file in its charm's folder."""
        state = self.world.agents[f"m{unit[-1]}"].state
        path = state / "agents" / f"unit-{unit.replace('/', '-')}" / "charm" / "colour"
        return path.read_text().strip() if path.exists() else ""


def play(world: World, stage: Stage, watch: Watch, lease_s: int) -> None:
    """The steps, in order. Raises NotAsPromised."""
    Play(world, stage, watch, lease_s)()


if __name__ == "__main__":
    sys.exit(run(__doc__, play, MACHINES))
