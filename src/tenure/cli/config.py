"""tenure config APP [NAME=VALUE…]: show or change an application's configuration.

Prints it, or one option's value, when nothing is to be changed. Exits 0; 2 when an option or a value is wrong (nothing was changed); 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tenure.cli import shared, values
from tenure.cli.output import emit, table

if TYPE_CHECKING:
    from tenure.model.records import Application


@shared.command(prints=True)
@click.argument("application", type=values.application, metavar="APP")
@click.argument("options", nargs=-1, metavar="[NAME=VALUE… | NAME]")
@click.option("--reset", multiple=True, metavar="NAME,…", help="Set these back to their defaults.")
async def command(
    settings: shared.Settings, application: str, options: tuple[str, ...], reset: tuple[str, ...]
) -> None:
    """Show or change an application's configuration.

    With NAME=VALUE the options are changed, all or none; a VALUE @FILE is what the file holds. With a NAME alone its
    value is printed.

    \b
    Examples:
      tenure config web
      tenure config web port
      tenure config web port=8080 greeting=@hello.txt
      tenure config web --reset port
    """
    from tenure.errors import BadInput
    from tenure.model.operations import configure
    from tenure.model.options import check_known, effective
    from tenure.model.view import read_model

    names = [name for text in reset for name in text.split(",") if name]
    one = options[0] if len(options) == 1 and "=" not in options[0] and not names else None
    changes = {} if one else values.assignments(options)
    if both := sorted(changes.keys() & set(names)):
        raise BadInput(f'"{both[0]}" is to be set and to be reset', hint="one of the two")
    async with shared.opened(settings) as store:
        if changes or names:
            await configure(store, settings.layout, application, changes, names)
            return
        info = (await read_model(store, settings.layout)).application(application).info
    if one is None:
        document = _document(application, info)
        emit(settings.format, document, lambda: _tabular(document))
        return
    check_known(info.options, one)
    value = effective(info)[one]
    emit(settings.format, value, lambda: "" if value is None else _text(value))


def _document(application: str, info: Application) -> dict[str, Any]:
    from tenure.model.options import effective

    settings: dict[str, Any] = {}
    for name, value in effective(info).items():
        option = info.options[name]
        entry: dict[str, Any] = {"type": option.get("type", "string"), "description": option.get("description", "")}
        if "default" in option:
            entry["default"] = option["default"]
        if value is not None:
            entry["value"] = value
        entry["source"] = "user" if name in info.config else "default" if value is not None else "unset"
        settings[name] = entry
    return {"application": application, "charm": info.charm_name, "settings": settings, "application-config": {}}


def _tabular(document: dict[str, Any]) -> str:
    rows = [
        [name, _text(entry["value"]) if "value" in entry else "-", entry["source"], entry["type"], entry["description"]]
        for name, entry in document["settings"].items()
    ]
    return table(["Option", "Value", "Source", "Type", "Description"], rows) if rows else "the charm has no options"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
