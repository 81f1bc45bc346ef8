"""tenure leader APP: print the unit that leads.

Exits 0; 1 when the office is vacant; 2 when there is no such application; 3.
"""

from __future__ import annotations

import click

from tenure.cli import shared, values
from tenure.cli.output import emit


@shared.command(prints=True)
@click.argument("application", type=values.application, metavar="APP")
async def command(settings: shared.Settings, application: str) -> None:
    """Print the unit that leads an application.

    It is what the store says now; how long it is sure to be so is-leader says.

    \b
    Examples:
      tenure leader web
      tenure leader web --format json
    """
    from tenure.errors import Vacant
    from tenure.model.view import read_model

    async with shared.opened(settings) as store:
        office = (await read_model(store, settings.layout)).application(application).office()
    if office.holder is None:
        raise Vacant(
            f"nobody leads {application}", hint=f"tenure wait {application} --for leader; tenure history {application}"
        )
    unit = office.holder.unit
    document = {
        "application": application,
        "unit": unit,
        "machine": office.holder.machine,
        "term": office.term,
        "began": office.holder.began,
    }
    emit(settings.format, document, lambda: unit)
