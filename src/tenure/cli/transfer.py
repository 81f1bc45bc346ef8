"""tenure transfer UNIT: hand leadership over to a unit.

Exits 0 once it leads; 1 when it can't be handed over (nothing has changed); 2 when there is no such unit; 3; 124.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tenure.cli import shared, values
from tenure.names import UnitName

if TYPE_CHECKING:
    from tenure.model.application import ApplicationView
    from tenure.model.mirror import Mirror


@shared.command()
@click.argument("unit", type=values.unit, metavar="UNIT")
@click.option("--now", is_flag=True, help="Don't wait until what is-leader has promised has run out; history tells.")
@click.option("--timeout", type=values.duration, help="How long at most.  [default: twice the lease]")
async def command(settings: shared.Settings, unit: UnitName, now: bool, timeout: float | None) -> None:
    """Hand leadership over to a unit.

    The holder stops leading, waits until each is-leader that it has answered with True has run out, and hands over
    without a gap. To a unit that isn't present nothing is handed over.

    \b
    Examples:
      tenure transfer web/2
      tenure transfer web/2 --now
    """
    from tenure.errors import No, TimedOut, Vacant
    from tenure.model import requests
    from tenure.model.view import ModelView

    layout = settings.layout
    async with shared.mirrored(settings) as (store, mirror):
        view = ModelView(mirror.current, layout)
        application, target = view.application(unit.application), view.unit(unit)
        if application.leader == unit:
            shared.note(f"{unit} leads already")
            return
        if application.leader is None:
            raise Vacant(f"nobody leads {unit.application}, so nothing can be handed over", hint="tenure status")
        if target.present_item is None or target.info.life == "dying":
            raise No(f"{unit} is not present: nothing has changed", hint="tenure status")
        shared.progress(f"{application.leader} hands over to {unit}")
        asked = await requests.ask(store, view, unit, "transfer", {"now": now})
        limit_s = 2.0 * application.info.ttl_s if timeout is None else timeout
        try:
            async with shared.limited(limit_s, f"{unit} leading {unit.application}"):
                await _outcome(mirror, settings, application, unit, asked)
        except TimedOut as error:
            raise TimedOut(error.message, hint="the request is withdrawn; tenure leader tells who leads") from None
        finally:
            await requests.withdraw(store, layout, unit, asked)


async def _outcome(
    mirror: Mirror, settings: shared.Settings, before: ApplicationView, unit: UnitName, asked: str
) -> None:
    """Return once `unit` leads. Raises No, Vacant when it won't."""
    from tenure.errors import No
    from tenure.model.view import ModelView

    shown = False
    async for snapshot in mirror.after(-1):
        application = ModelView(snapshot, settings.layout).application(unit.application)
        if application.leader == unit:
            return
        target = application.units.get(unit.number)
        request = None if target is None else target.requests.get(asked)
        if request is None and target is not None and not shown:
            continue  # the mirror is older than the request
        shown = True
        if request is None:
            raise No(f"{unit} is gone; {application.leader or 'nobody'} leads {unit.application}")
        if request.state == "refused":
            raise No(f"{before.leader} has not handed over: {request.answer or 'it could not'}")
        if application.leader not in (None, before.leader):
            raise No(f"{application.leader} leads {unit.application} meanwhile; {unit} was not handed it")
