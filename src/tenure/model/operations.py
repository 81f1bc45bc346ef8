"""What an operator does to a model: deploy, add units, configure; removing is in `removal.py`.

Each is atomic: it happens as a whole or not at all. (Of more than forty units at once the first forty are: then the
rest, forty by forty.) Each may be interrupted, and none happens twice because its answer was lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tenure.defaults import GUARANTEE_S, TTL_S
from tenure.errors import BadInput
from tenure.model import options
from tenure.model.charms import Charm, upload
from tenure.model.layout import Layout
from tenure.model.metadata import Metadata
from tenure.model.placement import place
from tenure.model.plan import UNITS_AT_ONCE, Plan, carry_out, ensure_model
from tenure.model.records import Application, Endpoint, ModelInfo, Relation, Unit, encode
from tenure.model.view import ModelView
from tenure.names import UnitName, check_application
from tenure.office.timing import Timing
from tenure.store.api import Item, Put, Store, Write, absent, created_at, modified_at

DEFAULT_TIMING = Timing(TTL_S, GUARANTEE_S)


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a deployment made."""

    application: str
    units: tuple[UnitName, ...]
    revision: int


async def deploy(
    store: Store,
    layout: Layout,
    charm: Charm,
    *,
    application: str | None = None,
    units: int = 1,
    to: Sequence[str] = (),
    config: Mapping[str, str] | None = None,
    timing: Timing = DEFAULT_TIMING,
) -> Deployed:
    """Make an application of `charm` with so many units, its peer relations included.

    Raises BadInput (name, there is one already, places, lease), NoSuchThing (an option), Unsure's kinds.
    """
    name = check_application(application or charm.metadata.name)
    _check_count(units, least=0)
    _check_lease(store, timing)
    for declared in charm.singletons:
        declared.check(timing, store.traits.least_ttl_s, store.traits.most_ttl_s)
    values = options.parse(charm.metadata.options, config or {})
    first, rest = min(units, UNITS_AT_ONCE), max(0, units - UNITS_AT_ONCE)
    await ensure_model(store, layout)
    archive = charm.digest

    async def make(view: ModelView) -> Plan[tuple[UnitName, ...]]:
        if name in view.applications:
            raise BadInput(
                f'there is an application "{name}" in the model "{layout.model}" already',
                hint=f"give another name: tenure deploy CHARM NAME; or add units to it: tenure add-unit {name}",
            )
        assert view.info is not None
        assert view.info_item is not None
        machines = place(view, units, to)[:first]
        manifest = await upload(store, layout, charm)
        start = view.info.next_units.get(name, 0)
        record = Application(
            charm=archive,
            charm_name=charm.metadata.name,
            config=values,
            options=charm.metadata.options,
            next_unit=start + first,
            endpoints=_endpoints(name, charm.metadata),
            peer_relations={
                end.name: number
                for number, end in enumerate(
                    (end for end in charm.metadata.endpoints if end.role == "peer"), view.info.next_relation
                )
            },
            ttl_s=timing.ttl_s,
            guarantee_s=timing.guarantee_s,
            deposes=charm.deposes,
            singletons={declared.name: declared.singleton for declared in charm.singletons},
        )
        names = tuple(UnitName(name, number) for number in range(start, start + first))
        return Plan(
            names,
            [
                absent(layout.application_info(name)),
                modified_at(layout.info, view.info_item.mod_revision),
                created_at(manifest.key, manifest.create_revision),
            ],
            [
                *_relation_writes(layout, view.info, record),
                # Put again as it is: who removes the last application that has this charm compares its revision.
                Put(manifest.key, manifest.value),
                Put(layout.application_info(name), encode(record)),
                *_unit_writes(layout, names, machines),
            ],
        )

    names, revision = await carry_out(store, layout, make)
    if rest:
        added = await add_units(store, layout, name, rest, to[first:])
        return Deployed(name, (*names, *added), revision)
    return Deployed(name, names, revision)


async def add_units(
    store: Store, layout: Layout, application: str, count: int = 1, to: Sequence[str] = (), *, priority: int = 0
) -> list[UnitName]:
    """Make new units of an application, with numbers that were never used, of this priority when leadership is vacant.

    Raises NoSuchThing, BadInput (it is being removed, places), Unsure's kinds.
    """
    _check_count(count, least=1)
    check_application(application)
    added: list[UnitName] = []
    while len(added) < count:
        part = min(UNITS_AT_ONCE, count - len(added))
        places = to[len(added) : len(added) + part] if len(to) <= count else to
        added.extend(await _add_some(store, layout, application, part, places, priority))
    return added


async def _add_some(
    store: Store, layout: Layout, application: str, count: int, to: Sequence[str], priority: int
) -> tuple[UnitName, ...]:
    def make(view: ModelView) -> Plan[tuple[UnitName, ...]]:
        found = view.application(application)
        if found.info.life != "alive":
            raise BadInput(
                f'the application "{application}" is being removed', hint="deploy it again under another name"
            )
        if not found.info.charm:
            raise BadInput(
                f'the application "{application}" has no charm: its units are programs', hint="start one that joins it"
            )
        start = found.info.next_unit
        names = tuple(UnitName(application, number) for number in range(start, start + count))
        record = msgspec.structs.replace(found.info, next_unit=start + count)
        return Plan(
            names,
            [modified_at(found.info_item.key, found.info_item.mod_revision)],
            [Put(found.info_item.key, encode(record)), *_unit_writes(layout, names, place(view, count, to), priority)],
        )

    return (await carry_out(store, layout, make))[0]


async def configure(
    store: Store,
    layout: Layout,
    application: str,
    values: Mapping[str, str] | None = None,
    reset: Sequence[str] = (),
) -> bool:
    """Set options, and set others back to their defaults. Returns whether anything has changed.

    Raises NoSuchThing (application, option), BadInput (a value that isn't of its option's type), Unsure's kinds.
    """
    check_application(application)

    def make(view: ModelView) -> Plan[bool]:
        found = view.application(application)
        for name in reset:
            options.check_known(found.info.options, name)
        parsed = options.parse(found.info.options, values or {})
        config = {**{name: value for name, value in found.info.config.items() if name not in reset}, **parsed}
        if config == found.info.config:
            return Plan(False)
        record = msgspec.structs.replace(found.info, config=config)
        key: Item = found.info_item
        return Plan(True, [modified_at(key.key, key.mod_revision)], [Put(key.key, encode(record))])

    return (await carry_out(store, layout, make))[0]


def _check_count(count: int, least: int) -> None:
    if not least <= count <= 1000:
        raise BadInput(f"{count} units can't be made at once", hint=f"from {least} to 1000")


def _check_lease(store: Store, timing: Timing) -> None:
    if not store.traits.least_ttl_s <= timing.ttl_s <= store.traits.most_ttl_s:
        raise BadInput(
            f"a lease of {timing.ttl_s} s can't be had from {store.traits.name}",
            hint=f"from {store.traits.least_ttl_s} s to {store.traits.most_ttl_s} s",
        )


def _endpoints(application: str, metadata: Metadata) -> dict[str, Endpoint]:
    return {
        end.name: Endpoint(application=application, name=end.name, role=end.role, interface=end.interface)
        for end in metadata.endpoints
    }


def _relation_writes(layout: Layout, info: ModelInfo, record: Application) -> list[Write]:
    if not record.peer_relations:
        return []
    following = msgspec.structs.replace(info, next_relation=info.next_relation + len(record.peer_relations))
    return [
        Put(layout.info, encode(following)),
        *(
            Put(layout.relation_info(number), encode(Relation(endpoints=(record.endpoints[name],))))
            for name, number in record.peer_relations.items()
        ),
    ]


def _unit_writes(
    layout: Layout, names: Sequence[UnitName], machines: Sequence[str | None], priority: int = 0
) -> list[Write]:
    return [
        Put(layout.unit_info(name), encode(Unit(machine=machine, priority=priority)))
        for name, machine in zip(names, machines, strict=True)
    ]
