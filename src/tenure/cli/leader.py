"""tenure leader APP: print the unit that leads, or holds another office.

Exits 0; 1 when the office is vacant; 2 when there is no such application; 3.
"""

from __future__ import annotations

import click

from tenure.cli import shared, values
from tenure.cli.offices import find_office, office_option
from tenure.cli.output import emit
from tenure.names import LEADER_OFFICE


@shared.command(prints=True)
@click.argument("application", type=values.application, metavar="APP")
@office_option
async def command(settings: shared.Settings, application: str, office: str) -> None:
    """Print the unit that leads an application, or holds another office of its.

    It is what the store says now; how long it is sure to be so is-leader says.

    \b
    Examples:
      tenure leader web
      tenure leader web --office cron
      tenure leader web --format json
    """
    from tenure.errors import Vacant
    from tenure.model.view import read_model

    async with shared.opened(settings) as store:
        found = find_office(await read_model(store, settings.layout), application, office)
    if found.holder is None and office != LEADER_OFFICE:
        raise Vacant(f"nobody holds {application}/{office}", hint=f"tenure history {application} --office {office}")
    if found.holder is None:
        raise Vacant(
            f"nobody leads {application}", hint=f"tenure wait {application} --for leader; tenure history {application}"
        )
    unit = found.holder.unit
    document = {
        "application": application,
        "unit": unit,
        "office": office,
        "machine": found.holder.machine,
        "term": found.term,
        "began": found.holder.began,
    }
    emit(settings.format, document, lambda: unit)
