"""`RollingOperation` among units whose hooks overlap, fail and see old settings, under leaders that change: never too many at it."""

from __future__ import annotations

import ast
import random
from pathlib import Path
from typing import Any

import pytest

from tenure import charm
from tenure.howto import rolling
from tenure.howto.rolling import RollingOperation


class World:
    """An application as its hooks see it: settings, databags, members, who leads."""

    def __init__(self, units: int) -> None:
        self.settings: list[dict[str, str]] = [{}]
        self.bags: dict[str, dict[str, str]] = {f"web/{number}": {} for number in range(units)}
        self.members = dict.fromkeys(self.bags, "active")
        self.leader = "web/0"
        self.seen = dict.fromkeys(self.bags, 0)


class Tools:
    """The charm library's functions within one hook of one unit."""

    HookToolError = charm.HookToolError
    NotLeader = charm.NotLeader

    def __init__(self, world: World, unit: str, settings: int) -> None:
        self.world, self.unit = world, unit
        self._settings = settings
        self._bags = {name: dict(bag) for name, bag in world.bags.items()}
        self._leads = world.leader == unit
        self.said: dict[str, str] = {}

    def _lead(self) -> None:
        if not (self._leads and self.world.leader == self.unit):
            raise charm.NotLeader("leader-set", 1, "not the leader")

    def is_leader(self) -> bool:
        return self._leads and self.world.leader == self.unit

    def leader_get(self, key: str | None = None) -> Any:
        if self.is_leader():
            self._settings = self.world.seen[self.unit] = len(self.world.settings) - 1
        there = self.world.settings[self._settings]
        return dict(there) if key is None else there.get(key)

    def leader_set(self, changes: dict[str, str | None]) -> None:
        self._lead()
        merged = {**self.world.settings[-1], **changes}
        self.world.settings.append({key: value for key, value in merged.items() if value})

    def status_get(self, application: bool) -> dict[str, Any]:
        self._lead()
        return {"units": {unit: {"status": status} for unit, status in self.world.members.items()}}

    def relation_ids(self, endpoint: str) -> list[str]:
        return ["members:0"]

    def relation_get(self, key: str, member: str, relation_id: str) -> str | None:
        if member not in self._bags:
            raise charm.HookToolError("relation-get", 1, "settings not found")
        return {**self._bags[member], **(self.said if member == self.unit else {})}.get(key)

    def relation_set(self, values: dict[str, str], relation_id: str, application: bool = False) -> None:
        if not application:
            self.said |= values

    def unit_name(self) -> str:
        return self.unit


class Hook:
    """A hook that has begun: what it did is done, what it said is not out yet."""

    def __init__(self, world: World, unit: str, operation: str, at_once: int, settings: int, healthy: bool) -> None:
        self.tools = Tools(world, unit, settings)
        self.ran = False

        def run() -> None:
            self.ran = True

        turns = RollingOperation(self.tools, "members", at_once)
        try:
            if self.tools.is_leader():
                turns.begin(operation)
            turns.step(run, check=lambda: healthy)
        except charm.NotLeader:
            pass

    def end(self, well: bool) -> None:
        world, unit = self.tools.world, self.tools.unit
        if well and unit in world.bags:
            world.bags[unit].update(self.tools.said)
        if unit in world.members:
            world.members[unit] = "active" if well else "error"


@pytest.mark.parametrize("at_once", [1, 2])
def test_never_more_units_are_at_it_than_may_be_and_in_the_end_all_have_done_it(at_once):
    for seed in range(150):
        draw = random.Random(seed)
        world = World(units=draw.randint(1, 5))
        running: dict[str, Hook] = {}
        operations = 1
        for _ in range(120):
            unit = draw.choice(list(world.bags))
            match draw.randrange(12):
                case 0:
                    world.leader = unit
                case 1:
                    operations += draw.random() < 0.3
                case 2 if len(world.bags) > 1 and unit not in running and unit != world.leader:
                    world.members.pop(unit)
                    world.bags.pop(unit)
                case 3 if len(world.bags) < 6:
                    new = f"web/{max(int(name[4:]) for name in world.seen) + 1}"
                    world.bags[new], world.members[new], world.seen[new] = {}, "active", 0
                case _ if unit in running:
                    running.pop(unit).end(well=draw.random() < 0.8)
                case _:
                    # A minion may see old settings, but never older ones than it has seen before.
                    oldest = len(world.settings) - 1 if unit == world.leader else world.seen[unit]
                    world.seen[unit] = draw.randint(oldest, len(world.settings) - 1)
                    healthy = draw.random() < 0.7
                    running[unit] = Hook(world, unit, f"op{operations}", at_once, world.seen[unit], healthy)
            at_it = [unit for unit, hook in running.items() if hook.ran]
            assert len(at_it) <= at_once, f"seed {seed}: {at_it}"
        for hook in running.values():
            hook.end(well=True)
        for _ in range(3 * len(world.bags) + 3):
            for unit in list(world.bags):
                Hook(world, unit, f"op{operations}", at_once, len(world.settings) - 1, True).end(well=True)
        assert {bag.get(rolling.DONE) for bag in world.bags.values()} == {f"op{operations}"}, f"seed {seed}"


def test_the_turn_stays_where_it_fails_and_the_leader_knows_why():
    world = World(units=3)
    Hook(world, "web/0", "op", 1, 0, True).end(well=True)
    assert world.settings[-1][rolling.TURN] == "web/1"
    Hook(world, "web/1", "op", 1, len(world.settings) - 1, True).end(well=False)
    tools = Tools(world, "web/0", 0)
    whys = {one.unit: one.why for one in RollingOperation(tools, "members").advance()}
    assert whys == {"web/0": "waits for web/1", "web/1": "in error: None", "web/2": "waits for web/1"}
    assert world.settings[-1][rolling.TURN] == "web/1"


def test_a_unit_that_is_not_healthy_keeps_the_turn_and_is_only_checked_again():
    world = World(units=2)
    Hook(world, "web/0", "op", 1, 0, True).end(well=True)
    first = Hook(world, "web/1", "op", 1, len(world.settings) - 1, healthy=False)
    first.end(well=True)
    second = Hook(world, "web/1", "op", 1, len(world.settings) - 1, healthy=True)
    second.end(well=True)
    assert (first.ran, second.ran) == (True, False)
    assert world.bags["web/1"][rolling.DONE] == "op"


@pytest.mark.parametrize("operation", ["", "two words", " "])
def test_what_names_no_operation_is_refused(operation):
    with pytest.raises(ValueError, match="names no operation"):
        RollingOperation(Tools(World(1), "web/0", 0), "members").begin(operation)


def test_a_minion_begins_nothing():
    world = World(2)
    with pytest.raises(charm.NotLeader):
        RollingOperation(Tools(world, "web/1", 0), "members").begin("op")
    assert world.settings == [{}]


def test_it_is_one_file_of_standard_library_in_python_3_8s_syntax():
    tree = ast.parse(Path(rolling.__file__).read_text(), feature_version=(3, 8))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {"__future__", "collections.abc", "typing"}
