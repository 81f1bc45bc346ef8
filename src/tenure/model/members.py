"""Who is a member of an application now: the list that a leader counts its acknowledgements by."""

from __future__ import annotations

from tenure.model.view import ModelView, UnitView
from tenure.names import UnitName


def members(view: ModelView, application: str) -> list[UnitName]:
    """Every unit from its creation in the model until it has left the peer relation; without one, until it is gone.

    In the order of their numbers. A unit whose agent is lost is a member all the same: being lost is no departure.
    Raises NoSuchThing.
    """
    return [unit.name for unit in view.application(application).units.values() if is_member(view, unit)]


def is_member(view: ModelView, unit: UnitView) -> bool:
    """Whether the unit, which is in the model, counts."""
    if unit.info.life == "alive":
        return True
    peers = view.peer_relations(unit.name.application)
    return not peers or any(peer.unit_bag_item(unit.name) is not None for peer in peers.values())
