"""Acknowledged settings with real agents: units that come, go, die and come back while the leader waits; leaders that change."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.world import World
from tests.stopping import stop
from tests.waiting import until

pytestmark = pytest.mark.slow

CHARMS = ["acknowledged-settings", "acknowledged-settings-python"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    for agent in made.agents.values():
        if agent.poll() is None:
            agent.send_signal(signal.SIGCONT)
    made.close()


def deploy(world: World, charm: Path, machines: int = 3, lease: str = "6s") -> None:
    """Units web/0, web/1, … on m0, m1, …; returns when they all have acknowledged the first version."""
    names = [f"m{number}" for number in range(machines)]
    for name in names:
        world.start(name)
    world.tenure("deploy", charm, "web", "-n", str(machines), "--to", ",".join(names), "--lease", lease)
    everywhere(world, 1)


def asked(world: World) -> dict[str, Any]:
    """What `tenure settings web --acknowledged` says; its exit code is 1 while somebody is missing."""
    done = subprocess.run(
        [sys.executable, "-m", "tenure", "settings", "web", "--acknowledged", "--format", "json"],
        env=world.environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if done.returncode == 2:
        return {"version": 0, "missing": {}, "acknowledged": []}
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if found["missing"] else 0)
    return found


def everywhere(world: World, version: int, within_s: float = 30) -> None:
    """Wait until the leader says that the version is everywhere."""
    until(
        lambda: application(world)["application-status"].get("message") == f"version {version} is everywhere",
        within_s=within_s,
        what=f"version {version} everywhere: {application(world)['application-status']} {asked(world)}",
    )
    found = asked(world)
    assert (found["version"], found["missing"]) == (version, {})


def application(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.tenure("status", "--format", "json"))["applications"]["web"]
    return found


def leader(world: World) -> str:
    world.tenure("wait", "web", "--for", "leader", "--timeout", "20s")
    return world.tenure("leader", "web").strip()


def colour(world: World, unit: str) -> str:
    return (world.folder / f"m{unit[-1]}" / "agents" / f"unit-web-{unit[-1]}" / "charm" / "colour").read_text().strip()


def why(world: World, unit: str) -> str:
    return str(asked(world)["missing"].get(unit, {}).get("why", ""))


@pytest.mark.parametrize("charm", CHARMS)
def test_a_change_reaches_every_member_and_the_leader_knows(world, root, charm):
    deploy(world, root / "examples" / charm)
    world.tenure("config", "web", "colour=blue")
    everywhere(world, 2)
    world.tenure("wait", "web", "--for", "acknowledged", "--timeout", "10s")
    assert {colour(world, f"web/{number}") for number in range(3)} == {"blue"}
    document = application(world)["settings"]
    assert document["message"] == "version 2 of the settings is acknowledged by 3 of 3"
    assert "published" in document


@pytest.mark.parametrize("charm", CHARMS)
def test_a_unit_that_dies_is_missing_until_it_is_back_or_removed(world, root, charm):
    deploy(world, root / "examples" / charm)
    away = next(unit for unit in ("web/0", "web/1", "web/2") if unit != leader(world))
    world.kill(f"m{away[-1]}")
    world.tenure("config", "web", "colour=blue")
    until(lambda: asked(world)["version"] == 2 and list(asked(world)["missing"]) == [away], within_s=20)
    until(lambda: why(world, away).startswith("agent lost for "), within_s=30, what="the lost agent is seen")
    late = world.tenure("wait", "web", "--for", "acknowledged", "--timeout", "0.1s", code=124)
    assert f"acknowledged by 2 of 3; {away}: agent lost" in late
    assert f"{away}: agent lost for " in world.tenure("status", "web")
    world.start(f"m{away[-1]}")
    everywhere(world, 2)
    assert colour(world, away) == "blue"


def test_units_that_join_and_leave_while_the_leader_waits_are_counted_as_they_stand(world, root):
    deploy(world, root / "examples" / CHARMS[1])
    away = next(unit for unit in ("web/0", "web/1", "web/2") if unit != leader(world))
    stop(world.agents[f"m{away[-1]}"].pid)
    world.tenure("config", "web", "colour=blue")
    until(lambda: list(asked(world)["missing"]) == [away], within_s=20)
    assert why(world, away).startswith(("acknowledged version 1 of 2", "agent lost for "))
    # One that has never joined is a member from its creation on.
    world.tenure("add-unit", "web", "--to", "m3")
    assert why(world, "web/3") == "hasn't joined"
    world.start("m3")
    until(lambda: list(asked(world)["missing"]) == [away], within_s=20, what="the new unit acknowledges")
    assert colour(world, "web/3") == "blue"
    # The one that is away is given up: the others are all that there are.
    world.kill(f"m{away[-1]}")
    world.tenure("remove-unit", away, "--force", "--timeout", "30s")
    everywhere(world, 2)


def test_a_unit_in_error_is_missing_and_the_reason_is_its_hook(world, root, tmp_path):
    charm = tmp_path / "charm"
    shutil.copytree(root / "examples" / CHARMS[1], charm, symlinks=True)
    library = charm / "lib" / "hook.py"
    library.write_text(
        library.read_text().replace(
            '    with open(os.path.join(os.environ["CHARM_DIR"], "colour")',
            '    if settings["colour"] == "blue" and not charm.is_leader():\n        sys.exit(1)\n'
            '    with open(os.path.join(os.environ["CHARM_DIR"], "colour")',
        )
    )
    deploy(world, charm, machines=2)
    minion = next(unit for unit in ("web/0", "web/1") if unit != leader(world))
    world.tenure("config", "web", "colour=blue")
    until(lambda: why(world, minion).startswith("in error: "), within_s=20, what=f"{asked(world)}")
    world.tenure("config", "web", "colour=green")
    # Told that it is resolved, or tried again by its agent the moment before.
    resolved = subprocess.run(
        [sys.executable, "-m", "tenure", "resolved", minion],
        env=world.environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert resolved.returncode == 0 or "is not in error" in resolved.stderr, resolved.stderr
    everywhere(world, 3)


@pytest.mark.parametrize("charm", CHARMS)
def test_the_successor_of_a_killed_leader_takes_the_roll_out_up_where_it_stands(world, root, charm):
    deploy(world, root / "examples" / charm)
    first = leader(world)
    others = [unit for unit in ("web/0", "web/1", "web/2") if unit != first]
    # Nobody else gets to acknowledge before the leader is gone.
    for unit in others:
        stop(world.agents[f"m{unit[-1]}"].pid)
    world.tenure("config", "web", "colour=blue")
    until(lambda: asked(world)["version"] == 2 and asked(world)["acknowledged"] == [first], within_s=20)
    world.kill(f"m{first[-1]}")
    for unit in others:
        world.agents[f"m{unit[-1]}"].send_signal(signal.SIGCONT)
    until(lambda: any(application(world)["units"][unit].get("leader") for unit in others), within_s=30)
    everywhere(world, 2)
    assert {colour(world, unit) for unit in others} == {"blue"}
    assert asked(world)["acknowledged"] == ["web/0", "web/1", "web/2"]
