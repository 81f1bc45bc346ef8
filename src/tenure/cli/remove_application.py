"""tenure remove-application APP…: let applications and all their units end.

Exits 0 once they are to end (with --wait or --force: once they are gone); 2 when one doesn't exist; 3; 124.
"""

from __future__ import annotations

import click

from tenure.cli import shared, values
from tenure.cli.ending import end


@shared.command()
@click.argument("applications", nargs=-1, required=True, type=values.application, metavar="APP…")
@click.option(
    "--force", is_flag=True, help="End them whatever their hooks do; without their agent, at their leases' end."
)
@click.option("--wait", is_flag=True, help="Return only when they are gone.")
@click.option("--timeout", type=values.duration, help="How long to wait for that.  [default: for ever]")
@click.option("--no-prompt", is_flag=True, hidden=True, help="Nothing is ever asked.")
async def command(
    settings: shared.Settings,
    applications: tuple[str, ...],
    force: bool,
    wait: bool,
    timeout: float | None,
    no_prompt: bool,
) -> None:
    """Let an application and all its units end.

    Its settings and its history go with its last unit.

    \b
    Examples:
      tenure remove-application web
      tenure remove-application web --force --timeout 2m
    """
    from tenure.model.removal import Removed, remove_application
    from tenure.model.view import read_model

    async with shared.opened(settings) as store:
        view = await read_model(store, settings.layout)
        for application in applications:
            view.application(application)
        gone: list[Removed] = [
            await remove_application(store, settings.layout, application, force=force) for application in applications
        ]
        removed = Removed(
            tuple(unit for one in gone for unit in one.gone), tuple(unit for one in gone for unit in one.dying)
        )
        await end(settings, store, removed, force=force, wait=wait, timeout_s=timeout)
