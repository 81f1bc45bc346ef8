"""The databags of units as they were last seen: what a unit had said stays readable while it departs, as in Juju.

Kept in memory: an agent that starts anew knows only what is still there.
"""

from __future__ import annotations

from collections.abc import Mapping

from tenure.model.snapshot import Segment
from tenure.model.view import ModelView


class LastBags:
    """What each unit has last said on each relation."""

    def __init__(self) -> None:
        self._bags: dict[int, dict[str, Mapping[str, str]]] = {}
        self._seen: dict[int, Segment | None] = {}

    def saw(self, view: ModelView) -> None:
        """The mirror shows this."""
        for number, relation in view.relations.items():
            segment = view.snapshot.segment(view.layout.relation(number))
            if self._seen.get(number) is segment:
                continue
            self._seen[number] = segment
            bags = self._bags.setdefault(number, {})
            for end in relation.info.endpoints:
                for unit in relation.members(end.application):
                    bags[str(unit)] = relation.unit_bag(unit) or {}
        for number in self._bags.keys() - view.relations.keys():
            del self._bags[number], self._seen[number]

    def of(self, relation: int, unit: str) -> Mapping[str, str]:
        """What the unit has last said; empty when it was never seen."""
        return self._bags.get(relation, {}).get(unit, {})
