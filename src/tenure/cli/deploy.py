"""tenure deploy CHARM [APP]: make an application of the charm in a folder.

Prints its units, one a line. Exits 0; 2 when the charm, a name or an option is wrong (nothing was changed); 3.
"""

from __future__ import annotations

from pathlib import Path

import click

from tenure.cli import shared, values
from tenure.cli.output import emit


@shared.command(prints=True)
@click.argument("charm", type=click.Path(path_type=Path))
@click.argument("application", required=False, type=values.application, metavar="[APP]")
@click.option("-n", "--num-units", default=1, show_default=True, type=click.IntRange(0, 1000), help="How many units.")
@click.option(
    "--to", default="", type=values.machines, metavar="M,M…",
    help="Their machines, which need not be up yet.  [default: live ones with the fewest units]",
)  # fmt: skip
@click.option("--config", multiple=True, metavar="NAME=VALUE", help="An option of the charm's; @FILE: from a file.")
@click.option(
    "--lease", type=values.duration, help="How long a lease lasts unrenewed, in whole seconds.  [default: 60s]"
)
@click.option("--guarantee", type=values.duration, help="How long is-leader stays true.  [default: half the lease]")
async def command(
    settings: shared.Settings,
    charm: Path,
    application: str | None,
    num_units: int,
    to: tuple[str, ...],
    config: tuple[str, ...],
    lease: float | None,
    guarantee: float | None,
) -> None:
    """Make an application of a charm.

    CHARM is a folder with metadata.yaml, and hooks/ or dispatch. APP is the application's name; without it the charm's.
    The charm travels to its machines through the store.

    \b
    Examples:
      tenure deploy ./charm web -n 3 --to m0,m1,m2
      tenure deploy ./charm --config port=8080 --lease 6s
    """
    from tenure.defaults import TTL_S
    from tenure.errors import BadInput
    from tenure.model.charms import read_charm
    from tenure.model.operations import deploy
    from tenure.office.timing import Timing

    ttl_s = TTL_S if lease is None else lease
    if ttl_s != int(ttl_s) or ttl_s < 1:
        raise BadInput(f"a lease of {ttl_s:g} s can't be had", hint="whole seconds, at least one: --lease 6s")
    timing = Timing.for_lease(int(ttl_s), guarantee)
    set_options = values.assignments(config)
    read = read_charm(charm)
    for warning in read.warnings:
        shared.note(f"warning: {warning}")
    async with shared.opened(settings, make=True) as store:
        made = await deploy(
            store,
            settings.layout,
            read,
            application=application,
            units=num_units,
            to=to,
            config=set_options,
            timing=timing,
        )
    document = {"application": made.application, "units": [str(unit) for unit in made.units]}
    emit(settings.format, document, lambda: "\n".join(document["units"]))
