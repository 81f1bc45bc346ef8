"""Faults drawn at random on three hosts over three etcds, with witnesses outside: python -m tests.soak.etcd --minutes 30 --seed 1

Each host has an agent with a unit, a `tenure hold`, and a witness (tests/net/witness.py). Every few seconds a fault is drawn, and
up to three are there at a time. Prints the faults by kind, terms, overlaps, lost writes and the share of time with a
holder; exits with 1 when there was an overlap, a lost write or one of a deposed leader's. Needs root, and `make etcd`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.etcd import Member, versions
from tests.net.hosts import why_not
from tests.net.witness import terms
from tests.net.world import LEASE_S, NetWorld, TenureHost, now_ns

AT_A_TIME = 3
Undo = Callable[[], object]


@dataclass
class Soak:
    """One run on a world."""

    world: NetWorld
    draw: random.Random
    faults: Counter[str] = field(default_factory=Counter)
    active: list[tuple[int, str, Undo]] = field(default_factory=list)
    """Until when, of what kind, how it ends."""

    def kinds(self) -> dict[str, Callable[[], Undo | None]]:
        """Each fault, and how it is made; what it returns ends it."""
        world = self.world
        return {
            "power failure of a host": self.power_failure,
            "etcd cut off from a host": lambda: self.cut(requests=True, answers=True),
            "requests to etcd lost": lambda: self.cut(requests=True, answers=False),
            "answers of etcd lost": lambda: self.cut(requests=False, answers=True),
            "an etcd cut off": lambda: self.isolate(self.member()),
            "etcd's leader cut off": lambda: self.isolate(self.etcds_leader()),
            "an etcd killed": lambda: self.kill_members(1),
            "an etcd stopped": lambda: self.stop_member(self.member()),
            "etcd's leader stopped": lambda: self.stop_member(self.etcds_leader()),
            "etcd without a quorum": lambda: self.kill_members(2),
            "an etcd replaced": self.replace,
            "etcd compacted, defragmented": world.compact,
            "agent killed": lambda: self.signal(signal.SIGKILL, "agent"),
            "agent stopped": lambda: self.signal(signal.SIGSTOP, "agent"),
            "agent ended": lambda: self.signal(signal.SIGTERM, "agent"),
            "hold killed": lambda: self.signal(signal.SIGKILL, "hold"),
            "hold stopped": lambda: self.signal(signal.SIGSTOP, "hold"),
            "hold ended": lambda: self.signal(signal.SIGTERM, "hold"),
            "guard killed": lambda: self.signal(signal.SIGKILL, "guard"),
            "guard and agent stopped": lambda: self.signal(signal.SIGSTOP, "agent", "guard"),
            "guard and hold stopped": lambda: self.signal(signal.SIGSTOP, "hold", "guard"),
            "slow link": self.slow,
            "lossy link": self.lossy,
            **({"wall clock moved": self.move_the_clock} if world.wall_clock.can_be_had else {}),
            "transfer asked": self.transfer,
            "processor starved": self.starve,
        }

    # ---- whom it hits

    def host(self) -> TenureHost:
        """Every other time the one whose unit was told last that it leads."""
        if self.draw.random() < 0.5:
            lines = [line for line in self.world.witness.said() if line["kind"] == "true"]
            if lines:
                last = max(lines, key=lambda line: line["at"])["unit"]
                return next(host for host in self.world.hosts if host.who == last)
        return self.draw.choice(self.world.hosts)

    def member(self) -> Member:
        return self.draw.choice(self.world.etcd.members)

    def etcds_leader(self) -> Member:
        with contextlib.suppress(AssertionError):
            return self.world.etcd.leader(within_s=1)
        return self.member()

    # ---- faults

    def power_failure(self) -> Undo:
        host = self.host()
        host.power_off()
        return host.power_on

    def cut(self, *, requests: bool, answers: bool) -> Undo:
        links = self.world.cut_from_etcd(self.host(), requests=requests, answers=answers)
        return lambda: self.world.network.heal(links)

    def isolate(self, member: Member) -> Undo:
        links = self.world.network.isolate(self.world.host_of(member))
        return lambda: self.world.network.heal(links)

    def kill_members(self, count: int) -> Undo | None:
        if any(("etcd" in kind and "killed" in kind) or "quorum" in kind for _, kind, _ in self.active):
            return None
        members = self.draw.sample(self.world.etcd.members, count)
        for member in members:
            member.kill()

        def again() -> None:
            for member in members:
                member.start(self.world.etcd.initial_cluster, "existing")

        return again

    def stop_member(self, member: Member) -> Undo | None:
        if not member.runs:
            return None
        member.stop()
        return lambda: member.go_on() if member.runs else None

    def replace(self) -> None:
        if not self.active:
            self.world.etcd.replace(self.member())

    def signal(self, number: int, *names: str) -> Undo:
        host = self.host()
        pids = [pid for name in names for pid in processes(host, name)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

        def go_on() -> None:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            for process in host.running.values():
                process.go_on()

        return go_on

    def slow(self) -> Undo | None:
        host = self.host()
        if not host.host.up:
            return None
        host.host.slow(self.draw.uniform(5, 60))
        return lambda: host.host.slow(0) if host.host.up else None

    def lossy(self) -> Undo:
        host, share = self.host().host, self.draw.uniform(0.05, 0.4)
        links = [link for store in self.world.stores.values() for link in self.world.network.lossy(host, store, share)]
        return lambda: self.world.network.heal(links)

    def move_the_clock(self) -> Undo:
        self.world.wall_clock.move(self.draw.choice([3600, -3600]))
        return lambda: self.world.wall_clock.move(0)

    def transfer(self) -> None:
        unit = self.draw.choice(self.world.hosts).unit
        environment = self.world.hosts[0].environment
        # Whether it works is not the point.
        self.world.desk.popen(["timeout", "20", sys.executable, "-m", "tenure", "transfer", unit], environment)

    def starve(self) -> None:
        for _ in range(2 * (os.cpu_count() or 1)):
            seconds = f"{self.draw.uniform(0.5, LEASE_S / 2):.2f}"
            self.world.desk.popen(["timeout", seconds, "sh", "-c", "while :; do :; done"])

    # ---- the run

    def step(self) -> None:
        """End what has lasted its time; draw one fault more."""
        due = [entry for entry in self.active if entry[0] <= now_ns()]
        while len(self.active) - len(due) >= AT_A_TIME:
            due.append(next(entry for entry in self.active if entry not in due))
        for entry in due:
            self.active.remove(entry)
            entry[2]()
        kinds = self.kinds()
        kind = self.draw.choice(list(kinds))
        lasts_s = self.draw.uniform(0.3, 2 * LEASE_S)
        undo = kinds[kind]()
        self.faults[kind] += 1
        if undo is not None:
            self.active.append((now_ns() + round(lasts_s * 1e9), kind, undo))
        for host in self.world.hosts:
            if host.host.up:
                host.start()

    def run(self, seconds: float, say: Callable[[str], None]) -> bool:
        """Draw faults for so long. Returns whether all was as promised."""
        began = now_ns()
        while now_ns() < began + seconds * 1e9:
            self.step()
            self.world.pass_by(self.draw.uniform(0.5, 4.0))
        over = now_ns()
        for _, _, undo in self.active:
            undo()
        self.world.calm()
        verdict = self.world.judge()
        jobs = self.world.witness.jobs()
        held = sum(min(job.last, over) - max(job.first, began) for job in jobs if job.last > began and job.first < over)
        say(f"faults: {', '.join(f'{kind} {count}' for kind, count in sorted(self.faults.items()))}")
        say(
            f"terms {len(jobs)} of the command, {terms(self.world.landed_lines())} of the leader; overlaps {len(verdict.jobs)} and "
            f"{len(verdict.leaders)}; writes {len(self.world.witness.writes())}, lost {len(verdict.lost)}, of deposed "
            f"leaders {len(verdict.deposed_wrote)}; leader-deposed in another's term {len(verdict.deposed_late)}; "
            f"with a holder {held / (over - began):.0%} of the time"
        )
        if verdict:
            say(f"{verdict}; logs in {self.world.kept_as}")
        return not verdict


def processes(host: TenureHost, name: str) -> list[int]:
    """The pids out here of the host's agent, hold, or (`guard`) the guards of both."""
    own = [process.pid for key, process in host.running.items() if key == name and process.poll() is None]
    if name != "guard":
        return own
    parents = [process.pid for key, process in host.running.items() if key in ("agent", "hold")]
    return [
        child
        for parent in parents
        for child in children(parent)
        if b"tenure.guard" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@contextlib.contextmanager
def soaking(seed: int, version: str | None = None) -> Iterator[Soak]:
    """A soak that can run; its world is gone afterwards."""
    with NetWorld(version) as world:
        yield Soak(world, random.Random(seed))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--version", help="etcd's; the newest that is here by default")
    given = parser.parse_args()
    if why_not() or not versions():
        print(why_not() or "no etcd here: run `make etcd`", file=sys.stderr)
        return 2
    version = given.version or versions()[-1]
    print(f"seed {given.seed}, {given.minutes:g} min, etcd {version}", flush=True)
    with soaking(given.seed, version) as soak:
        return 0 if soak.run(60 * given.minutes, print) else 1


if __name__ == "__main__":
    sys.exit(main())
