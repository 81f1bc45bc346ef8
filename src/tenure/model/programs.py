"""Units that are programs: no charm, no machine's agent; a program speaks for its own unit.

A program's unit is in the model for as long as the program keeps its session: its record, its databag and its status are
put with the session's lease, and go with it. Its number is never used by another one. An application that nobody has
deployed is made by the first program that joins it; it has no charm, one peer relation, and stays when all have left.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from tenure.errors import BadInput
from tenure.model.layout import Layout
from tenure.model.plan import Plan, carry_out, ensure_model
from tenure.model.records import Application, Endpoint, Relation, encode
from tenure.model.view import ModelView
from tenure.names import UnitName, check_application
from tenure.office.timing import Timing
from tenure.store.api import Put, Store, Write, absent, modified_at

PEERS = "peers"
"""The peer relation of an application that programs have made."""

PROGRAM = "program"
"""What such an application shows for its charm's name and origin."""


@dataclass(frozen=True, slots=True)
class Place:
    """A number in an application that is the caller's alone."""

    unit: UnitName
    timing: Timing
    """The application's, whatever was asked for: all of its units have leases of one length."""
    peer_relations: dict[str, int]
    """Endpoint -> the relation's number."""


async def take_place(store: Store, layout: Layout, application: str, timing: Timing) -> Place:
    """A number that no unit of `application` has ever had; the application is made, with this timing, if there is none.

    Raises BadInput (the name, an application that is being removed), Unsure's kinds.
    """
    check_application(application)
    await ensure_model(store, layout)
    return (await carry_out(store, layout, lambda view: _plan(layout, view, application, timing)))[0]


def _plan(layout: Layout, view: ModelView, application: str, timing: Timing) -> Plan[Place]:
    found = view.applications.get(application)
    if found is None:
        return _made(layout, view, application, timing)
    info = found.info
    if info.life != "alive":
        raise BadInput(
            f'the application "{application}" is being removed', hint="join it when it is gone, or join another"
        )
    record = msgspec.structs.replace(info, next_unit=info.next_unit + 1)
    return Plan(
        Place(UnitName(application, info.next_unit), Timing(info.ttl_s, info.guarantee_s), dict(info.peer_relations)),
        [modified_at(found.info_item.key, found.info_item.mod_revision)],
        [Put(found.info_item.key, encode(record))],
    )


def _made(layout: Layout, view: ModelView, application: str, timing: Timing) -> Plan[Place]:
    model = view.info
    assert model is not None
    assert view.info_item is not None
    number, relation = model.next_units.get(application, 0), model.next_relation
    end = Endpoint(application=application, name=PEERS, role="peer", interface="tenure-peers")
    record = Application(
        charm="",
        charm_name=PROGRAM,
        origin=PROGRAM,
        next_unit=number + 1,
        endpoints={PEERS: end},
        peer_relations={PEERS: relation},
        ttl_s=timing.ttl_s,
        guarantee_s=timing.guarantee_s,
    )
    then: list[Write] = [
        Put(layout.application_info(application), encode(record)),
        Put(layout.relation_info(relation), encode(Relation(endpoints=(end,)))),
        Put(layout.info, encode(msgspec.structs.replace(model, next_relation=relation + 1))),
    ]
    return Plan(
        Place(UnitName(application, number), timing, {PEERS: relation}),
        [absent(layout.application_info(application)), modified_at(layout.info, view.info_item.mod_revision)],
        then,
    )
