"""tenure add-unit APP: add units.

Prints the new units, one a line. Exits 0; 2 when there is no such application; 3.
"""

from __future__ import annotations

import click

from tenure.cli import shared, values
from tenure.cli.output import emit


@shared.command(prints=True)
@click.argument("application", type=values.application, metavar="APP")
@click.option("-n", "--num-units", default=1, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@click.option(
    "--to", default="", type=values.machines, metavar="M,M…",
    help="Their machines, which need not be up yet.  [default: live ones with the fewest units]",
)  # fmt: skip
@click.option(
    "--priority", default=0, type=int, help="The greatest comes first when leadership is vacant.  [default: 0]"
)
async def command(
    settings: shared.Settings, application: str, num_units: int, to: tuple[str, ...], priority: int
) -> None:
    """Add units to an application.

    A unit's number is never used twice.

    \b
    Examples:
      tenure add-unit web
      tenure add-unit web -n 2 --to m3,m4
      tenure add-unit web --to m5 --priority 10
    """
    from tenure.model.operations import add_units

    async with shared.opened(settings) as store:
        units = await add_units(store, settings.layout, application, num_units, to, priority=priority)
    added = [str(unit) for unit in units]
    emit(settings.format, {"units": added}, lambda: "\n".join(added))
