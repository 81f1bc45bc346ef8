"""tenure drain MACHINE: have every office leave a machine, before its host is rebooted.

Prints what has left, and where it is now. Exits 0 once the machine holds nothing; 1 when it is undrained meanwhile; 2 when there is no such machine; 3;
124 when --timeout has passed: the machine stays drained, and what is named is held there yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from tenure.cli import shared, values
from tenure.cli.output import emit, table
from tenure.names import LEADER_OFFICE

if TYPE_CHECKING:
    from tenure.model.application import ApplicationView, OfficeState
    from tenure.model.view import ModelView


@dataclass(frozen=True, slots=True)
class Held:
    """An office that is held on the machine, or on its host."""

    office: str
    holder: str
    ttl_s: int
    why: str
    """What its leaving waits for."""


@shared.command(prints=True)
@click.argument("machine", metavar="MACHINE")
@click.option("--timeout", type=values.duration, help="How long at most.  [default: twice the longest lease]")
@click.option("--reason", default="", help="Shown by status and explain.")
async def command(settings: shared.Settings, machine: str, timeout: float | None, reason: str) -> None:
    """Have every office leave a machine, before its host is rebooted.

    Leadership and singletons go to units of other machines, once all that was promised for them has run out; what
    nobody else can take becomes vacant. What `tenure hold` and programs hold on that host is given up, too. Hooks run on, but until
    `tenure undrain` none of the machine's units is elected, and no new unit is placed there.

    \b
    Examples:
      tenure drain m0 && ssh m0 reboot
      tenure drain m0 --timeout 1m --reason "new kernel"
    """
    from tenure.errors import No, TimedOut
    from tenure.model.upkeep import check_known, drain
    from tenure.model.view import ModelView

    def missing(left: dict[str, Held]) -> str:
        held = "; ".join(f"{one.holder} holds {one.office} yet" for one in left.values())
        return held or f"not all candidates of {machine} have stepped back"

    left: dict[str, Held] = {}
    came: dict[str, Held] = {}
    shown = False
    async with shared.mirrored(settings) as (store, mirror):
        view = ModelView(mirror.current, settings.layout)
        check_known(view, machine)
        ttls = [view.application(unit.name.application).info.ttl_s for unit in view.units_on(machine)]
        ttls += [one.ttl_s for one in held_on(view, machine).values()]
        if not await drain(store, settings.layout, machine, reason):
            shared.note(f"{machine} is drained already")
        try:
            async with shared.limited(
                2.0 * max(ttls, default=5) if timeout is None else timeout, lambda: missing(left)
            ):
                async for snapshot in mirror.after(-1):
                    view = ModelView(snapshot, settings.layout)
                    if machine not in view.drained:
                        if shown:
                            raise No(f"{machine} was undrained meanwhile")
                        continue  # the mirror is older than the drain
                    shown = True
                    before, left = left, held_on(view, machine)
                    came |= left
                    _tell(view, before, left)
                    # A candidate that hasn't stepped back could have a claim under way.
                    if not left and not _stands(view, machine):
                        break
        except TimedOut as error:
            raise TimedOut(
                error.message, hint=f"{machine} stays drained: tenure explain APP; tenure undrain {machine}"
            ) from None
    moved = [{"office": name, "from": one.holder, "to": _holder(view, name)} for name, one in came.items()]
    emit(
        settings.format,
        {"machine": machine, "offices": moved},
        lambda: (
            table(
                ["Office", "From", "To"],
                [[str(one["office"]), str(one["from"]), str(one["to"] or "nobody")] for one in moved],
            )
            if moved
            else f"{machine} holds nothing"
        ),
    )


def held_on(view: ModelView, machine: str) -> dict[str, Held]:
    """What is held on the machine, and without an application on its host, by the office's name."""
    found: dict[str, Held] = {}
    agent, places = view.machines.get(machine), _places(view, machine)
    for application in view.applications.values():
        for office in application.offices.values():
            if office.holder is not None and _is_program(application, office) and office.holder.machine in places:
                name = f"{application.name}/{office.name}"
                found[name] = Held(name, office.holder.unit, application.info.ttl_s, "once nothing is owed")
            elif office.holder is not None and office.holder.machine == machine:
                name = f"{application.name}/{office.name}"
                why = "once nothing is owed" if agent is not None else "its agent is away: when its lease has run out"
                found[name] = Held(name, office.holder.unit, _ttl_s(office, application.info.ttl_s), why)
    for name, free in view.offices.items():
        holder = free.state.holder
        if holder is not None and holder.machine in places:
            found[name] = Held(
                name, holder.unit, _ttl_s(free.state, 0), "once nothing is owed, and what it runs has ended"
            )
    return found


def _places(view: ModelView, machine: str) -> set[str]:
    """What candidates that are no agents' may call the machine: by its name, or by its host's."""
    known = view.machines.get(machine) or view.drained.get(machine)
    return {machine, known.host} if known is not None and known.host else {machine}


def _stands(view: ModelView, machine: str) -> bool:
    """Whether anybody on the machine is a candidate yet."""
    places = tuple(f"{place}/" for place in _places(view, machine))
    if any(name.startswith(places) for free in view.offices.values() for name in free.candidates):
        return True
    for unit in view.units_on(machine):
        application = view.application(unit.name.application)
        offices = {LEADER_OFFICE: application.office(), **application.offices}
        if any(str(unit.name) in application.candidates_for(office) for office in offices.values()):
            return True
    return False


def _is_program(application: ApplicationView, office: OfficeState) -> bool:
    holder = office.holder
    return holder is not None and any(
        str(unit.name) == holder.unit and unit.info.program for unit in application.units.values()
    )


def _ttl_s(office: OfficeState, otherwise: int) -> int:
    return office.last.ttl_s if office.last is not None and office.last.ttl_s else otherwise


def _tell(view: ModelView, before: dict[str, Held], left: dict[str, Held]) -> None:
    for name, one in left.items():
        if name not in before:
            shared.progress(f"{name}: {one.holder} gives it up, {one.why}")
    for name in before:
        if name not in left:
            shared.progress(f"{name}: {_holder(view, name) or 'nobody'} holds it now")


def _holder(view: ModelView, name: str) -> str | None:
    application, _, office = name.partition("/")
    if office:
        found = view.applications.get(application)
        holder = found.office(office).holder if found is not None else None
    else:
        holder = view.offices[name].state.holder if name in view.offices else None
    return None if holder is None else holder.unit
