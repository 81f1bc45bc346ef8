"""tenure status [APP]: show applications, units, who leads, where singletons run.

Prints a table, or Juju's status document as JSON or YAML. Exits 0; 2 when there is no such application; 3.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from tenure.cli import shared, values
from tenure.cli.output import emit, table

if TYPE_CHECKING:
    from tenure.model.view import ModelView

_CLEAR = "\x1b[H\x1b[2J"


@shared.command(prints=True)
@click.argument("application", required=False, type=values.application, metavar="[APP]")
@click.option("--watch", "-w", is_flag=True, help="Show it again whenever it changes, until Ctrl-C.")
async def command(settings: shared.Settings, application: str | None, watch: bool) -> None:
    """Show applications, units, who leads and where singletons run.

    The unit that leads has a *. JSON and YAML have the shape of Juju's status.

    \b
    Examples:
      tenure status
      tenure status web --watch
      tenure status --format json
    """
    from tenure import __version__
    from tenure.cli.asking import ask_losses
    from tenure.model.document import status_document
    from tenure.model.view import ModelView, read_model

    if not watch:
        async with shared.opened(settings) as store:
            view = await read_model(store, settings.layout)
        document = status_document(view, __version__, application)
        _add_roll_outs(view, document, await ask_losses(view) if _any_lost(document) else {})
        emit(settings.format, document, lambda: tabular(document))
        return
    async with shared.mirrored(settings) as (_, mirror):
        shown: dict[str, Any] = {}
        async for snapshot in mirror.after(-1):
            view = ModelView(snapshot, settings.layout)
            document = status_document(view, __version__, application)
            _add_roll_outs(view, document, {})
            if document != shown:
                shown = document
                _show_again(settings.format, document)


def _add_roll_outs(view: ModelView, document: dict[str, Any], lost_for_s: Mapping[str, float]) -> None:
    """Say of each application whose settings are acknowledged how far they have come."""
    from tenure.howto.acknowledged import roll_out

    for name, application in document["applications"].items():
        found = roll_out(view, name, lost_for_s)
        if found is not None:
            application["settings"] = {**found.document, "message": found.sentence}


def _any_lost(document: dict[str, Any]) -> bool:
    units = (unit for application in document["applications"].values() for unit in application["units"].values())
    return any(unit["juju-status"]["current"] == "lost" for unit in units)


def _show_again(chosen: str | None, document: dict[str, Any]) -> None:
    for_people = chosen in (None, "tabular")
    if for_people and sys.stdout.isatty():
        click.echo(_CLEAR, nl=False)
    emit(chosen, document, lambda: tabular(document) + "\n")


def tabular(document: dict[str, Any]) -> str:
    """The document as tables: applications, units, singletons."""
    from tenure.model.walltime import local_text

    if not document["applications"]:
        return f"Model {document['model']['name']}: no applications yet (tenure deploy ./charm)"
    applications: list[list[str]] = []
    units: list[list[str]] = []
    for name, application in document["applications"].items():
        said = application["application-status"]
        ready = sum(unit["workload-status"]["current"] == "active" for unit in application["units"].values())
        dying = " (dying)" if application.get("life") == "dying" else ""
        applications.append(
            [
                name,
                said["current"] + dying,
                f"{ready}/{len(application['units'])}",
                f"{application['lease']['ttl']}s",
                application["charm-name"],
                said.get("message", ""),
            ]
        )
        for unit_name, unit in application["units"].items():
            workload, agent = unit["workload-status"], unit["juju-status"]
            units.append(
                [
                    unit_name + ("*" if unit.get("leader") else ""),
                    workload["current"],
                    agent["current"] + (" (dying)" if unit.get("life") == "dying" else ""),
                    unit["machine"] or "-",
                    local_text(workload.get("since", "")) or "-",
                    workload.get("message", "")
                    or (agent.get("message", "") if agent["current"] == "executing" else ""),
                ]
            )
    parts = [
        f"Model: {document['model']['name']}",
        table(["Application", "Status", "Active", "Lease", "Charm", "Message"], applications),
    ]
    if units:
        parts.append(table(["Unit", "Workload", "Agent", "Machine", "Since", "Message"], units))
    singletons = [
        _singleton(f"{application}/{name}", found)
        for application, document in document["applications"].items()
        for name, found in document.get("singletons", {}).items()
    ]
    if singletons:
        head = ["Singleton", "State", "Unit", "Term", "Since", "Restarts", "Enclosed by", "Message"]
        parts.append(table(head, singletons))
    roll_outs = {name: one["settings"] for name, one in document["applications"].items() if "settings" in one}
    parts += [f"{name}: {found['message']}" for name, found in roll_outs.items() if found["missing"]]
    return "\n\n".join(parts)


def _singleton(name: str, found: dict[str, Any]) -> list[str]:
    from tenure.model.walltime import local_text

    failed = "; ".join(f"failed on {unit}: {why}" for unit, why in found.get("failed-on", {}).items())
    return [
        name,
        found["state"],
        found.get("unit", "-"),
        str(found.get("term", "-")),
        local_text(found.get("since", "")) or "-",
        str(found.get("restarts", "-")),
        found.get("enclosed-by", "-"),
        "; ".join(filter(None, (found.get("message", ""), failed))),
    ]
