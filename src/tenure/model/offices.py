"""Offices that belong to no application: the keys that a candidate of one meets, and what a model shows of one."""

from __future__ import annotations

from tenure.model.application import OfficeState
from tenure.model.layout import Layout
from tenure.model.snapshot import MirrorSnapshot
from tenure.office.keys import OfficeKeys, OfficeView


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
    )
