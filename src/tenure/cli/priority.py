"""tenure priority UNIT [N]: show or set the priority by which a unit stands in line when leadership is vacant.

Prints it. Exits 0; 2 when there is no such unit; 3.
"""

from __future__ import annotations

import click

from tenure.cli import shared, values
from tenure.cli.output import emit
from tenure.names import UnitName


@shared.command(prints=True)
@click.argument("unit", type=values.unit, metavar="UNIT")
@click.argument("number", type=int, required=False, metavar="[N]")
async def command(settings: shared.Settings, unit: UnitName, number: int | None) -> None:
    """Show or set who comes first when leadership is vacant.

    The present unit of the greatest priority comes first, among equals each in turn; a unit that can't be reached is
    passed over. It takes leadership from nobody: `tenure transfer` does. (Below 0, after `--`: the unit comes last.)

    \b
    Examples:
      tenure priority web/1 10
      tenure priority web/2 -- -1
      tenure priority web/1
    """
    from tenure.model.upkeep import set_priority
    from tenure.model.view import read_model

    async with shared.opened(settings) as store:
        if number is not None:
            await set_priority(store, settings.layout, unit, number)
        else:
            number = (await read_model(store, settings.layout)).unit(unit).info.priority
    emit(settings.format, {"unit": str(unit), "priority": number}, lambda: str(number))
