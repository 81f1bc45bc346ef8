"""tenure settings APP: show the leader settings.

Exits 0; 2 when there is no such application; 3.
"""

from __future__ import annotations

import click

from tenure.cli import shared, values
from tenure.cli.output import as_yaml, emit


@shared.command(prints=True)
@click.argument("application", type=values.application, metavar="APP")
@click.argument("key", required=False)
async def command(settings: shared.Settings, application: str, key: str | None) -> None:
    """Show the leader settings, or one of them.

    They may hold secrets: this prints them.

    \b
    Examples:
      tenure settings web
      tenure settings web password
      tenure settings web --format json
    """
    from tenure.errors import NoSuchThing
    from tenure.model.view import read_model

    async with shared.opened(settings) as store:
        found = dict((await read_model(store, settings.layout)).application(application).settings)
    if key is None:
        emit(settings.format, found, lambda: as_yaml(found).rstrip("\n") if found else "")
        return
    if key not in found:
        raise NoSuchThing(f'the leader of {application} has set no "{key}"', hint=f"tenure settings {application}")
    emit(settings.format, found[key], lambda: found[key])
