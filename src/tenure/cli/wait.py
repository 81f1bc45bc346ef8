"""tenure wait APP --for active|idle|leader|acknowledged: a script's way to wait.

Exits 0 once it is so; 2 when there is no such application; 3; 124 when --timeout passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tenure.cli import shared, values

if TYPE_CHECKING:
    from tenure.model.view import ModelView

_FOR = ("active", "idle", "leader", "acknowledged")


@shared.command()
@click.argument("application", type=values.application, metavar="APP")
@click.option(
    "--for", "wanted", multiple=True, required=True, type=click.Choice(_FOR), help="What for; all, if several."
)
@click.option("--timeout", type=values.duration, help="How long at most.  [default: for ever]")
async def command(settings: shared.Settings, application: str, wanted: tuple[str, ...], timeout: float | None) -> None:
    """Wait until an application is active or idle, or has a leader.

    active: each unit says so of its workload. idle: each unit's agent has nothing to do, and no hook is in error.
    leader: a unit holds the office. acknowledged: each member has applied the version of the settings that is published.

    \b
    Examples:
      tenure wait web --for active --timeout 60s
      tenure wait web --for idle --for leader
    """
    from tenure.model.view import ModelView

    missing = ""
    async with shared.mirrored(settings) as (_, mirror), shared.limited(timeout, lambda: missing):
        async for snapshot in mirror.after(-1):
            said, missing = missing, _missing(ModelView(snapshot, settings.layout), application, wanted)
            if not missing:
                return
            if missing != said:
                shared.progress(f"waiting: {missing}")


def _missing(view: ModelView, application: str, wanted: tuple[str, ...]) -> str:
    """What is not yet so; empty when all is."""
    from tenure.model.status import agent_status, workload_status

    found = view.application(application)
    if "leader" in wanted and found.office().holder is None:
        return f"nobody leads {application}"
    if wanted == ("leader",):
        return ""
    if "acknowledged" in wanted:
        from tenure.howto.acknowledged import roll_out

        come = roll_out(view, application)
        if come is None or come.missing:
            return come.sentence if come is not None else f"the settings of {application} have no version"
    if not found.units:
        return f"{application} has no units"
    for unit in found.units.values():
        workload, agent = workload_status(view, unit), agent_status(view, unit)
        if "active" in wanted and workload.status != "active":
            return f"{unit.name} is {workload.status}{f': {workload.message}' if workload.message else ''}"
        if "idle" in wanted and (agent.status != "idle" or workload.status == "error"):
            return (
                f"{unit.name}'s agent is {agent.status}{f': {workload.message}' if workload.status == 'error' else ''}"
            )
    return ""
