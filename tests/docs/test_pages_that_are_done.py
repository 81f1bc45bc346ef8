"""The tutorial and the how-tos, done to the letter: their files, their commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.docs.page import blocks, commands, terminal

HOW_TO = "how-to/share-one-time-settings.md"


def test_the_how_to_has_the_two_functions_word_for_word() -> None:
    code = next(block.body for block in blocks(HOW_TO) if block.file == "token/lib/token_hook.py")
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


@pytest.mark.slow
def test_settings_are_made_once_as_the_how_to_says(tmp_path: Path) -> None:
    with terminal(tmp_path) as reader:
        printed = reader.follow(HOW_TO)
        settings = json.loads(reader.type("tenure settings token --format json"))
        status = json.loads(reader.type("tenure status token --format json"))
    said = [text for command, text in printed.items() if command == "tenure settings token"]
    assert settings["token"] in said[0]
    units = status["applications"]["token"]["units"]
    assert len(units) == 3
    assert {unit["workload-status"]["current"] for unit in units.values()} == {"active"}
    assert units["token/1"]["leader"]


def test_a_session_is_read_as_its_prompts() -> None:
    assert commands("$ one\nits answer\n$ two \\\n  words\n") == ["one", "two   words"]
