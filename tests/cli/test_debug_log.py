"""tenure debug-log: what an agent that has ended has left, wherever it kept its state."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Tenure
from tests.waiting import until

pytestmark = pytest.mark.slow


def test_the_log_of_an_agent_that_has_ended_is_found_in_its_own_state_folder(tenure: Tenure, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    log = folder / "log" / "agent.log"
    for turn in (1, 2):
        agent = tenure.start("agent", "--machine", "m9", "--state-dir", folder)
        until(lambda turn=turn: log.exists() and log.read_text().count("runs, process") == turn, within_s=20)  # type: ignore[misc]
        agent.terminate()
        agent.communicate(timeout=30)
    said = tenure("debug-log").out
    assert said.count("everything is handed over") == 2
    assert "m9" in said
    shutil.rmtree(folder)
    assert "no agent of this model" in tenure("debug-log").err
