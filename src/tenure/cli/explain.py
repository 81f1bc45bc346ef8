"""tenure explain APP: say why each unit leads or doesn't, and what it does.

Exits 0; 2 when there is no such application; 3 when the store can't be reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tenure.cli import shared, values
from tenure.cli.output import emit, table

if TYPE_CHECKING:
    from tenure.model.view import ModelView
    from tenure.names import UnitName


@shared.command(prints=True)
@click.argument("application", type=values.application, metavar="APP")
async def command(settings: shared.Settings, application: str) -> None:
    """Say why each unit leads or doesn't, and what it does.

    Only a unit's own agent knows: of units of other hosts, or whose agents are away, it says so.

    \b
    Examples:
      tenure explain web
      tenure explain web --format json
    """
    import asyncio

    from tenure.model.view import read_model

    async with shared.opened(settings) as store:
        view = await read_model(store, settings.layout)
    units = [unit.name for unit in view.application(application).units.values()]
    answers = await asyncio.gather(*(_ask(view, unit) for unit in units))
    document = {str(unit): answer for unit, answer in zip(units, answers, strict=True)}
    emit(settings.format, {"application": application, "units": document}, lambda: _tabular(document))


async def _ask(view: ModelView, unit: UnitName) -> dict[str, Any]:
    from tenure.cli.asking import ask_agent
    from tenure.errors import Unsure

    try:
        return await ask_agent(view, unit, "explain")
    except Unsure as error:
        return {"unknown": error.message}


def _tabular(document: dict[str, dict[str, Any]]) -> str:
    rows: list[list[str]] = []
    for unit, answer in document.items():
        if "unknown" in answer:
            rows.append([unit, "unknown", "-", "-", "-", "-", answer["unknown"]])
            continue
        candidacy = answer["candidacy"]
        rows.append(
            [
                unit,
                str(candidacy["state"]),
                str(candidacy["term"] or "-"),
                f"{candidacy['surely_left_s']:.1f} s",
                f"{candidacy['owed_s']:.1f} s",
                _doing(answer),
                str(candidacy["because"] or ""),
            ]
        )
    return table(["Unit", "Candidacy", "Term", "Lease", "Owes", "Does", "Because"], rows)


def _doing(answer: dict[str, Any]) -> str:
    """What the unit's agent does now, or will do next."""
    following = answer.get("next") or {}
    if answer.get("running"):
        return f"runs {following.get('hook') or 'a hook'}"
    if "does" in following:
        return f"{following['does']} {following['hook']}"
    if "waits" in following:
        hook = f" after {following['hook']}" if following.get("hook") else ""
        return f"waits for {following['waits']}{hook}"
    return "leaves" if following.get("leaves") else "nothing"
