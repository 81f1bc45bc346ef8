"""Removing units and applications: first they are dying, then their agents end them, and the last unit takes its application along.

A unit that no agent ever took up is gone at once. By force a unit goes also without its agent, but never before its
session's end: nobody but the holder's own session, or the end of its lease, takes an office away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from tenure.errors import NotLeader
from tenure.model.charms import manifest_item
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.model.plan import UNITS_AT_ONCE, Plan, carry_out
from tenure.model.records import encode
from tenure.model.requests import new_request
from tenure.model.view import ApplicationView, ModelView, UnitView, read_model
from tenure.names import UnitName, check_application
from tenure.store.api import Delete, DeletePrefix, Item, Put, Store, absent, modified_at


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of what was to be removed."""

    gone: tuple[UnitName, ...]
    """No agent had ever taken these up."""
    dying: tuple[UnitName, ...]
    """Their agents end these."""


async def remove_units(store: Store, layout: Layout, units: Sequence[UnitName], *, force: bool = False) -> Removed:
    """Let units die: all of them, or none when one doesn't exist. `force`: their agents end them whatever their hooks do.

    Returns before they are gone: `wait_gone`. Raises NoSuchThing, Unsure's kinds.
    """
    gone: list[UnitName] = []
    dying: list[UnitName] = []
    wanted = list(dict.fromkeys(units))
    view = await read_model(store, layout)
    for name in wanted:
        view.unit(name)
    for start in range(0, len(wanted), UNITS_AT_ONCE):
        some = wanted[start : start + UNITS_AT_ONCE]

        def make(view: ModelView, some: Sequence[UnitName] = some, first: bool = start == 0) -> Plan[Removed]:
            found = [
                view.unit(name) for name in some if first or name.number in view.application(name.application).units
            ]
            return _dying(layout, view, found, force)

        result, _ = await carry_out(store, layout, make)
        gone.extend(result.gone)
        dying.extend(result.dying)
    for application in dict.fromkeys(name.application for name in gone):
        await end_application_if_empty(store, layout, application)
    return Removed(tuple(gone), tuple(dying))


async def remove_application(store: Store, layout: Layout, application: str, *, force: bool = False) -> Removed:
    """Let an application and all its units die. Returns before they are gone. Raises NoSuchThing, Unsure's kinds."""
    check_application(application)

    def make(view: ModelView) -> Plan[tuple[UnitName, ...]]:
        found = view.application(application)
        units = tuple(unit.name for unit in found.units.values())
        if found.info.life == "dying":
            return Plan(units)
        record = msgspec.structs.replace(found.info, life="dying")
        return Plan(
            units,
            [modified_at(found.info_item.key, found.info_item.mod_revision)],
            [Put(found.info_item.key, encode(record))],
        )

    units, _ = await carry_out(store, layout, make)
    gone: list[UnitName] = []
    dying: list[UnitName] = []
    for start in range(0, len(units), UNITS_AT_ONCE):
        numbers = {name.number for name in units[start : start + UNITS_AT_ONCE]}

        def kill(view: ModelView, numbers: set[int] = numbers) -> Plan[Removed]:
            found = view.applications.get(application)
            there = [] if found is None else [unit for number, unit in found.units.items() if number in numbers]
            return _dying(layout, view, there, force)

        result, _ = await carry_out(store, layout, kill)
        gone.extend(result.gone)
        dying.extend(result.dying)
    await end_application_if_empty(store, layout, application)
    return Removed(tuple(gone), tuple(dying))


async def finish_unit(store: Store, layout: Layout, unit: UnitName) -> None:
    """Take a dying unit out of the model, with its databags; with the last one goes an application that is dying.

    For its agent, when all its hooks have run and its terms have ended; it may be done again. Raises NotLeader while the
    unit still holds an office.
    """

    async def make(view: ModelView) -> Plan[None]:
        application = view.applications.get(unit.application)
        found = application.units.get(unit.number) if application is not None else None
        if application is None or found is None:
            return Plan(None)
        return await _finished(store, layout, view, application, found)

    await carry_out(store, layout, make)


async def wait_gone(
    store: Store, layout: Layout, units: Sequence[UnitName], *, force: bool, progress: Callable[[str], None]
) -> None:
    """Return once none of `units` is in the model any more.

    `force`: a unit whose agent is away is ended here, once its session, and with it every term of its, has ended.
    """
    mirror = Mirror(store, layout.prefix)
    await mirror.start()
    try:
        left = set(units)
        said = ""
        async for snapshot in mirror.after(-1):
            view = ModelView(snapshot, layout)
            left = {name for name in left if _is_there(view, name)}
            if not left:
                return
            if force:
                for name in sorted(left):
                    if _agent_is_away(view, view.unit(name)):
                        await _finish_for_absent_agent(store, layout, name)
            if (now := _waits_for(view, sorted(left))) != said:
                progress(said := now)
    finally:
        await mirror.close()


def _dying(layout: Layout, view: ModelView, units: Sequence[UnitView], force: bool) -> Plan[Removed]:
    plan = Plan(Removed((), ()))
    gone: list[UnitName] = []
    dying: list[UnitName] = []
    for unit in units:
        seen = modified_at(unit.info_item.key, unit.info_item.mod_revision)
        machine = unit.info.machine
        if unit.status_item is None and unit.present_item is None and (machine is None or machine not in view.machines):
            gone.append(unit.name)
            plan.when += [seen, absent(layout.unit_present(unit.name)), absent(layout.unit_status(unit.name))]
            plan.then.append(DeletePrefix(layout.unit(unit.name)))
            continue
        dying.append(unit.name)
        if unit.info.life == "alive":
            plan.when.append(seen)
            plan.then.append(Put(unit.info_item.key, encode(msgspec.structs.replace(unit.info, life="dying"))))
        if force and not any(request.kind == "remove" for request in unit.requests.values()):
            plan.when.append(seen)
            plan.then.append(new_request(layout, unit.name, "remove", {"force": True})[1])
    plan.when = list(dict.fromkeys(plan.when))
    plan.result = Removed(tuple(gone), tuple(dying))
    return plan


async def end_application_if_empty(store: Store, layout: Layout, application: str) -> None:
    """Take an application that is dying and has no unit any more out of the model. Raises Unsure's kinds."""

    async def make(view: ModelView) -> Plan[None]:
        found = view.applications.get(application)
        if found is None or found.units or found.info.life != "dying":
            return Plan(None)
        return await _application_gone(store, layout, view, found)

    await carry_out(store, layout, make)


async def _finished(
    store: Store, layout: Layout, view: ModelView, application: ApplicationView, unit: UnitView
) -> Plan[None]:
    if held := _holds(application, unit.name):
        raise NotLeader(f"{unit.name} can't be removed while it holds {application.name}/{held}")
    plan: Plan[None] = Plan(None, [modified_at(unit.info_item.key, unit.info_item.mod_revision)])
    for office in application.offices.values():
        plan.when.append(modified_at(layout.holder(application.name, office.name), office.term or 0))
    if application.info.life == "dying":
        # Of two units that end at the same time each would take the other for the last: the record's revision parts them.
        if len(application.units) == 1:
            gone = await _application_gone(store, layout, view, application)
            return Plan(None, plan.when + gone.when, gone.then)
        plan.when.append(modified_at(application.info_item.key, application.info_item.mod_revision))
        plan.then.append(Put(application.info_item.key, application.info_item.value))
    plan.then.append(DeletePrefix(layout.unit(unit.name)))
    plan.then += [
        Delete(bag.key)
        for relation in view.relations.values()
        if (bag := relation.unit_bag_item(unit.name)) is not None
    ]
    return plan


async def _application_gone(store: Store, layout: Layout, view: ModelView, application: ApplicationView) -> Plan[None]:
    info = view.info
    assert info is not None
    assert view.info_item is not None
    numbers = {**info.next_units, application.name: application.info.next_unit}
    plan: Plan[None] = Plan(
        None,
        [
            modified_at(application.info_item.key, application.info_item.mod_revision),
            modified_at(view.info_item.key, view.info_item.mod_revision),
        ],
        [
            DeletePrefix(layout.application(application.name)),
            Put(view.info_item.key, encode(msgspec.structs.replace(info, next_units=numbers))),
            *(DeletePrefix(layout.relation(number)) for number in application.info.peer_relations.values()),
        ],
    )
    digest = application.info.charm
    if digest and not any(
        other.info.charm == digest for other in view.applications.values() if other.name != application.name
    ):
        manifest: Item | None = await manifest_item(store, layout, digest)
        if manifest is not None:
            plan.when.append(modified_at(manifest.key, manifest.mod_revision))
            plan.then.append(DeletePrefix(layout.charm(digest)))
    return plan


async def _finish_for_absent_agent(store: Store, layout: Layout, unit: UnitName) -> None:
    async def make(view: ModelView) -> Plan[None]:
        if not _is_there(view, unit) or not _agent_is_away(view, found := view.unit(unit)):
            return Plan(None)
        plan = await _finished(store, layout, view, view.application(unit.application), found)
        plan.when.append(absent(layout.unit_present(unit)))
        if found.info.machine is not None:
            plan.when.append(absent(layout.machine(found.info.machine)))
        return plan

    await carry_out(store, layout, make)


def _is_there(view: ModelView, unit: UnitName) -> bool:
    application = view.applications.get(unit.application)
    return application is not None and unit.number in application.units


def _holds(application: ApplicationView, unit: UnitName) -> str | None:
    for office in application.offices.values():
        if office.holder is not None and office.holder.unit == str(unit):
            return office.name
    return None


def _agent_is_away(view: ModelView, unit: UnitView) -> bool:
    return (
        unit.info.life == "dying"
        and unit.info.machine not in view.machines
        and unit.present_item is None
        and _holds(view.application(unit.name.application), unit.name) is None
    )


def _waits_for(view: ModelView, left: Sequence[UnitName]) -> str:
    unit = view.unit(left[0])
    more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
    machine = unit.info.machine
    if machine in view.machines:
        return f"{unit.name}{more}: its agent on {machine} ends it"
    if (office := _holds(view.application(unit.name.application), unit.name)) or unit.present_item is not None:
        return f"{unit.name}{more}: waiting for its lease to end{f', for it holds {office}' if office else ''}"
    return f"{unit.name}{more}: waiting for the agent of {machine}, which is away"
