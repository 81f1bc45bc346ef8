"""A store's backup, and what agents make of the store that it is restored to."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.agent.world import World
from tests.cli.conftest import Tenure
from tests.waiting import until


def test_a_backup_is_restored_into_an_empty_store_and_into_no_other(tenure: Tenure, charm: Path) -> None:
    tenure("deploy", charm, "-n", "2")
    done = tenure("store", "backup", "b", "--format", "json").json
    assert done["models"] == ["default"]
    assert "is there already" in tenure("store", "backup", "b", code=2).err
    other = f"sqlite://{tenure.folder}/other.db"
    assert "are restored" in tenure("store", "restore", "b", TENURE_STORE=other).out
    assert list(tenure("status", "--format", "json", TENURE_STORE=other).json["applications"]["web"]["units"]) == [
        "web/0",
        "web/1",
    ]
    tenure("add-unit", "web", TENURE_STORE=other)
    assert "already" in tenure("store", "restore", "b", code=2, TENURE_STORE=other).err


def test_what_is_no_backup_changes_nothing(tenure: Tenure) -> None:
    (tenure.folder / "b").write_text("hello\n")
    assert "b, line 1: this is no backup" in tenure("store", "restore", "b", code=2).err
    assert not (tenure.folder / "tenure.db").exists()
    assert "does not exist" in tenure("store", "restore", "c", code=2).err


def test_an_embedded_store_has_no_users(tenure: Tenure, charm: Path) -> None:
    tenure("deploy", charm)
    assert "has no users" in tenure("store", "init", code=2).err
    assert "has no users" in tenure("store", "user", "anna", "--remove", code=2).err


@pytest.mark.slow
def test_agents_go_on_in_a_restored_store_without_installing_anew(tmp_path: Path) -> None:
    world = World(tmp_path)
    charm = tmp_path / "charm"
    (charm / "hooks").mkdir(parents=True)
    (charm / "metadata.yaml").write_text("name: web\nsummary: a test\n")
    for name in ("install", "start", "leader-elected"):
        (charm / "hooks" / name).write_text(f'#!/bin/sh\necho {name} $TENURE_TERM >> "{tmp_path}/ran"\n')
        (charm / "hooks" / name).chmod(0o755)

    def ran(name: str) -> list[str]:
        return [line for line in (tmp_path / "ran").read_text().splitlines() if line.startswith(name)]

    try:
        world.start("m0")
        world.tenure("deploy", charm, "web", "--lease", "4s", "--to", "m0")
        world.tenure("wait", "web", "--for", "leader", "--timeout", "20s")
        world.tenure("wait", "web", "--for", "idle", "--timeout", "20s")
        world.tenure("store", "backup", tmp_path / "b")
        agent = world.agents["m0"]
        agent.send_signal(signal.SIGTERM)
        agent.wait(20)
        world.url = f"sqlite://{tmp_path}/other.db"
        world.tenure("store", "restore", tmp_path / "b")
        world.start("m0")
        until(lambda: len(ran("leader-elected")) == 2, within_s=20, what="it is elected in the other store")
        assert len(ran("install")) == len(ran("start")) == 1
        first, second = (int(line.split()[1]) for line in ran("leader-elected"))
        revision = json.loads((tmp_path / "b").read_text().splitlines()[0])["revision"]
        assert first <= revision < second
    finally:
        world.close()
