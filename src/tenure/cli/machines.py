"""tenure machines: show the machines of a model, their agents and what they run.

Exits 0; 2; 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tenure.cli import shared
from tenure.cli.output import emit, table

if TYPE_CHECKING:
    from tenure.model.view import ModelView


@shared.command(prints=True)
async def command(settings: shared.Settings) -> None:
    """Show the machines of a model, their agents and what they run.

    A machine is there while its agent keeps its session, or a unit is its own: "down" is one whose agent is lost.

    \b
    Examples:
      tenure machines
      tenure machines --format json | jq -r '.machines | keys[]'
    """
    from tenure.cli.asking import ask_losses
    from tenure.model.view import read_model

    async with shared.opened(settings) as store:
        view = await read_model(store, settings.layout)
    document = {"machines": _document(view, await ask_losses(view))}
    emit(settings.format, document, lambda: _tabular(document["machines"]))


def _document(view: ModelView, lost_for_s: dict[str, float]) -> dict[str, Any]:
    from tenure import __version__
    from tenure.model.document import status_document

    found: dict[str, Any] = status_document(view, __version__)["machines"]
    for name, machine in found.items():
        units = view.units_on(name)
        machine["units"] = [str(unit.name) for unit in units]
        machine["leads"] = [
            str(unit.name) for unit in units if view.application(unit.name.application).leader == unit.name
        ]
        record = view.machines.get(name)
        if record is not None:
            machine["agent"] = {"pid": record.pid, "version": record.version, "state-dir": record.state_dir}
        elif name in lost_for_s:
            machine["lost-for-s"] = round(lost_for_s[name], 1)
    return found


def _tabular(machines: dict[str, Any]) -> str:
    rows = [
        [
            name,
            _state(machine),
            machine.get("hostname", ""),
            machine.get("dns-name", ""),
            ", ".join(f"{unit}*" if unit in machine["leads"] else unit for unit in machine["units"]),
        ]
        for name, machine in machines.items()
    ]
    return table(["MACHINE", "STATE", "HOST", "ADDRESS", "UNITS"], rows) if rows else ""


def _state(machine: dict[str, Any]) -> str:
    state = str(machine["juju-status"]["current"])
    if "lost-for-s" in machine:
        state += f" for {machine['lost-for-s']:.0f} s"
    return f"{state}, drained" if "drained" in machine else state
