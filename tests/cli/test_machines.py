"""`tenure machines` and `remove-machine` with real agents: a host that is gone for good, and one that isn't."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.world import World
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.start("m0")
    world.start("m1")
    world.tenure("deploy", world.charm(), "-n", "2", "--to", "m1,m0", "--lease", "8s")
    world.tenure("wait", "web", "--for", "idle", "--for", "leader", "--timeout", "60s")
    yield world
    world.close()


def test_a_machine_that_is_gone_for_good_goes_with_its_units_and_its_offices_come_back(world: World) -> None:
    if world.tenure("leader", "web").strip() != "web/0":
        world.tenure("transfer", "web/0")
    refused = world.tenure("remove-machine", "m1", code=1)
    assert "m1 is up on" in refused
    assert "has web/0: nothing was changed" in refused
    machines = json.loads(world.tenure("machines", "--format", "json"))["machines"]
    assert {name: (one["juju-status"]["current"], one["units"]) for name, one in machines.items()} == {
        "m0": ("started", ["web/1"]),
        "m1": ("started", ["web/0"]),
    }
    assert machines["m1"]["leads"] == ["web/0"]
    world.kill("m1")
    until(lambda: "m1" in down(world), within_s=50)
    world.tenure("remove-machine", "m1", "--timeout", "60s")
    assert "m1" not in world.tenure("machines")
    status = json.loads(world.tenure("status", "--format", "json"))
    assert list(status["applications"]["web"]["units"]) == ["web/1"]
    world.tenure("wait", "web", "--for", "leader", "--timeout", "60s")
    # Should it come back, it has nothing to run, and a name to be given up.
    world.start("m1")
    assert not (world.folder / "m1" / "agents" / "unit-web-0").exists()
    assert "has no units" in world.tenure("remove-machine", "m1", code=1)
    assert "there is no machine" in world.tenure("remove-machine", "m7", code=2)


def down(world: World) -> list[str]:
    machines = json.loads(world.tenure("machines", "--format", "json"))["machines"]
    return [name for name, one in machines.items() if one["juju-status"]["current"] == "down"]


def test_by_force_a_machine_that_lives_loses_its_units(world: World) -> None:
    world.tenure("remove-machine", "m1", "--force", "--timeout", "60s")
    assert json.loads(world.tenure("machines", "--format", "json"))["machines"]["m1"]["units"] == []
