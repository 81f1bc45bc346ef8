"""What a unit had said stays readable while it departs, also for an agent that was away when it went."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenure.agent.bags import KeptBags
from tenure.agent.hook import Hook
from tests.agent.world import World
from tests.waiting import until


def hook(kind: str, unit: str = "web/1") -> Hook:
    return Hook(kind=kind, relation=3, endpoint="peers", remote_unit=unit)  # type: ignore[arg-type]


@pytest.fixture
def charm(tmp_path: Path) -> Path:
    folder = tmp_path / "charm"
    (folder / "hooks").mkdir(parents=True)
    (folder / "metadata.yaml").touch()
    departed = folder / "hooks" / "peers-relation-departed"
    departed.touch(mode=0o755)
    return folder


def test_a_bag_is_kept_from_joined_to_departed(tmp_path: Path, charm: Path) -> None:
    kept = KeptBags(tmp_path / "bags", charm)
    kept.told(hook("relation-joined"), {"a": "1"})
    kept.told(hook("relation-changed"), {"a": "2"})
    kept.told(hook("relation-changed", "web/2"), {"b": "3"})
    again = KeptBags(tmp_path / "bags", charm)
    assert (again.of(3, "web/1"), again.of(3, "web/2"), again.of(4, "web/1")) == ({"a": "2"}, {"b": "3"}, {})
    again.told(hook("relation-departed"), {})
    assert (again.of(3, "web/1"), again.of(3, "web/2")) == ({}, {"b": "3"})


def test_a_charm_that_never_looks_has_none_kept(tmp_path: Path, charm: Path) -> None:
    (charm / "hooks" / "peers-relation-departed").unlink()
    KeptBags(tmp_path / "bags", charm).told(hook("relation-joined"), {"a": "1"})
    assert not (tmp_path / "bags").exists()


def test_a_disk_that_takes_nothing_is_no_reason_to_stop(tmp_path: Path, charm: Path) -> None:
    (tmp_path / "bags").touch()
    kept = KeptBags(tmp_path / "bags", charm)
    kept.told(hook("relation-joined"), {"a": "1"})
    assert kept.of(3, "web/1") == {}


@pytest.mark.slow
def test_a_departed_units_bag_is_read_by_one_whose_agent_was_away_when_it_went(world: World) -> None:
    world.start("m0")
    world.start("m1")
    charm = world.charm(
        peers_relation_joined='relation-set colour="of $JUJU_UNIT_NAME"',
        peers_relation_changed="relation-get colour >../now",
        peers_relation_departed='relation-get colour "$JUJU_REMOTE_UNIT" >../said',
    )
    world.tenure("deploy", charm, "-n", "2", "--to", "m0,m1", "--lease", "4s")
    folder = world.folder / "m0" / "agents" / "unit-web-0"
    until(lambda: (folder / "now").exists() and (folder / "now").read_text() == "of web/1\n", within_s=20)
    world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")
    world.kill("m0")
    world.tenure("remove-unit", "web/1", "--wait")
    world.start("m0")
    said = folder / "said"
    until(lambda: said.exists() and said.read_text() == "of web/1\n", within_s=20)
