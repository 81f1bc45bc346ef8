"""How fast the simulation is: events a second of one core with every checker on, and the seeds that `make test` runs."""

from __future__ import annotations

import heapq
import resource
import time
from collections.abc import Iterator

from bench.figure import Figure
from tenure.simulation.many import Task, Total, run_all

ONE_CORE_SEEDS = 24
SEEDS = 500
CORES = 2
EVENTS_AT_LEAST = 50_000.0
SEEDS_WITHIN_S = 90.0


def measure() -> Iterator[Figure]:
    """The figures of this part."""
    Task(0, 0.1).run()
    began, total = time.process_time(), Total()
    for seed in range(ONE_CORE_SEEDS):
        total.add(Task(seed, 1.0).run())
    rate = total.events / (time.process_time() - began)
    yield Figure(
        "simulation, every checker on, one core",
        rate,
        "events/s",
        bare_loop(total.events),
        "a bare heap queue",
        EVENTS_AT_LEAST,
        "value at least",
        note=f"{total.events / ONE_CORE_SEEDS:,.0f} events a simulated hour",
    )
    used, started, total = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, time.monotonic(), Total()
    for result in run_all([Task(seed, 1.0) for seed in range(SEEDS)], CORES):
        total.add(result)
    took = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - used
    yield Figure(
        f"simulation, {SEEDS} seeds of one hour on {CORES} cores",
        took,
        "s",
        limit=SEEDS_WITHIN_S,
        note=f"{len(total.violations)} violations; {used:.0f} s of processor time",
    )


def bare_loop(events: int) -> float:
    """Events a second of a queue that does nothing else: each takes one out and puts one in."""
    queue = [(float(number), number) for number in range(50)]
    heapq.heapify(queue)
    began = time.process_time()
    for number in range(events):
        at, _ = heapq.heappop(queue)
        heapq.heappush(queue, (at + 50.0, number))
    return events / (time.process_time() - began)
