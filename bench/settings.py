"""How soon leader settings reach every unit: twenty agents of one unit each, and twenty units of one agent."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from bench.world import World, bare_start_ms, charm, leader, until, world

UNITS = 20
ROUNDS = 3
SERIAL_ROUNDS = 7
MEDIAN_LIMIT_MS = 250.0
BARE_LIMIT = 1.5
READ = "leader-get v >/dev/null"
# The new leader writes as its leader-elected begins, and stamps the moment at which leader-set has returned.
WRITE = 'leader-set v="$(date +%s%N)"; echo "$(date +%s%N) $JUJU_UNIT_NAME written" >> {stamps}'


def measure() -> Iterator[Figure]:
    """The figures of this part."""
    with deployed(agents=UNITS) as made:
        medians, lasts = [], []
        for _ in range(ROUNDS):
            delays = spread(made, since_returned=False)
            medians.append(statistics.median(delays))
            lasts.append(max(delays))
        yield Figure(
            f"leader-set's call until leader-settings-changed, {UNITS} agents (median)",
            statistics.median(medians),
            "ms",
            bare_start_ms(made, "leader-settings-changed", at_once=UNITS - 1),
            "as many hooks started bare at once",
            MEDIAN_LIMIT_MS,
            note=f"the last unit: {statistics.median(lasts):.0f} ms",
        )
    with deployed(agents=1) as made:
        ours, floors = [], []
        for _ in range(SERIAL_ROUNDS):
            delays = spread(made, since_returned=True)
            ours.append(max(delays))
            floors.append(bare(made, len(delays)))
        yield Figure(
            f"leader-set's return until the last of {UNITS} units of one agent has started its hook",
            min(ours),
            "ms",
            min(floors),
            "as many hooks bare, one after another",
            BARE_LIMIT,
            "ratio at most",
            # The best, for both are work that whatever else the host does can only lengthen.
            note=f"best of {SERIAL_ROUNDS} each; medians {statistics.median(ours):.0f} and {statistics.median(floors):.0f} ms",
        )


@contextlib.contextmanager
def deployed(agents: int) -> Iterator[World]:
    """Twenty idle units on so many agents."""
    with world() as made:
        machines = [f"m{number}" for number in range(agents)]
        made.start(*machines)
        written = WRITE.format(stamps=made.stamps_file)
        folder = charm(made, leader_elected=written, leader_settings_changed=READ)
        to = ",".join(machines[number % agents] for number in range(UNITS))
        made.tenure("deploy", folder, "web", "-n", str(UNITS), "--to", to, "--lease", "30s")
        made.all_idle(UNITS)
        yield made


def spread(made: World, since_returned: bool) -> list[float]:
    """Have a new leader write; for each leader-settings-changed of another unit, ms until it starts.

    Counted from the hook's begin, just before leader-set is called, or from its return: with many agents their hooks
    start before leader-set has returned to its script, so the former says more. The former leader may have one more,
    for its own demotion.
    """
    former = leader(made.units())
    successor = next(unit for unit in sorted(made.units()) if unit != former)
    since = time.time_ns()
    made.tenure("transfer", successor)
    elected, written = made.stamp("leader-elected", since), made.stamp("written", since)

    def starts() -> list[int] | None:
        found = [(at, unit) for at, unit, hook in made.stamps(elected) if hook == "leader-settings-changed"]
        return [at for at, _ in found] if len({unit for _, unit in found} - {successor}) == UNITS - 1 else None

    until("leader-settings-changed everywhere", starts, every_s=0.05)
    made.all_idle(UNITS)
    begun = written if since_returned else elected
    return [(at - begun) / 1e6 for at in starts() or ()]


def bare(made: World, count: int) -> float:
    """So many of the same hooks, run one after another without an agent; its tool is a bare interpreter."""
    tools = made.folder / "bare"
    tools.mkdir(exist_ok=True)
    tool = tools / "leader-get"
    tool.write_text(f"#!{Path(sys.executable).resolve()} -IS\npass\n")
    tool.chmod(0o755)
    hook = made.folder / "charm" / "hooks" / "leader-settings-changed"
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "JUJU_UNIT_NAME": "bare/0"}
    began = time.perf_counter()
    for _ in range(count):
        subprocess.run([hook], env=environment, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return (time.perf_counter() - began) * 1e3
