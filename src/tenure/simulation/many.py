"""Many seeds, on as many cores as are given, and what is told of them."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tenure.simulation.bugs import BUGS
from tenure.simulation.machines import PRODUCTION
from tenure.simulation.scenario import CHANGES, EARLY, FAULTS, WISHES, StoreKind, draw
from tenure.simulation.world import HOUR_NS, Result, simulate


@dataclass(frozen=True, slots=True)
class Task:
    """One seed, and how it is run."""

    seed: int
    hours: float
    bug: str = ""
    store: StoreKind | None = None
    """None: the kind is drawn, but for a bug, which is looked for where it shows."""

    def run(self, log: Callable[[str], None] | None = None) -> Result:
        """What came of it."""
        bug = BUGS.get(self.bug)
        scenario = draw(self.seed, self.store or (None if bug is None else bug.store))
        return simulate(scenario, self.hours, PRODUCTION if bug is None else bug.machines, log)


def run_all(tasks: Sequence[Task], jobs: int) -> Iterator[Result]:
    """Each task's result, in their order."""
    if jobs < 2 or len(tasks) < 2:
        yield from (task.run() for task in tasks)
        return
    with multiprocessing.get_context("spawn").Pool(min(jobs, len(tasks))) as pool:
        yield from pool.imap(Task.run, tasks, chunksize=max(1, min(8, len(tasks) // (4 * jobs))))


def hunt(bug: str, first: int, seeds: int, hours: float) -> Result | None:
    """The first seed that finds a planted bug; None if none of so many does."""
    for seed in range(first, first + seeds):
        result = Task(seed, hours, bug).run()
        if result.promise:
            return result
    return None


@dataclass(slots=True)
class Total:
    """What many seeds have come to."""

    seeds: int = 0
    simulated_ns: int = 0
    events: int = 0
    fewest_faults: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[Result] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)

    def add(self, result: Result) -> None:
        """One more."""
        self.seeds += 1
        self.simulated_ns += result.simulated_ns
        self.events += result.events
        self.counts.update(result.counts)
        if result.promise:
            self.violations.append(result)
        elif self.fewest_faults is None or result.faults < self.fewest_faults:
            self.fewest_faults = result.faults

    def lines(self) -> Iterator[str]:
        """The summary, for people."""
        took_s = max(time.monotonic() - self.began_s, 1e-9)
        yield f"seeds             {self.seeds:>12,}"
        yield f"simulated hours   {self.simulated_ns / HOUR_NS:>12,.1f}"
        yield f"events            {self.events:>12,}   {self.events / took_s:,.0f} a second, all cores together"
        yield f"fewest faults     {self.fewest_faults or 0:>12,}   in one seed; wishes and messages' fates not counted"
        for title, kinds in (("faults", (*FAULTS, *CHANGES, *EARLY)), ("wishes", tuple(WISHES))):
            yield title
            yield from (f"  {kind:<28}{self.counts[kind]:>12,}" for kind in kinds if self.counts[kind])
        told = {*FAULTS, *CHANGES, *EARLY, *WISHES}
        yield "besides"
        yield from (f"  {kind:<40}{count:>12,}" for kind, count in sorted(self.counts.items()) if kind not in told)
        yield f"violations        {len(self.violations):>12,}"


def told_of(result: Result, task: Task) -> Iterator[str]:
    """A violation, and the command that shows it again."""
    more = f" --bug {task.bug}" if task.bug else ""
    more += f' --store "{task.store}"' if task.store else ""
    until = result.simulated_ns // 1_000_000_000 + 1
    hours = max(1, -(-until // 3600))
    yield f"FAILED  {result.promise}: {result.what}"
    yield f"  seed {result.seed}, at {result.simulated_ns / 1e9:.6f} s, event {result.events:,}"
    arguments = f" ARGS='{more.strip()}'" if more else ""
    yield f"  again:  make simulate SEEDS=1 HOURS={hours} FROM={result.seed}{arguments}"
    yield f"  trace:  .venv/bin/python -m tenure.simulation --seeds 1 --hours {hours} --from {result.seed}{more} --until {until} --trace"
