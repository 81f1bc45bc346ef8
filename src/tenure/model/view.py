"""What a snapshot of a model says, typed: applications, units, machines, offices, requests, relations.

Everything is decoded when it is first asked for, and once for each revision of its key: looking at a model of a hundred
units again after one of them has changed decodes that one. What lacks its own record (a key that a late write left
behind) isn't there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from tenure.errors import NoSuchThing
from tenure.model.application import ApplicationView, OfficeState, UnitView
from tenure.model.layout import Layout
from tenure.model.offices import FreeOffice, free_offices
from tenure.model.records import Databag, Drained, Machine, ModelInfo, Relation
from tenure.model.snapshot import MirrorSnapshot, Segment
from tenure.names import UnitName
from tenure.store.api import Item, Store

__all__ = ["ApplicationView", "ModelView", "OfficeState", "RelationView", "UnitView", "read_model"]


class RelationView:
    """A relation, its databags and who is in its scope."""

    def __init__(self, number: int, snapshot: MirrorSnapshot, layout: Layout, segment: Segment) -> None:
        self.number = number
        self._snapshot, self._layout, self._segment = snapshot, layout, segment
        self.info_item = segment.items[layout.relation_info(number)]

    @cached_property
    def info(self) -> Relation:
        """The relation's record."""
        return self._snapshot.decoded.record(Relation, self.info_item)

    def application_bag_item(self, application: str) -> Item | None:
        """The key of an application's databag."""
        return self._segment.items.get(self._layout.application_bag(self.number, application))

    def unit_bag_item(self, unit: UnitName) -> Item | None:
        """The key of a unit's databag; that it exists says that the unit is in the relation's scope."""
        return self._segment.items.get(self._layout.unit_bag(self.number, unit))

    def application_bag(self, application: str) -> Mapping[str, str]:
        """What an application says; empty before it has said anything."""
        item = self.application_bag_item(application)
        return {} if item is None else self._snapshot.decoded.record(Databag, item).values

    def unit_bag(self, unit: UnitName) -> Mapping[str, str] | None:
        """What a unit says; None when it isn't in scope."""
        item = self.unit_bag_item(unit)
        return None if item is None else self._snapshot.decoded.record(Databag, item).values

    def members(self, application: str) -> list[UnitName]:
        """The units of an application that are in scope, by number."""
        prefix = self._layout.unit_bags(self.number, application)
        numbers = (item.key[len(prefix) :] for item in self._segment.under(prefix))
        return sorted(UnitName(application, int(number)) for number in numbers if number.isdigit())


class ModelView:
    """A model at one revision."""

    def __init__(self, snapshot: MirrorSnapshot, layout: Layout) -> None:
        self.snapshot = snapshot
        self.layout = layout

    @property
    def revision(self) -> int:
        """The snapshot's."""
        return self.snapshot.revision

    @cached_property
    def info_item(self) -> Item | None:
        """The key of the model's own record; None in a model that nobody has made yet."""
        return self.snapshot.get(self.layout.info)

    @cached_property
    def info(self) -> ModelInfo | None:
        """The model's own record."""
        return None if self.info_item is None else self.snapshot.decoded.record(ModelInfo, self.info_item)

    @property
    def commit_ids(self) -> list[Item]:
        """The ids of operators' commits that are kept."""
        return self.snapshot.under(self.layout.commit_ids)

    @cached_property
    def machines(self) -> Mapping[str, Machine]:
        """The machines whose agents keep their sessions, by name."""
        prefix = self.layout.machines
        return {
            item.key[len(prefix) :]: self.snapshot.decoded.record(Machine, item) for item in self.snapshot.under(prefix)
        }

    @cached_property
    def drained(self) -> Mapping[str, Drained]:
        """The machines that every office is to leave, by name."""
        prefix = self.layout.drains
        return {
            item.key[len(prefix) :]: self.snapshot.decoded.record(Drained, item) for item in self.snapshot.under(prefix)
        }

    @cached_property
    def offices(self) -> Mapping[str, FreeOffice]:
        """The offices that belong to no application, by name."""
        return free_offices(self.snapshot, self.layout)

    @cached_property
    def applications(self) -> Mapping[str, ApplicationView]:
        """The applications, by name."""
        found: dict[str, ApplicationView] = {}
        for name, segment in self.snapshot.segments(self.layout.applications):
            if self.layout.application_info(name) in segment.items:
                found[name] = self._application(name, segment)
        return found

    @cached_property
    def relations(self) -> Mapping[int, RelationView]:
        """The relations, by number."""
        found: dict[int, RelationView] = {}
        for name, segment in self.snapshot.segments(self.layout.relations):
            if name.isdigit() and self.layout.relation_info(int(name)) in segment.items:
                found[int(name)] = RelationView(int(name), self.snapshot, self.layout, segment)
        return dict(sorted(found.items()))

    def application(self, name: str) -> ApplicationView:
        """The application of this name. Raises NoSuchThing."""
        segment = self.snapshot.segment(self.layout.application(name))
        if segment is None or self.layout.application_info(name) not in segment.items:
            raise NoSuchThing(
                f'there is no application "{name}" in the model "{self.layout.model}"',
                hint=_there_are("applications", self.applications),
            )
        return self._application(name, segment)

    def unit(self, name: UnitName) -> UnitView:
        """The unit of this name. Raises NoSuchThing."""
        application = self.application(name.application)
        unit = application.units.get(name.number)
        if unit is None:
            raise NoSuchThing(
                f'there is no unit "{name}" in the model "{self.layout.model}"',
                hint=_there_are("units", [str(unit.name) for unit in application.units.values()]),
            )
        return unit

    def units_on(self, machine: str) -> list[UnitView]:
        """The units that a machine's agent runs, by name."""
        return [
            unit
            for application in self.applications.values()
            for unit in application.units.values()
            if unit.info.machine == machine
        ]

    def peer_relations(self, application: str) -> Mapping[str, RelationView]:
        """An application's peer relations, by endpoint."""
        numbers = self.application(application).info.peer_relations
        return {name: self.relations[number] for name, number in numbers.items() if number in self.relations}

    def _application(self, name: str, segment: Segment) -> ApplicationView:
        return segment.memo("application", lambda: ApplicationView(name, self.layout, segment, self.snapshot.decoded))


async def read_model(store: Store, layout: Layout) -> ModelView:
    """The model as it stands in the store now. For commands that look once; whoever looks on keeps a mirror."""
    read = await store.read(layout.prefix)
    return ModelView(MirrorSnapshot.of(layout.prefix, read.revision, read.items), layout)


def _there_are(kind: str, names: Mapping[str, object] | list[str]) -> str:
    shown = list(names)[:10]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"the {kind}: {', '.join(shown)}{more}" if shown else f"there are no {kind} yet"
