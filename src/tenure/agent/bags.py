"""The databags of units as they were last seen: what a unit had said stays readable while it departs, as in Juju."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tenure.agent.hook import Hook
from tenure.agent.hooks import HookCannotRun, find_hook
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


class KeptBags:
    """What one unit was last told of each other unit's databag, in its folder: for an agent that starts anew after that unit is gone.

    Kept as well as the disk allows: a bag that can't be written is missing after a crash, and no reason to stop.
    """

    def __init__(self, folder: Path, charm: Path) -> None:
        """`charm`: for one that has no departed hook of an endpoint nothing of it is kept."""
        self._folder, self._charm = folder, charm

    def told(self, hook: Hook, bag: Mapping[str, str]) -> None:
        """`hook` has run, while the unit that it is about had said `bag`."""
        if hook.relation is None or not hook.remote_unit:
            return
        path = self._path(hook.relation, hook.remote_unit)
        with contextlib.suppress(OSError):
            if hook.kind in ("relation-joined", "relation-changed"):
                if bag and self._is_read(hook.endpoint):
                    self._write(path, bag)
            else:
                path.unlink(missing_ok=True)

    def of(self, relation: int, unit: str) -> Mapping[str, str]:
        """What the unit had said when it was last told of; empty when that isn't known."""
        try:
            return msgspec.json.decode(self._path(relation, unit).read_bytes(), type=dict[str, str])
        except (OSError, msgspec.MsgspecError):
            return {}

    def _write(self, path: Path, bag: Mapping[str, str]) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        beside = path.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(dict(bag)))
        beside.replace(path)

    def _is_read(self, endpoint: str) -> bool:
        try:
            return find_hook(self._charm, f"{endpoint}-relation-departed") is not None
        except HookCannotRun:
            return True  # that can be mended

    def _path(self, relation: int, unit: str) -> Path:
        return self._folder / f"{relation}-{unit.replace('/', '-')}"
