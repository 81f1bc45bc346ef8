"""tenure transfer UNIT: hand leadership over to a unit.

Exits 0 once it leads; 1 when it can't be handed over (nothing has changed); 2 when there is no such unit; 3; 124.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tenure.cli import shared, values
from tenure.cli.offices import find_office, office_option
from tenure.names import LEADER_OFFICE, UnitName

if TYPE_CHECKING:
    from tenure.model.application import ApplicationView
    from tenure.model.mirror import Mirror


@shared.command()
@click.argument("unit", type=values.unit, metavar="UNIT")
@click.option("--now", is_flag=True, help="Don't wait until what is-leader has promised has run out; history tells.")
@click.option("--timeout", type=values.duration, help="How long at most.  [default: twice the lease]")
@office_option
async def command(settings: shared.Settings, unit: UnitName, now: bool, timeout: float | None, office: str) -> None:
    """Hand leadership, or another office, over to a unit.

    The holder stops leading, waits until each is-leader that it has answered with True has run out, and hands over
    without a gap. To a unit that isn't present nothing is handed over.

    \b
    Examples:
      tenure transfer web/2
      tenure transfer web/2 --now
      tenure transfer web/2 --office cron
    """
    from tenure.errors import No, TimedOut, Vacant
    from tenure.model import requests
    from tenure.model.view import ModelView

    layout = settings.layout
    async with shared.mirrored(settings) as (store, mirror):
        view = ModelView(mirror.current, layout)
        application, target = view.application(unit.application), view.unit(unit)
        found = find_office(view, unit.application, office)
        what, leads = _words(unit.application, office)
        before = None if found.holder is None else found.holder.unit
        if before == str(unit):
            shared.note(f"{unit} {leads} already")
            return
        if before is None:
            raise Vacant(f"nobody {leads} {what}, so nothing can be handed over", hint="tenure status")
        if str(unit) not in application.office_view(unit, 0, office).candidates or target.info.life == "dying":
            raise No(f"{unit} is not present: nothing has changed", hint="tenure status")
        shared.progress(f"{before} hands over to {unit}")
        asked = await requests.ask(store, view, unit, "transfer", {"now": now, "office": office})
        limit_s = 2.0 * _ttl_s(application, office) if timeout is None else timeout
        try:
            async with shared.limited(limit_s, f"{unit} {leads} {what}"):
                await _outcome(mirror, settings, before, unit, asked, office)
        except TimedOut as error:
            raise TimedOut(error.message, hint="the request is withdrawn; tenure leader tells who leads") from None
        finally:
            await requests.withdraw(store, layout, unit, asked)


def _words(application: str, office: str) -> tuple[str, str]:
    """What is held, and the verb."""
    return (application, "leads") if office == LEADER_OFFICE else (f"{application}/{office}", "holds")


def _ttl_s(application: ApplicationView, office: str) -> int:
    timing = application.info.timing
    singletons = application.info.singletons.values()
    return next((one.timing(timing).ttl_s for one in singletons if one.office == office), timing.ttl_s)


async def _outcome(
    mirror: Mirror, settings: shared.Settings, before: str, unit: UnitName, asked: str, office: str
) -> None:
    """Return once `unit` holds the office. Raises No when it won't."""
    from tenure.errors import No
    from tenure.model.view import ModelView

    what, leads = _words(unit.application, office)
    shown = False
    async for snapshot in mirror.after(-1):
        application = ModelView(snapshot, settings.layout).application(unit.application)
        state = application.office(office)
        holder = None if state.holder is None else state.holder.unit
        if holder == str(unit):
            return
        target = application.units.get(unit.number)
        request = None if target is None else target.requests.get(asked)
        if request is None and target is not None and not shown:
            continue  # the mirror is older than the request
        shown = True
        if request is None:
            raise No(f"{unit} is gone; {holder or 'nobody'} {leads} {what}")
        if request.state == "refused":
            raise No(f"{before} has not handed over: {request.answer or 'it could not'}")
        if holder not in (None, before):
            raise No(f"{holder} {leads} {what} meanwhile; {unit} was not handed it")
