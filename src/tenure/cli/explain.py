"""tenure explain APP: say why each office is held by whom, what is owed and waited for, and what each unit does.

Prints sentences and a table. Exits 0; 2 when there is no such application; 3 when the store can't be reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tenure.cli import shared, values
from tenure.cli.asking import StoreWay, Through, ask_agent, store_way, through_option
from tenure.cli.output import emit, one_line, table

if TYPE_CHECKING:
    from tenure.model.application import ApplicationView
    from tenure.model.view import ModelView
    from tenure.names import UnitName


@shared.command(prints=True)
@click.argument("application", type=values.application, metavar="APP")
@through_option
async def command(settings: shared.Settings, application: str, through: Through | None) -> None:
    """Say why each unit leads or doesn't, and what it does.

    Of leadership, and of the office of each singleton: why that unit holds it, why the last one lost it, why each other
    doesn't, what is owed until when, what is waited for, and for how long the store may be silent. Only a unit's own
    agent knows some of it: that of another host is asked through the store; of one that is away it says so.

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
    async with store_way(settings) as way:
        answers = await asyncio.gather(*(_ask(view, unit, way, through) for unit in units))
    document = _document(view, application, {str(unit): answer for unit, answer in zip(units, answers, strict=True)})
    emit(settings.format, document, lambda: _tabular(document))


async def _ask(view: ModelView, unit: UnitName, way: StoreWay, through: Through | None) -> dict[str, Any]:
    from tenure.errors import Unsure

    try:
        return await ask_agent(view, unit, "explain", way, through)
    except Unsure as error:
        return {"unknown": error.message}


def _document(view: ModelView, name: str, units: dict[str, dict[str, Any]]) -> dict[str, Any]:
    from tenure.model.reasons import outage, outage_sentence, sentences
    from tenure.names import LEADER_OFFICE

    application = view.application(name)
    info = application.info
    named = {LEADER_OFFICE: info.timing, **{one.office: one.timing(info.timing) for one in info.singletons.values()}}
    offices: dict[str, Any] = {}
    for office, timing in named.items():
        state = application.office(office)
        said = sentences(view, application, state, timing, _candidacies(application, office, units))
        offices[office] = {
            "holder": state.holder.unit if state.holder is not None else None,
            "term": state.term,
            "sentences": [*said, outage_sentence(timing)],
            "outage": outage(timing),
        }
    return {"application": name, "paused": application.paused is not None, "offices": offices, "units": units}


def _candidacies(
    application: ApplicationView, office: str, units: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    from tenure.names import LEADER_OFFICE

    singleton = next((name for name, one in application.info.singletons.items() if one.office == office), "")
    found: dict[str, dict[str, Any]] = {}
    for unit, answer in units.items():
        if "unknown" in answer:
            found[unit] = answer
        elif office == LEADER_OFFICE:
            found[unit] = answer["candidacy"]
        elif singleton in answer.get("singletons", {}):
            found[unit] = answer["singletons"][singleton]
    return found


def _tabular(document: dict[str, Any]) -> str:
    parts = [
        "\n".join([f"{document['application']}/{office}:", *(f"  {one_line(text)}" for text in found["sentences"])])
        for office, found in document["offices"].items()
    ]
    return "\n\n".join([*parts, _units(document["units"])])


def _units(units: dict[str, dict[str, Any]]) -> str:
    rows: list[list[str]] = []
    for unit, answer in units.items():
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
