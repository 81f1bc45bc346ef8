"""The tutorial and the how-tos, done to the letter: their files, their commands."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.docs.page import ROOT, commands, reader, steps
from tests.waiting import until

HOW_TO = "how-to/share-one-time-settings.md"
HOLD = "how-to/run-a-command-on-one.md"
TUTORIAL = "tutorial/first-failover.md"


def test_the_how_to_has_the_two_functions_word_for_word() -> None:
    code = next(step.body for step in steps(HOW_TO) if step.file == "token/lib/token_hook.py")
    assert (
        """def set_shared_settings():
    if is_leader():
        if not valid_settings(leader_get()):
            settings = create_settings()
            leader_set(settings)
"""
        in code
    )
    assert (
        """def get_shared_settings():
    settings = leader_get()
    if not valid_settings(settings):
        raise WaitingForLeader()
    return settings
"""
        in code
    )


def test_a_session_is_read_as_its_prompts() -> None:
    assert commands("$ one\nits answer\n$ two \\\n  words\n") == ["one", "two   words"]


@pytest.mark.slow
def test_settings_are_made_once_as_the_how_to_says(tmp_path: Path) -> None:
    with reader(tmp_path) as someone:
        printed = someone.follow(HOW_TO)
        settings = json.loads(someone.type("tenure settings token --format json"))
        units = someone.status()["applications"]["token"]["units"]
    assert settings["token"] in printed["tenure settings token"]
    assert len(units) == 3
    assert {unit["workload-status"]["current"] for unit in units.values()} == {"active"}
    assert units["token/1"]["leader"]


@pytest.mark.slow
def test_the_tutorial_shows_a_failover_and_a_transfer(tmp_path: Path) -> None:
    leaders: list[str] = []
    instead = {"/tmp/first-failover": str(tmp_path / "world"), "examples/": f"{ROOT}/examples/"}
    with reader(tmp_path / "reader", instead) as someone:

        def kill() -> None:
            leaders.append(someone.type("tenure leader web").strip())
            command = next(typed for typed in someone.open if f"--machine m{leaders[0][-1]} " in typed)
            leaders.append(command)
            process = someone.open.pop(command)
            process.send_signal(signal.SIGQUIT)
            assert process.wait(timeout=5) == -signal.SIGQUIT
            until(lambda: "expired" in someone.type("tenure history web"), within_s=15, what="the lease's end")
            until(lambda: someone.type("tenure history web").count("holds it") == 1, within_s=5, what="an election")

        hints = {
            "kill the leader's agent": kill,
            "start it again": lambda: someone.start(leaders[1]),
            "end": someone.close,
        }
        printed = someone.follow(TUTORIAL, hints)
    assert "surely gives" in printed['tenure is-leader "$(tenure leader web)"']
    history = printed["tenure history web"]
    assert re.findall(r"web/(\d) .* (expired|transferred|holds it)", history)[0] == (leaders[0][-1], "expired")
    assert re.search(r"web/2 .*holds it", history)
    assert not (tmp_path / "world").exists()


@pytest.mark.slow
def test_a_command_runs_on_exactly_one_as_the_how_to_says(tmp_path: Path) -> None:
    with reader(tmp_path) as someone:

        def interrupt() -> None:
            first, second = someone.open.items()
            assert "in term" not in someone.said().split("terminal-1.log")[1]
            first[1].send_signal(signal.SIGINT)
            assert someone.open.pop(first[0]).wait(timeout=10) == 128 + signal.SIGINT
            until(lambda: "in term" in someone.said().split("terminal-1.log")[1], within_s=5, what="the second's turn")
            assert second[1].poll() is None

        someone.follow(HOLD, {"Ctrl-C in the first": interrupt})
        terms = [int(number) for number in re.findall(r"in term (\d+)", someone.said())]
        said = someone.ran
    assert len(terms) == 2
    assert terms[0] < terms[1]
    assert said.count("the report is made") == 1
    assert "made twice?" not in said


@pytest.mark.slow
def test_everyone_acknowledges_a_change_as_the_how_to_says(tmp_path: Path) -> None:
    with reader(tmp_path, {"examples/": f"{ROOT}/examples/"}) as someone:
        someone.follow("how-to/share-settings-that-change.md")
        acknowledged = json.loads(someone.type("tenure settings web --acknowledged --format json"))
        status = someone.status()["applications"]["web"]
    assert "blue" not in json.dumps(acknowledged)
    assert len(status["units"]) == 3


@pytest.mark.slow
def test_two_programs_take_turns_as_the_how_to_says(tmp_path: Path) -> None:
    with reader(tmp_path) as someone:
        someone.follow("how-to/hold-an-office-in-python.md")
        said = someone.ran
    turns = [int(number) for number in re.findall(r"in term (\d+)", said)]
    assert len(turns) == 2
    assert turns[0] < turns[1]
    assert f"[({turns[0]},), ({turns[1]},)]" in said
