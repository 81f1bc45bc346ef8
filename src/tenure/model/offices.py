"""Offices that belong to no application: the keys that a candidate of one meets, and what a model shows of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tenure.model.application import OfficeState
from tenure.model.layout import Layout
from tenure.model.records import Paused
from tenure.model.snapshot import MirrorSnapshot
from tenure.office.keys import OfficeKeys, OfficeView


@dataclass(frozen=True, slots=True)
class FreeOffice:
    """An office that belongs to no application, who is there for it, and whether it is paused."""

    state: OfficeState
    candidates: tuple[str, ...]
    paused: Paused | None

    @property
    def in_use(self) -> bool:
        """Whether anybody holds it, wants it, or has paused it."""
        return self.state.holder_item is not None or bool(self.candidates) or self.paused is not None


def free_offices(snapshot: MirrorSnapshot, layout: Layout) -> Mapping[str, FreeOffice]:
    """All of a model, by name, those that nobody uses any more too."""
    found: dict[str, FreeOffice] = {}
    for name, _ in snapshot.segments(layout.free_offices):
        candidates, paused = layout.free_candidates(name), snapshot.get(layout.free_paused(name))
        found[name] = FreeOffice(
            office_state(snapshot, layout, name),
            tuple(item.key.removeprefix(candidates) for item in snapshot.under(candidates)),
            None if paused is None else snapshot.decoded.record(Paused, paused),
        )
    return found


def office_keys(layout: Layout, office: str, candidate: str) -> OfficeKeys:
    """The keys that `candidate`, a name of the form `<machine>/<id>` that nobody has had before, meets."""
    prefix = layout.free_office(office)
    return OfficeKeys(
        name=office,
        holder=f"{prefix}holder",
        last=f"{prefix}last",
        terms=f"{prefix}terms/",
        unit_info="",
        present=f"{layout.free_candidates(office)}{candidate}",
        paused=layout.free_paused(office),
    )


def office_state(snapshot: MirrorSnapshot, layout: Layout, office: str) -> OfficeState:
    """The office as its keys show it; vacant if nobody ever held it."""
    prefix = layout.free_office(office)
    return OfficeState(office, {item.key.removeprefix(prefix): item for item in snapshot.under(prefix)})


def office_view(snapshot: MirrorSnapshot, layout: Layout, office: str) -> OfficeView:
    """What a candidacy is shown."""
    candidates = layout.free_candidates(office)
    prefix = layout.free_office(office)
    return OfficeView(
        revision=snapshot.revision,
        holder=snapshot.get(f"{prefix}holder"),
        last=snapshot.get(f"{prefix}last"),
        unit_info=None,
        candidates={item.key.removeprefix(candidates): item for item in snapshot.under(candidates)},
        paused=snapshot.get(layout.free_paused(office)),
    )
