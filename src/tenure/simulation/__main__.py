"""`python -m tenure.simulation`: run seeds, tell what was broken, and exit 1 if anything was."""

from __future__ import annotations

import os
import sys
from typing import get_args

import click

from tenure.simulation.bugs import BUGS
from tenure.simulation.many import Task, Total, hunt, run_all, told_of
from tenure.simulation.scenario import StoreKind

REPORT_EVERY = 50
TELL_MOST = 20


@click.command()
@click.option("--seeds", default=500, show_default=True, type=click.IntRange(1), help="How many seeds.")
@click.option(
    "--hours",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 24, min_open=True),
    help="Simulated hours of each.",
)
@click.option("--from", "first", default=0, show_default=True, type=click.IntRange(0), help="The first seed.")
@click.option("--jobs", default=0, type=click.IntRange(0), help="Processes; as many as there are cores by default.")
@click.option("--until", type=click.FloatRange(0, min_open=True), help="Stop each seed at this simulated second.")
@click.option("--trace", is_flag=True, help="Print what happens, event by event; one seed alone.")
@click.option("--bug", type=click.Choice(sorted(BUGS)), help="Plant a bug, which is to be found.")
@click.option(
    "--hunt", "hunting", is_flag=True, help="For each planted bug (or --bug), the first seed that finds it, as a table."
)
@click.option(
    "--store", type=click.Choice(get_args(StoreKind)), help="The kind of store; drawn from the seed by default."
)
def main(
    seeds: int,
    hours: float,
    first: int,
    jobs: int,
    until: float | None,
    trace: bool,
    bug: str | None,
    hunting: bool,
    store: StoreKind | None,
) -> None:
    """Run the protocol through seeded hours of faults, and check each promise after every event."""
    if trace and seeds > 1:
        raise click.UsageError("--trace shows one seed: give --seeds 1 and --from SEED")
    if until is not None:
        hours = min(hours, until / 3600)
    if hunting:
        sys.exit(_hunt([bug] if bug else list(BUGS), first, seeds, hours))
    tasks = [Task(seed, hours, bug or "", store) for seed in range(first, first + seeds)]
    total = Total()
    results = iter([tasks[0].run(click.echo)]) if trace else run_all(tasks, jobs or os.cpu_count() or 1)
    for task, result in zip(tasks, results, strict=True):
        total.add(result)
        if result.promise and len(total.violations) <= TELL_MOST:
            click.echo("\n".join(told_of(result, task)))
        if total.seeds % REPORT_EVERY == 0:
            click.echo(f"{total.seeds} of {seeds} seeds, {len(total.violations)} violations", err=True)
    click.echo("\n".join(total.lines()))
    sys.exit(1 if total.violations else 0)


def _hunt(names: list[str], first: int, seeds: int, hours: float) -> int:
    click.echo("| bug | the rule that it switches off | found at seed, second | by |\n|---|---|---|---|")
    missed = 0
    for name in names:
        found = hunt(name, first, seeds, hours)
        missed += found is None
        where = f"{found.seed}, {found.simulated_ns / 1e9:,.0f} s" if found else "not found"
        click.echo(f"| `{name}` | {BUGS[name].rule} | {where} | {found.promise if found else ''} |")
    return 1 if missed else 0


if __name__ == "__main__":
    main(prog_name="python -m tenure.simulation")
