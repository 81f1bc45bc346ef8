"""tenure status [APP]: show applications, units, who leads, where singletons run.

Prints a table, or Juju's status document as JSON or YAML. Exits 0; 2 when there is no such application; 3.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from tenure.cli import shared, values
from tenure.cli.output import emit, table

if TYPE_CHECKING:
    from rich.live import Live

    from tenure.model.view import ModelView


_LOOKS, _BETWEEN_LOOKS_S = 5, 0.03
"""A store that is busy is free in between: one that isn't, so often in a row, is blocked."""


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
        _say_who_blocks(settings.url)
        return
    async with shared.mirrored(settings) as (_, mirror):
        with Screen(settings.format) as screen:
            async for snapshot in mirror.after(-1):
                view = ModelView(snapshot, settings.layout)
                document = status_document(view, __version__, application)
                _add_roll_outs(view, document, {})
                screen.show(document)


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


def _say_who_blocks(url: str) -> None:
    """Say who holds an embedded store's lock for longer than any commit takes: it can be read, but not written."""
    if not url.startswith("sqlite:"):
        return
    from tenure.store.sqlite.locks import held_by, holder_of
    from tenure.store.sqlite.place import parse

    lock = parse(url).lock_path
    for look in range(_LOOKS):
        if look:
            time.sleep(_BETWEEN_LOOKS_S)
        if not (pid := holder_of(os.stat(lock))):
            return
    error = held_by(lock, pid)
    shared.note(f"warning: nothing can be written: {error.message} ({error.hint})")


class Screen:
    """Shows a status whenever it has changed: in place on a terminal, whose last picture stays; else one after another."""

    def __init__(self, chosen: str | None) -> None:
        self._format = chosen
        self._live: Live | None = None
        self._shown: dict[str, Any] = {}

    def __enter__(self) -> Screen:
        if self._format in (None, "tabular") and sys.stdout.isatty():
            # Only here: it takes some time to import.
            from rich.live import Live

            self._live = Live(screen=True, auto_refresh=False)
            self._live.start()
        return self

    def show(self, document: dict[str, Any]) -> None:
        """What it is now."""
        if document == self._shown:
            return
        self._shown = document
        if self._live is None:
            emit(self._format, document, lambda: tabular(document) + "\n")
        else:
            from rich.text import Text

            self._live.update(Text.from_ansi(tabular(document)), refresh=True)

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            click.echo(tabular(self._shown) if self._shown else "", nl=bool(self._shown))


def tabular(document: dict[str, Any]) -> str:
    """The document as tables: applications, units, singletons, offices without an application."""
    parts = [f"Model: {document['model']['name']}"]
    if document["applications"]:
        parts += _applications(document)
    if offices := document["offices"]:
        head = ["Office", "Holder", "Term", "Since", "Candidates", "Message"]
        parts.append(table(head, [_office(name, office) for name, office in offices.items()]))
    if len(parts) == 1:
        parts = [f"Model {document['model']['name']}: no applications yet (tenure deploy ./charm)"]
    set_aside = [
        *(
            _since(f"{name} is drained", machine["drained"], "no office comes to it", f"tenure undrain {name}")
            for name, machine in document["machines"].items()
            if "drained" in machine
        ),
        *(
            _since(f"{name} is paused", application["paused"], "no election", f"tenure resume {name}")
            for name, application in document["applications"].items()
            if "paused" in application
        ),
    ]
    return "\n\n".join([*parts, *(["\n".join(set_aside)] if set_aside else [])])


def _applications(document: dict[str, Any]) -> list[str]:
    from tenure.model.walltime import local_text

    applications: list[list[str]] = []
    units: list[list[str]] = []
    ranked = any("priority" in unit for one in document["applications"].values() for unit in one["units"].values())
    for name, application in document["applications"].items():
        said = application["application-status"]
        ready = sum(unit["workload-status"]["current"] == "active" for unit in application["units"].values())
        dying = " (dying)" if application.get("life") == "dying" else ""
        paused = " (paused)" if "paused" in application else ""
        applications.append(
            [
                name,
                said["current"] + dying + paused,
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
                    *([str(unit.get("priority", 0))] if ranked else []),
                    local_text(workload.get("since", "")) or "-",
                    workload.get("message", "")
                    or (agent.get("message", "") if agent["current"] == "executing" else ""),
                ]
            )
    parts = [table(["Application", "Status", "Active", "Lease", "Charm", "Message"], applications)]
    if units:
        head = ["Unit", "Workload", "Agent", "Machine", *(["Priority"] if ranked else []), "Since", "Message"]
        parts.append(table(head, units))
    singletons = [
        _singleton(f"{application}/{name}", found)
        for application, document in document["applications"].items()
        for name, found in document.get("singletons", {}).items()
    ]
    if singletons:
        head = ["Singleton", "State", "Unit", "Term", "Since", "Restarts", "Enclosed by", "Message"]
        parts.append(table(head, singletons))
    roll_outs = {name: one["settings"] for name, one in document["applications"].items() if "settings" in one}
    return parts + [f"{name}: {found['message']}" for name, found in roll_outs.items() if found["missing"]]


def _office(name: str, office: dict[str, Any]) -> list[str]:
    from tenure.model.walltime import local_text

    others = [candidate for candidate in office["candidates"] if candidate != office["holder"]]
    return [
        name,
        office["holder"] or "-",
        str(office.get("term", "-")),
        local_text(office.get("since", "")) or "-",
        str(len(others) + (office["holder"] is not None)),
        _since("paused", office["paused"], "nobody claims it", f"tenure resume --office {name}")
        if "paused" in office
        else "",
    ]


def _since(what: str, said: dict[str, Any], follows: str, until: str) -> str:
    from tenure.model.walltime import local_text

    reason = f" ({said['reason']})" if "reason" in said else ""
    return f"{what} since {local_text(said['since'])}{reason}: {follows} before `{until}`"


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
