"""Which machine a unit goes to: those that are named, else the live ones with the fewest units, else it waits for one.

A machine that is drained is chosen only by its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from tenure.errors import BadInput
from tenure.model.commits import commit_surely
from tenure.model.layout import Layout
from tenure.model.records import encode
from tenure.model.view import ModelView
from tenure.names import UnitName, check_machine
from tenure.store.api import Committed, Compare, Item, Put, Store, Write, modified_at


def place(view: ModelView, count: int, to: Sequence[str] = ()) -> list[str | None]:
    """The machines of `count` new units; None: none is up. Raises BadInput (more places than units, a bad name).

    A machine that is named need not be up: its agent takes the unit up when it comes.
    """
    if len(to) > count:
        raise BadInput(
            f"{len(to)} machines are named for {count} unit{'s' * (count != 1)}", hint="name at most as many"
        )
    placed: list[str | None] = [check_machine(machine) for machine in to]
    load = _load(view)
    for machine in to:
        if machine in load:
            load[machine] += 1
    while len(placed) < count:
        placed.append(chosen := _emptiest(load))
        if chosen is not None:
            load[chosen] += 1
    return placed


async def adopt(store: Store, layout: Layout, view: ModelView, machine: str) -> list[UnitName]:
    """Take up the units that wait for a machine and that would be placed on this one, which must be up. For its agent.

    Returns those that are its own now. Where another machine was faster it is not refused but left out.
    """
    load = _load(view)
    if machine not in load:
        return []
    when: list[Compare] = []
    then: list[Write] = []
    adopted: list[UnitName] = []
    for application in view.applications.values():
        for unit in application.units.values():
            if not unit.info.waits_for_machine:
                continue
            chosen = _emptiest(load)
            assert chosen is not None
            load[chosen] += 1
            if chosen == machine and len(then) < 100:
                key = unit.info_item.key
                when.append(modified_at(key, unit.info_item.mod_revision))
                then.append(Put(key, encode(msgspec.structs.replace(unit.info, machine=machine))))
                adopted.append(unit.name)
    if not then:
        return []
    outcome = await commit_surely(store, when, then, lambda refused: _landed(refused.current, then))
    return adopted if isinstance(outcome, Committed) else []


def _landed(current: Mapping[str, Item | None], then: Sequence[Write]) -> int | None:
    """An adoption that was sent twice shows in its own values: no other machine writes this one's name."""
    revisions: set[int] = set()
    for write in then:
        assert isinstance(write, Put)
        item = current.get(write.key)
        if item is None or item.value != write.value:
            return None
        revisions.add(item.mod_revision)
    return max(revisions)


def _load(view: ModelView) -> Counter[str]:
    load = Counter({machine: 0 for machine in view.machines if machine not in view.drained})
    for application in view.applications.values():
        for unit in application.units.values():
            if (machine := unit.info.machine) is not None and machine in load:
                load[machine] += 1
    return load


def _emptiest(load: Counter[str]) -> str | None:
    return min(load, key=lambda machine: (load[machine], machine), default=None)
