"""`make demo-singleton`: a counter that must never run twice; its agent is ended, killed and frozen, each step verified.

The charm is counter, whose tenure.yaml names the process. Machines are `tenure agent` processes on this host. Each number
that is counted stands in a file, with the term, the unit and the instant: that is what is judged. Ends within a minute;
exits with 1, and says why, if anything was not as promised.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from demo_etcd import later_s
from demo_run import expect, run
from demo_stage import PATIENCE_S, Stage, Watch
from demo_world import MACHINES, NotAsPromised, World, boottime_ns
from rich.text import Text

CHARM = Path(__file__).resolve().parent / "counter"
LOOK_EVERY_S = 0.02
ELECTED_WITHIN_S = 3.0
"""From the instant at which the office may be free to the next election, on a host that has a lot to do. What it was is printed."""


@dataclass(frozen=True)
class Count:
    """One line of the file."""

    number: int
    term: int
    unit: str
    at_ns: int

    @classmethod
    def read(cls, line: str) -> Count:
        """Of a line that is whole."""
        number, term, unit, at_ns = line.split()
        return cls(int(number), int(term), unit, int(at_ns))


def read(path: Path) -> list[Count]:
    """All that was counted."""
    if not path.exists():
        return []
    return [Count.read(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def judge(counts: list[Count]) -> None:
    """Raises NotAsPromised when two have counted at the same time."""
    for before, after in itertools.pairwise(counts):
        expect(after.number == before.number + 1, f"{after.number} follows {before.number}: two have counted at once")
        expect(after.term >= before.term, f"term {after.term} counts no more once term {before.term} has begun")
        expect(after.unit == before.unit or after.term > before.term, f"{after.unit} has a term of its own")


class Eyes(threading.Thread):
    """Looks at the file all the time: shows who counts, and judges what is there."""

    def __init__(self, path: Path, stage: Stage) -> None:
        super().__init__(daemon=True)
        self.counts: list[Count] = []
        self.failure: Exception | None = None
        self._path, self._stage, self._over = path, stage, threading.Event()

    def run(self) -> None:
        """Until it is told that it is over."""
        silent = False
        try:
            while not self._over.wait(LOOK_EVERY_S):
                before, self.counts = self.counts, read(self._path)
                judge(self.counts[max(0, len(before) - 1) :])
                if not self.counts:
                    continue
                last = self.counts[-1]
                if not before or last.term != before[-1].term:
                    began = next(count for count in self.counts if count.term == last.term)
                    self._show(f"{began.unit} counts from {began.number}, in term {began.term}", "green")
                if (now_silent := boottime_ns() - last.at_ns > 1e9) != silent:
                    silent = now_silent
                    text = f"nobody counts; the last was {last.number}, by {last.unit}" if silent else ""
                    self._show(text, "yellow")
                self._stage.counter = f"{last.number}, by {last.unit}" + ("; nobody counts" if silent else "")
                self._stage.refresh()
        except NotAsPromised as error:
            self.failure = error

    def _show(self, text: str, style: str) -> None:
        if text:
            self._stage.console.print(Text(f"{self._stage.seconds:7.1f}s  {text}", style=style))

    def until_it_counts(self, after_term: int, within_s: float) -> Count:
        """The first number of a term after that one. Raises NotAsPromised."""
        end = time.monotonic() + within_s
        while True:
            self.check()
            for count in self.counts:
                if count.term > after_term:
                    return count
            if time.monotonic() > end:
                raise NotAsPromised(f"another unit counts after term {after_term}: not within {within_s:.1f} s")
            time.sleep(LOOK_EVERY_S)

    def until_number(self, number: int, within_s: float) -> None:
        """Wait until it has come so far."""
        end = time.monotonic() + within_s
        while not self.counts or self.counts[-1].number < number:
            self.check()
            if time.monotonic() > end:
                raise NotAsPromised(f"it counts to {number}: not within {within_s:.1f} s")
            time.sleep(LOOK_EVERY_S)

    def check(self) -> None:
        """Raises what it has seen."""
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()


class Play:
    """The steps, in order."""

    def __init__(self, world: World, stage: Stage, watch: Watch, lease_s: int) -> None:
        self.world, self.stage, self.watch, self.lease_s = world, stage, watch, lease_s
        self.folder = world.agents["m0"].state.parent
        self.file = self.folder / "counted"
        self.eyes = Eyes(self.file, stage)

    def __call__(self) -> None:
        """Play them. Raises NotAsPromised."""
        self.deploys()
        self.eyes.start()
        try:
            self.ends_in_peace()
            self.is_killed()
            self.is_frozen(with_guard=False)
            self.is_frozen(with_guard=True)
            self.process_is_killed()
        finally:
            self.eyes.close()
        self.eyes.check()
        counts = read(self.file)
        judge(counts)
        expect([count.number for count in counts] == list(range(1, len(counts) + 1)), "no number is missing")
        terms = len({count.term for count in counts})
        self.stage.verify(
            f"1 to {counts[-1].number}: no number twice, none left out", f"{terms} terms on {len(MACHINES)} machines"
        )

    def deploys(self) -> None:
        """Three units, one counter."""
        self.stage.heading(f"1. Three units of the charm counter (lease: {self.lease_s} s)")
        charm = self.folder / "charm"
        shutil.copytree(CHARM, charm)
        with (charm / "tenure.yaml").open("a") as file:
            file.write(f"    environment: {{COUNTER: {self.file}}}\n")
        self.stage.console.print(Text((CHARM / "tenure.yaml").read_text().strip(), style="dim"))
        self.world.tenure(
            "deploy", str(charm), "web", "-n", "3", "--to", ",".join(MACHINES), "--lease", f"{self.lease_s}s"
        )
        self.watch.start()
        began = time.monotonic()
        for agent in self.world.agents.values():
            agent.start()
        self.watch.until(
            "all are idle", lambda units: len(units) == 3 and all(unit.agent == "idle" for unit in units.values())
        )
        self.stage.verify("three units are there", f"{time.monotonic() - began:.1f} s")

    def now(self) -> Count:
        """Who counts, once some numbers have come from there."""
        first = self.eyes.until_it_counts(self.eyes.counts[-1].term - 1 if self.eyes.counts else 0, PATIENCE_S)
        self.eyes.until_number(first.number + 10, PATIENCE_S)
        return self.eyes.counts[-1]

    def ends_in_peace(self) -> None:
        """SIGTERM: the next one counts at once."""
        one = self.now()
        self.stage.heading(f"2. SIGTERM for the agent of {one.unit}, whose counter doesn't listen to SIGTERM")
        agent = self.world.agents[machine_of(one)]
        agent.terminate()
        following = self.eyes.until_it_counts(one.term, self.lease_s + PATIENCE_S)
        gap_s = (following.at_ns - self.last_of(one).at_ns) / 1e9
        free_s = (self.elected_ns(following) - self.last_of(one).at_ns) / 1e9
        expect(free_s < self.lease_s / 2 + ELECTED_WITHIN_S, f"nobody waits for a lease ({free_s:.2f} s)")
        self.stage.verify(f"{following.unit} counts on", f"{gap_s:.2f} s after the last number of {one.unit}")
        expect(agent.ended(PATIENCE_S) == 0, "the agent has handed over and exited with 0")
        agent.start()

    def is_killed(self) -> None:
        """SIGKILL: the guard ends the counter in time, and the next one counts when the lease has ended."""
        one = self.now()
        self.stage.heading(f"3. SIGKILL for the agent of {one.unit}: its counter has nobody but its guard")
        agent = self.world.agents[machine_of(one)]
        killed_at = agent.kill()
        self.next_after(one, killed_at, "the kill")
        agent.start()

    def is_frozen(self, *, with_guard: bool) -> None:
        """SIGSTOP: as long as a lease and longer; then it goes on."""
        one = self.now()
        number, what = ("5", "the agent and its guard") if with_guard else ("4", "the agent")
        self.stage.heading(f"{number}. SIGSTOP for {what} of {one.unit}: nothing of it moves, but its counter")
        agent = self.world.agents[machine_of(one)]
        frozen_at = agent.freeze()
        guards = agent.children() if with_guard else []
        expect(not with_guard or len(guards) == 1, f"there is a guard ({guards})")
        for pid in guards:
            os.kill(pid, signal.SIGSTOP)
        self.next_after(one, frozen_at, "it was frozen")
        last = self.last_of(one)
        agent.thaw()
        self.eyes.until_number(self.eyes.counts[-1].number + 20, PATIENCE_S)
        expect(self.last_of(one) == last, "it counts no more when it goes on")
        self.stage.verify(f"SIGCONT: {one.unit} goes on, and doesn't count")

    def process_is_killed(self) -> None:
        """The counter itself dies: it is run again where it was, in its term."""
        one = self.now()
        self.stage.heading(f"6. SIGKILL for the counter of {one.unit} itself")
        (pid,) = counters(self.file)
        killed_at = boottime_ns()
        os.kill(pid, signal.SIGKILL)
        self.eyes.until_number(self.eyes.counts[-1].number + 10, PATIENCE_S)
        now = self.eyes.counts[-1]
        expect((now.term, now.unit) == (one.term, one.unit), f"it is run again by {one.unit}, in term {one.term}")
        again = next(count for count in self.eyes.counts if count.at_ns > killed_at + 5e7)
        self.stage.verify(
            f"{now.unit} runs it again, in the same term", f"after {(again.at_ns - killed_at) / 1e9:.2f} s"
        )

    def next_after(self, one: Count, since_ns: int, since: str) -> None:
        """Another unit counts when the lease has ended, and the old counter has stopped before."""
        following = self.eyes.until_it_counts(one.term, self.lease_s + PATIENCE_S)
        last = self.last_of(one)
        expect(following.unit != one.unit, f"another unit than {one.unit} counts")
        elected_s = (self.elected_ns(following) - since_ns) / 1e9
        expect(
            elected_s < self.lease_s + ELECTED_WITHIN_S + later_s(self.world.url, self.lease_s),
            f"the next one has it once the lease has ended ({elected_s:.2f} s)",
        )
        after_s = (following.at_ns - since_ns) / 1e9
        self.stage.verify(
            f"{one.unit}'s counter was ended {(last.at_ns - since_ns) / 1e9:.2f} s after {since}",
            f"{(following.at_ns - last.at_ns) / 1e9:.2f} s before the next one began",
        )
        self.stage.verify(f"{following.unit} counts on", f"{after_s:.2f} s after {since}; lease {self.lease_s} s")

    def elected_ns(self, count: Count) -> int:
        """When its unit was elected for its term, by its agent's log."""
        for event in self.world.agents[machine_of(count)].events():
            if event.get("event") == "elected" and event.get("term") == count.term:
                return int(event["boot_ns"])
        raise NotAsPromised(f"the log of {machine_of(count)} tells of the election for term {count.term}")

    def last_of(self, one: Count) -> Count:
        """The last number of its term."""
        return [count for count in read(self.file) if count.term == one.term][-1]


def machine_of(count: Count) -> str:
    """`web/1` is on m1."""
    return f"m{count.unit[-1]}"


def counters(file: Path) -> list[int]:
    """The process ids of all counters that write to the file."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            runs = (entry / "cmdline").read_bytes().split(b"\0")[1:2] == [b"bin/count.py"]
            if runs and os.fsencode(file) in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def play(world: World, stage: Stage, watch: Watch, lease_s: int) -> None:
    """The steps, in order. Raises NotAsPromised."""
    Play(world, stage, watch, lease_s)()


if __name__ == "__main__":
    sys.exit(run(__doc__, play, MACHINES))
