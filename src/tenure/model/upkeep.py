"""What an operator does to look after a model: priorities, pauses, drained machines.

Each is one key's change, done or refused as a whole; saying it again changes nothing.
"""

from __future__ import annotations

import msgspec

from tenure.errors import BadInput, NoSuchThing
from tenure.model.layout import Layout
from tenure.model.plan import Plan, carry_out
from tenure.model.records import Drained, Paused, encode
from tenure.model.view import ModelView
from tenure.model.walltime import now_text
from tenure.names import UnitName, check_machine, check_office
from tenure.store.api import Delete, Put, Store, created_at, modified_at

PRIORITY_MOST = 1_000_000


async def set_priority(store: Store, layout: Layout, unit: UnitName, priority: int) -> bool:
    """Have the unit stand in line by this priority: the greatest comes first when leadership is vacant.

    Takes the office from nobody. Returns whether it was another. Raises NoSuchThing, BadInput, Unsure's kinds.
    """
    if abs(priority) > PRIORITY_MOST:
        raise BadInput(f"a priority of {priority} is none", hint=f"from -{PRIORITY_MOST} to {PRIORITY_MOST}")

    def make(view: ModelView) -> Plan[bool]:
        found = view.unit(unit)
        if found.info.program:
            raise BadInput(f"{unit} is a program's: it has no priority")
        if found.info.priority == priority:
            return Plan(False)
        item = found.info_item
        record = msgspec.structs.replace(found.info, priority=priority)
        return Plan(True, [modified_at(item.key, item.mod_revision)], [Put(item.key, encode(record))])

    return (await carry_out(store, layout, make))[0]


async def pause(store: Store, layout: Layout, application: str, reason: str = "") -> bool:
    """Have nobody claim an office of the application until `resume`. Who holds one holds it on.

    Promises: no claim lands after this has returned. Returns whether it wasn't paused. Raises NoSuchThing, Unsure's kinds.
    """

    def make(view: ModelView) -> Plan[bool]:
        found = view.application(application)
        if found.paused_item is not None:
            return Plan(False)
        record = Paused(since=now_text(), reason=reason)
        alive = created_at(found.info_item.key, found.info_item.create_revision)
        return Plan(True, [alive], [Put(layout.paused(application), encode(record))])

    return (await carry_out(store, layout, make))[0]


async def resume(store: Store, layout: Layout, application: str) -> bool:
    """Let the application's offices be claimed again. Returns whether it was paused. Raises NoSuchThing, Unsure's kinds."""

    def make(view: ModelView) -> Plan[bool]:
        item = view.application(application).paused_item
        if item is None:
            return Plan(False)
        return Plan(True, [modified_at(item.key, item.mod_revision)], [Delete(item.key)])

    return (await carry_out(store, layout, make))[0]


async def pause_office(store: Store, layout: Layout, office: str, reason: str = "") -> bool:
    """As `pause`, of an office that belongs to no application, whether anybody has ever held it or not."""
    key = layout.free_paused(check_office(office))

    def make(view: ModelView) -> Plan[bool]:
        if view.snapshot.get(key) is not None:
            return Plan(False)
        return Plan(True, [], [Put(key, encode(Paused(since=now_text(), reason=reason)))])

    return (await carry_out(store, layout, make))[0]


async def resume_office(store: Store, layout: Layout, office: str) -> bool:
    """As `resume`, of an office that belongs to no application. Raises NoSuchThing when there is none of this name."""
    check_office(office)

    def make(view: ModelView) -> Plan[bool]:
        if office not in view.offices:
            raise NoSuchThing(f'there is no office "{office}" in the model "{layout.model}"')
        item = view.snapshot.get(layout.free_paused(office))
        if item is None:
            return Plan(False)
        return Plan(True, [modified_at(item.key, item.mod_revision)], [Delete(item.key)])

    return (await carry_out(store, layout, make))[0]


async def drain(store: Store, layout: Layout, machine: str, reason: str = "") -> bool:
    """Have every office leave the machine, and none come to it, until `undrain`. Returns whether it wasn't drained.

    Returns before they have left: its agent hands them over. Raises NoSuchThing, Unsure's kinds.
    """

    def make(view: ModelView) -> Plan[bool]:
        check_known(view, machine)
        if machine in view.drained:
            return Plan(False)
        host = view.machines[machine].host if machine in view.machines else ""
        return Plan(
            True, [], [Put(layout.drained(machine), encode(Drained(since=now_text(), host=host, reason=reason)))]
        )

    return (await carry_out(store, layout, make))[0]


async def undrain(store: Store, layout: Layout, machine: str) -> bool:
    """Let the machine's units be candidates again. Returns whether it was drained. Raises NoSuchThing, Unsure's kinds."""

    def make(view: ModelView) -> Plan[bool]:
        check_known(view, machine)
        item = view.snapshot.get(layout.drained(machine))
        if item is None:
            return Plan(False)
        return Plan(True, [modified_at(item.key, item.mod_revision)], [Delete(item.key)])

    return (await carry_out(store, layout, make))[0]


def check_known(view: ModelView, machine: str) -> None:
    """Raises NoSuchThing, naming those that there are, for a machine without an agent, a unit or a drain; BadInput."""
    check_machine(machine)
    if machine not in view.machines and machine not in view.drained and not view.units_on(machine):
        known = sorted({*view.machines, *view.drained})
        raise NoSuchThing(
            f'there is no machine "{machine}" in the model "{view.layout.model}"',
            hint=f"the machines: {', '.join(known)}" if known else "no agent is up: tenure agent --machine NAME",
        )
