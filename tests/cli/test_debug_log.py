"""tenure debug-log: what an agent that has ended has left, wherever it kept its state; and what agents of other hosts log."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.world import World
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


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """web/0 on m0 and web/1 on m1: asked through the store, as if they were on other hosts."""
    world = World(tmp_path)
    world.start("m0")
    world.start("m1")
    world.tenure("deploy", world.charm(config_changed="juju-log color=$(config-get color)"), "-n", "2", "--to", "m0,m1")
    world.tenure("wait", "web", "--for", "idle", "--for", "leader", "--timeout", "60s")
    yield world
    world.close()


def test_the_logs_of_other_hosts_are_shown_whole_and_merged_by_time(world: World) -> None:
    words = ("debug-log", "--through", "store", "--format", "json")
    lines = [json.loads(line) for line in world.tenure(*words).splitlines()]
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    for machine in ("m0", "m1"):
        shown = [line for line in lines if line["machine"] == machine]
        assert shown == world.lines(machine)[: len(shown)]
        assert any(line["message"] == "color=red" for line in shown)
    assert len(world.tenure(*words, "--limit", "3").splitlines()) == 3
    assert world.tenure("debug-log", "--through", "store", "--here") == ""


def test_what_they_add_is_followed_each_line_once_also_when_an_agent_starts_anew(world: World) -> None:
    shown = world.folder / "shown"
    with shown.open("wb") as out:
        following = subprocess.Popen(
            [sys.executable, "-m", "tenure", "debug-log", "--follow", "--through", "store", "--format", "json", "-n", "0"],
            env=world.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE,
        )  # fmt: skip
    try:

        def messages(machine: str) -> list[str]:
            lines = [json.loads(line) for line in shown.read_text().splitlines(keepends=True) if line.endswith("\n")]
            return [line["message"] for line in lines if line["machine"] == machine]

        until(lambda: messages("m0") and messages("m1"), within_s=30)
        world.tenure("config", "web", "color=blue")
        until(lambda: "color=blue" in messages("m0") and "color=blue" in messages("m1"), within_s=20)
        world.kill("m1")
        world.start("m1")
        world.tenure("config", "web", "color=green")
        until(lambda: "color=green" in messages("m0") and "color=green" in messages("m1"), within_s=40)
        for machine in ("m0", "m1"):
            found = messages(machine)
            assert found == [line["message"] for line in world.lines(machine)][: len(found)], "none missed, none twice"
    finally:
        following.send_signal(signal.SIGINT)
        _, err = following.communicate(timeout=20)
    assert following.returncode == 130
    assert b"Traceback" not in err
