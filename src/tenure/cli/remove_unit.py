"""tenure remove-unit UNIT…: let units end.

Exits 0 once they are to end (with --wait or --force: once they are gone); 2 when one doesn't exist; 3; 124.
"""

from __future__ import annotations

import click

from tenure.cli import shared, values
from tenure.cli.ending import end
from tenure.names import UnitName


@shared.command()
@click.argument("units", nargs=-1, required=True, type=values.unit, metavar="UNIT…")
@click.option(
    "--force", is_flag=True, help="End them whatever their hooks do; without their agent, at their leases' end."
)
@click.option("--wait", is_flag=True, help="Return only when they are gone.")
@click.option("--timeout", type=values.duration, help="How long to wait for that.  [default: for ever]")
@click.option("--no-prompt", is_flag=True, hidden=True, help="Nothing is ever asked.")
async def command(
    settings: shared.Settings,
    units: tuple[UnitName, ...],
    force: bool,
    wait: bool,
    timeout: float | None,
    no_prompt: bool,
) -> None:
    """Let units end.

    Their agents run the hooks stop and remove; a unit that leads stays leader through them, then hands over.
    --force waits for a lease's end where nobody hands over: an office is never taken away from a live holder.

    \b
    Examples:
      tenure remove-unit web/1
      tenure remove-unit web/1 web/2 --force --timeout 2m
    """
    from tenure.model.removal import remove_units

    async with shared.opened(settings) as store:
        removed = await remove_units(store, settings.layout, units, force=force)
        await end(settings, store, removed, force=force, wait=wait, timeout_s=timeout)
