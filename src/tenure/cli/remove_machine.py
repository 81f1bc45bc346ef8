"""tenure remove-machine MACHINE: take a machine that is gone for good out of the model, with its units.

Exits 0 once nothing of it is left; 1 when it lives, or has units that live (nothing was changed); 2 when there is no such
machine; 3; 124 when --timeout has passed: its units are dying all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tenure.cli import shared, values
from tenure.cli.ending import end

if TYPE_CHECKING:
    from tenure.model.view import ModelView


@shared.command()
@click.argument("machine", metavar="MACHINE")
@click.option("--force", is_flag=True, help="Remove the units of a machine that lives, too, whatever their hooks do.")
@click.option("--timeout", type=values.duration, help="How long to wait for the end.  [default: for ever]")
async def command(settings: shared.Settings, machine: str, force: bool, timeout: float | None) -> None:
    """Take a machine that is gone for good out of the model, with its units.

    Its units go without their agent, when their leases have ended: no office is taken away before. Should the host come
    back after all, its agent finds them gone, and clears up what they have left. One whose agent is there is refused while
    it has units; move them away first, or say --force.

    \b
    Examples:
      tenure remove-machine m3
      tenure add-unit web --to m4 && tenure remove-machine m3 --timeout 2m
    """
    from tenure.model.removal import remove_units
    from tenure.model.upkeep import check_known, undrain
    from tenure.model.view import read_model

    async with shared.opened(settings) as store:
        view = await read_model(store, settings.layout)
        check_known(view, machine)
        _check_gone(view, machine, force)
        units = [unit.name for unit in view.units_on(machine)]
        if units:
            removed = await remove_units(store, settings.layout, units, force=True)
            await end(settings, store, removed, force=True, wait=True, timeout_s=timeout)
        if machine in view.drained:
            await undrain(store, settings.layout, machine)
    if machine in view.machines:
        shared.note(f"{machine} has no units any more; it goes when its agent is ended, process {_pid(view, machine)}")
    else:
        shared.note(f"gone: {machine}")


def _check_gone(view: ModelView, machine: str, force: bool) -> None:
    """Raises No where the machine is in use, saying what to do."""
    from tenure.errors import No

    living = view.machines.get(machine)
    if living is None or (force and view.units_on(machine)):
        return
    units = [str(unit.name) for unit in view.units_on(machine)]
    if units:
        raise No(
            f"{machine} is up on {living.host} and has {', '.join(units)}: nothing was changed",
            hint=f"tenure remove-unit {' '.join(units)}, or --force",
        )
    raise No(
        f"{machine} is up on {living.host} and has no units: it goes when its agent is ended, process {living.pid}",
        hint="end that agent; nothing else of it is in the model",
    )


def _pid(view: ModelView, machine: str) -> str:
    return f"{view.machines[machine].pid} on {view.machines[machine].host}"
