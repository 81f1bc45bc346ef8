"""tenure resume APP | --office OFFICE: hold elections again.

Exits 0, also when it wasn't paused; 2 when there is no such application or office; 3.
"""

from __future__ import annotations

import click

from tenure.cli import shared, values


@shared.command()
@click.argument("application", required=False, type=values.application, metavar="[APP]")
@click.option("--office", default="", metavar="OFFICE", help="Instead: an office without an application (tenure hold).")
async def command(settings: shared.Settings, application: str | None, office: str) -> None:
    """Hold elections again.

    An office that has become vacant meanwhile is claimed at once by the first in line.

    \b
    Examples:
      tenure resume web
      tenure resume --office cron
    """
    from tenure.cli.pause import check_one
    from tenure.model.upkeep import resume, resume_office

    check_one(application, office)
    async with shared.opened(settings) as store:
        if application:
            changed = await resume(store, settings.layout, application)
        else:
            changed = await resume_office(store, settings.layout, office)
    if not changed:
        shared.note(f"{application or office} wasn't paused")
