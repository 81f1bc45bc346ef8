"""An application at one revision, with its units and offices; the same object for as long as none of its keys changes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from tenure.model.layout import Layout
from tenure.model.records import Application, ApplicationStatus, Paused, Request, Settings, Unit, UnitStatus, Work
from tenure.model.snapshot import Decoded, Segment
from tenure.names import LEADER_OFFICE, UnitName
from tenure.office.keys import OfficeKeys, OfficeView
from tenure.office.records import Holder, Last, TermRecord, number_of
from tenure.office.records import decode as decode_office
from tenure.store.api import Item


class UnitView:
    """A unit: what was decided of it, what is said of it, what is asked of it."""

    def __init__(self, name: UnitName, items: dict[str, Item], decoded: Decoded) -> None:
        self.name = name
        self._items = items
        self._decoded = decoded
        self.info_item = items["info"]
        self.present_item = items.get("present")
        """There while the unit is a candidate of a living agent."""
        self.status_item = items.get("status")

    @property
    def info(self) -> Unit:
        """The unit's record."""
        return self._decoded.record(Unit, self.info_item)

    @property
    def born(self) -> int:
        """The revision at which the unit was made, also where its model was restored since; tells units of one name apart."""
        return self.info.born or self.info_item.create_revision

    @property
    def status(self) -> UnitStatus | None:
        """What the unit and its agent have said; None before they have."""
        return None if self.status_item is None else self._decoded.record(UnitStatus, self.status_item)

    @cached_property
    def request_items(self) -> Mapping[str, Item]:
        """What is asked of the unit, by the request's id, in the order in which it was asked."""
        found = [
            (key.removeprefix("requests/"), item) for key, item in self._items.items() if key.startswith("requests/")
        ]
        return dict(sorted(found, key=lambda pair: (pair[1].create_revision, pair[0])))

    @property
    def requests(self) -> Mapping[str, Request]:
        """The same, decoded."""
        return {name: self._decoded.record(Request, item) for name, item in self.request_items.items()}


class OfficeState:
    """An office as its keys show it."""

    def __init__(self, name: str, items: dict[str, Item]) -> None:
        self.name = name
        self.holder_item = items.get("holder")
        self.last_item = items.get("last")
        self._terms = {key: item for key, item in items.items() if key.startswith("terms/")}
        self.candidates = _numbered(items, "candidates/")
        """Of a singleton's office: the units' present keys, by number."""
        self.works = _numbered(items, "work/")
        """Of a singleton's office: the keys that say how its process does, by the unit's number."""

    @cached_property
    def holder(self) -> Holder | None:
        """Who holds it; None: vacant."""
        return None if self.holder_item is None else decode_office(Holder, self.holder_item)

    @property
    def term(self) -> int | None:
        """The number of the term that lasts."""
        return None if self.holder_item is None else self.holder_item.mod_revision

    @cached_property
    def last(self) -> Last | None:
        """How its latest term stands."""
        return None if self.last_item is None else decode_office(Last, self.last_item)

    @cached_property
    def history(self) -> list[TermRecord]:
        """The terms that are over, oldest first; with the latest where only `last` knows of it."""
        records = [decode_office(TermRecord, item) for item in self._terms.values()]
        last = self.last
        if last is not None and self.holder_item is None:
            number = number_of(self.last_item, last)
            if number and all(record.number != number for record in records):
                records.append(
                    TermRecord(
                        number=number,
                        unit=last.unit,
                        machine=last.machine,
                        began=last.began,
                        ended=last.ended,
                        how=last.how or "expired",
                    )
                )
        return sorted(records, key=lambda record: record.number)


class ApplicationView:
    """An application and all that is kept below its name."""

    def __init__(self, name: str, layout: Layout, segment: Segment, decoded: Decoded) -> None:
        self.name = name
        self._layout = layout
        self._decoded = decoded
        self._items = segment.items
        self.info_item = segment.items[layout.application_info(name)]
        self.settings_item = segment.items.get(layout.settings(name))
        self.status_item = segment.items.get(layout.application_status(name))
        self.paused_item = segment.items.get(layout.paused(name))

    @property
    def paused(self) -> Paused | None:
        """Why and since when nobody claims an office of the application; None: it isn't paused."""
        return None if self.paused_item is None else self._decoded.record(Paused, self.paused_item)

    @property
    def info(self) -> Application:
        """The application's record."""
        return self._decoded.record(Application, self.info_item)

    @property
    def settings(self) -> Mapping[str, str]:
        """The leader settings."""
        return {} if self.settings_item is None else self._decoded.record(Settings, self.settings_item).values

    @property
    def status(self) -> ApplicationStatus | None:
        """What a leader has said of the application; None before one has."""
        return None if self.status_item is None else self._decoded.record(ApplicationStatus, self.status_item)

    @cached_property
    def units(self) -> Mapping[int, UnitView]:
        """The units in the model, dying ones too, by number."""
        found = self._grouped(self._layout.units(self.name))
        return {
            number: UnitView(UnitName(self.name, number), items, self._decoded)
            for number, items in sorted((int(key), items) for key, items in found.items() if key.isdigit())
            if "info" in items
        }

    @cached_property
    def offices(self) -> Mapping[str, OfficeState]:
        """The offices that have keys, by name."""
        found = self._grouped(f"{self._layout.application(self.name)}offices/")
        return {name: OfficeState(name, items) for name, items in sorted(found.items())}

    def office(self, name: str = LEADER_OFFICE) -> OfficeState:
        """An office of the application's, vacant if nobody ever held it."""
        return self.offices.get(name) or OfficeState(name, {})

    @property
    def leader(self) -> UnitName | None:
        """The unit that holds the office "leader"."""
        holder = self.office().holder
        return None if holder is None else UnitName.parse(holder.unit)

    @cached_property
    def candidates(self) -> Mapping[str, Item]:
        """The present keys by unit's name: what an office is shown of its candidates."""
        return {str(unit.name): unit.present_item for unit in self.units.values() if unit.present_item is not None}

    def office_keys(self, unit: UnitName, office: str = LEADER_OFFICE) -> OfficeKeys:
        """The keys that a unit meets as a candidate of an office."""
        layout = self._layout
        return OfficeKeys(
            name=f"{self.name}/{office}",
            holder=layout.holder(self.name, office),
            last=layout.last(self.name, office),
            terms=layout.terms(self.name, office),
            unit_info=layout.unit_info(unit),
            present=layout.unit_present(unit)
            if office == LEADER_OFFICE
            else f"{layout.candidates(self.name, office)}{unit.number}",
            paused=layout.paused(self.name),
        )

    def work(self, office: str, number: int) -> Work | None:
        """How a singleton's process does on the unit of this number, by the word of its agent; None: it hasn't said anything."""
        item = self.office(office).works.get(number)
        return None if item is None else self._decoded.record(Work, item)

    def office_view(self, unit: UnitName, revision: int, office: str = LEADER_OFFICE) -> OfficeView:
        """What a unit's candidacy is shown at `revision`, the snapshot's."""
        state, own = self.office(office), self.units.get(unit.number)
        return OfficeView(
            revision=revision,
            holder=state.holder_item,
            last=state.last_item,
            unit_info=None if own is None else own.info_item,
            candidates=self.candidates_for(state),
            paused=self.paused_item,
        )

    def candidates_for(self, state: OfficeState) -> Mapping[str, Item]:
        """The present keys of an office's candidates, by unit's name."""
        if state.name == LEADER_OFFICE:
            return self.candidates
        return {str(UnitName(self.name, number)): item for number, item in state.candidates.items()}

    def _grouped(self, prefix: str) -> dict[str, dict[str, Item]]:
        found: dict[str, dict[str, Item]] = {}
        for key, item in self._items.items():
            if key.startswith(prefix):
                name, _, rest = key[len(prefix) :].partition("/")
                found.setdefault(name, {})[rest] = item
        return found


def _numbered(items: Mapping[str, Item], prefix: str) -> Mapping[int, Item]:
    found = ((key.removeprefix(prefix), item) for key, item in items.items() if key.startswith(prefix))
    return {int(name): item for name, item in found if name.isdigit()}
