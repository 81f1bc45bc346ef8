"""An agent's folder: one agent at a time, one machine and one model for ever, and no copy of it is the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tenure.agent.state_dir import StateDir
from tenure.errors import BadInput, No
from tenure.names import UnitName


def test_a_second_agent_on_the_folder_is_refused_with_the_first_one_s_pid(tmp_path: Path) -> None:
    first = StateDir(tmp_path / "m0")
    with pytest.raises(No, match=f"another agent runs on the state folder .*: process {os.getpid()}"):
        StateDir(tmp_path / "m0")
    first.close()
    StateDir(tmp_path / "m0").close()


def test_the_folder_keeps_its_identity(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    identity = state.identify("model-1", "m0")
    assert state.identify("model-1", "m0") == identity
    state.close()


def test_the_folder_of_another_model_is_refused(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.identify("model-1", "m0")
    with pytest.raises(BadInput, match="belongs to another model"):
        state.identify("model-2", "m0")
    state.close()


def test_the_folder_of_another_machine_is_refused(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.identify("model-1", "m0")
    with pytest.raises(BadInput, match='belongs to machine "m0"'):
        state.identify("model-1", "m1")
    state.close()


def test_a_copied_folder_is_another_one_and_has_no_part_in_the_leases_of_the_first(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "m0")
    identity = state.identify("model-1", "m0")
    state.desk.mkdir()
    (state.desk / "desk.json").write_text("{}")
    shutil.copytree(tmp_path / "m0", tmp_path / "copy")
    copy = StateDir(tmp_path / "copy")
    assert copy.identify("model-1", "m0") not in (identity, "")
    assert not copy.desk.exists()
    assert state.identify("model-1", "m0") == identity
    assert state.desk.exists()
    for folder in (state, copy):
        folder.close()


def test_an_identity_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    (tmp_path / "identity").write_text("{")
    with pytest.raises(BadInput, match="identity can't be read"):
        state.identify("model-1", "m0")
    state.close()


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=r"the state folder .*/file/m0 can't be used: Not a directory"):
        StateDir(tmp_path / "file" / "m0")


def test_each_unit_has_a_folder_beside_the_others(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    assert state.units() == []
    web = UnitName.parse("web/0")
    state.unit(web).mkdir(parents=True)
    assert state.units() == ["unit-web-0"]
    assert state.charm(web) == tmp_path / "agents" / "unit-web-0" / "charm"
    state.close()


def test_a_folder_that_takes_nothing_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "m0").mkdir()
    (tmp_path / "m0" / "desk").write_text("somebody's notes")
    done = subprocess.run(
        [sys.executable, "-m", "tenure.agent", f"sqlite://{tmp_path}/tenure.db", "default", "m0", tmp_path / "m0", "0"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: the state folder {tmp_path}/m0 doesn't take what the agent must remember: ")
    assert "Traceback" not in done.stderr
