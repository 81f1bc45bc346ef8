"""tenure settings APP: show the leader settings, or how far they are acknowledged.

Exits 0; with --acknowledged 1 while a unit is missing; 2 when there is no such application; 3.
"""

from __future__ import annotations

import click

from tenure.cli import shared, values
from tenure.cli.output import as_yaml, emit, table


@shared.command(prints=True)
@click.argument("application", type=values.application, metavar="APP")
@click.argument("key", required=False)
@click.option("--acknowledged", is_flag=True, help="Show which units have applied them, and who is missing and why.")
async def command(settings: shared.Settings, application: str, key: str | None, acknowledged: bool) -> int:
    """Show the leader settings, or one of them.

    They may hold secrets: this prints them. With --acknowledged no value is printed, but which version the charm's
    leader has published, and which of the units that are members now have not acknowledged it; exit code 1 while there
    are some.

    \b
    Examples:
      tenure settings web
      tenure settings web password
      tenure settings web --acknowledged --format json
    """
    from tenure.errors import NoSuchThing
    from tenure.model.view import read_model

    if acknowledged and key is not None:
        raise click.UsageError("--acknowledged is about all settings: leave the key out")
    async with shared.opened(settings) as store:
        view = await read_model(store, settings.layout)
    if acknowledged:
        from tenure.cli.asking import ask_losses
        from tenure.howto.acknowledged import roll_out

        found = roll_out(view, application, await ask_losses(view))
        if found is None:
            raise NoSuchThing(
                f"the settings of {application} have no version",
                hint="its charm would publish them by AcknowledgedSettings; see the how-to about acknowledged settings",
            )
        rows = [
            *([str(unit), "acknowledged", "", ""] for unit in found.acknowledged),
            *([str(one.unit), "missing", _local(one.since), one.why] for one in found.missing),
        ]
        head = f"Version {found.version}, published {_local(found.published)}\n\n"
        emit(settings.format, found.document, lambda: head + table(["Unit", "Settings", "Since", "Why"], rows))
        return 1 if found.missing else 0
    values_ = dict(view.application(application).settings)
    if key is None:
        emit(settings.format, values_, lambda: as_yaml(values_).rstrip("\n") if values_ else "")
        return 0
    if key not in values_:
        raise NoSuchThing(f'the leader of {application} has set no "{key}"', hint=f"tenure settings {application}")
    emit(settings.format, values_[key], lambda: values_[key])
    return 0


def _local(text: str) -> str:
    from tenure.model.walltime import local_text

    return local_text(text) or "at a time that nobody wrote down"
