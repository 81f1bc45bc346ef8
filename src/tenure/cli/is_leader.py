"""tenure is-leader UNIT: ask whether a unit leads, and for how long surely.

Exits 0: yes; 1: no; 3: it can't be known (its agent is away, or the answer came too late); 2 when there is no such unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tenure.cli import shared, values
from tenure.cli.asking import StoreWay, Through, ask_leader, store_way, through_option
from tenure.cli.output import emit
from tenure.names import UnitName

if TYPE_CHECKING:
    from tenure.model.view import ModelView

_CODES = {"yes": 0, "no": 1, "unknown": 3}

TRIES = 3
"""How often it is asked anew where a yes has come too late to be said."""


@shared.command(prints=True)
@click.argument("unit", type=values.unit, metavar="UNIT")
@click.option("--for", "span", type=values.duration, help="For how long at the least.  [default: the guarantee]")
@through_option
async def command(settings: shared.Settings, unit: UnitName, span: float | None, through: Through | None) -> int:
    """Ask whether a unit leads, and for how long surely.

    A yes is a debt: nobody else leads before the time is over, and no hand-over comes sooner. --for 0s asks the unit's
    own host without running up a debt. The agent of another host is asked through the store: then what is said to be
    left is counted from when it was asked, and a yes is a debt of two seconds more.

    \b
    Examples:
      tenure is-leader web/1 && ./only-the-leader
      tenure is-leader web/1 --for 10s --format json
    """
    from tenure.clock import KernelClock
    from tenure.model.view import read_model
    from tenure.office.timing import Timing

    async with shared.opened(settings) as store:
        view = await read_model(store, settings.layout)
    info = view.application(unit.application).info
    view.unit(unit)
    Timing.for_lease(info.ttl_s, info.guarantee_s).span_ns(span)
    for _ in range(TRIES):
        async with store_way(settings) as way:
            answer = await _ask(view, unit, span, way, through)
        until = answer.pop("print_until", None)
        # As late as can be: since the answer came any time may have passed.
        if answer["verdict"] != "yes" or not until.reached(KernelClock().now()):
            break
    else:
        answer = {"verdict": "unknown", "why": "each answer came too late to be said: is this host overloaded?"}
    verdict = str(answer["verdict"])
    why = answer.pop("why", "")
    emit(settings.format, {"unit": str(unit), **answer}, lambda: _sentence(answer))
    if why:
        shared.note(f"{'error: ' if verdict == 'unknown' else ''}{why}")
    return _CODES[verdict]


async def _ask(
    view: ModelView, unit: UnitName, span: float | None, way: StoreWay, through: Through | None
) -> dict[str, Any]:
    from tenure.errors import Unsure

    holder = view.application(unit.application).office().holder
    if holder is None:
        return {"verdict": "no", "why": f"nobody leads {unit.application}"}
    if holder.unit != str(unit):
        return {"verdict": "no", "why": f"{holder.unit} leads {unit.application}"}
    try:
        return await ask_leader(view, unit, span, way, through)
    except Unsure as error:
        return {"verdict": "unknown", "why": f"can't tell whether {unit} leads: {error.message}"}


def _sentence(answer: dict[str, Any]) -> str:
    verdict = str(answer["verdict"])
    left = answer.get("surely_left_s")
    return f"yes, the lease surely gives {left:.1f} s more" if verdict == "yes" and left is not None else verdict
