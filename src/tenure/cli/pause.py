"""tenure pause APP | --office OFFICE: hold no elections.

Exits 0, also when it is paused already; 2 when there is no such application; 3.
"""

from __future__ import annotations

import click

from tenure.cli import shared, values
from tenure.errors import BadInput


@shared.command()
@click.argument("application", required=False, type=values.application, metavar="[APP]")
@click.option("--office", default="", metavar="OFFICE", help="Instead: an office without an application (tenure hold).")
@click.option("--reason", default="", help="Shown by status and explain.")
async def command(settings: shared.Settings, application: str | None, office: str, reason: str) -> None:
    """Hold no elections: whoever leads goes on, a vacancy stays.

    No unit claims leadership, nor an office of the application's singletons, from the moment that this returns until
    `tenure resume`. Leases are renewed, and is-leader answers as ever; `tenure transfer` and `tenure drain` hand over.

    \b
    Examples:
      tenure pause web --reason "the database moves"
      tenure pause --office cron
    """
    from tenure.model.upkeep import pause, pause_office

    check_one(application, office)
    async with shared.opened(settings) as store:
        if application:
            changed = await pause(store, settings.layout, application, reason)
        else:
            changed = await pause_office(store, settings.layout, office, reason)
    if not changed:
        shared.note(f"{application or office} is paused already")


def check_one(application: str | None, office: str) -> None:
    """Raises BadInput unless exactly one of both is named."""
    if bool(application) == bool(office):
        raise BadInput("name an application, or an office with --office", hint="tenure pause web")
