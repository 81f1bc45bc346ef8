"""The how-tos about operations, done to the letter."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.docs.page import reader

pytestmark = pytest.mark.slow


def test_units_restart_one_at_a_time_as_the_how_to_says(tmp_path: Path) -> None:
    with reader(tmp_path) as someone:
        printed = someone.follow("how-to/rolling-operation.md")
        rolled = someone.type("tenure rolling turns --check true -- 'echo $JUJU_UNIT_NAME' 2>&1")
    said = printed["tenure debug-log | grep -e 'restarts$' -e 'is back$'"]
    lines = re.findall(r"(turns/\d).*(restarts|is back)$", said, re.MULTILINE)
    assert [what for _, what in lines] == ["restarts", "is back"] * 3
    assert [unit for unit, _ in lines[::2]] == [unit for unit, _ in lines[1::2]]
    assert {unit for unit, _ in lines} == {"turns/0", "turns/1", "turns/2"}
    assert rolled.count(": done (") == 3


def test_commands_run_in_units_contexts_as_the_how_to_says(tmp_path: Path) -> None:
    with reader(tmp_path) as someone:
        printed = someone.follow("how-to/run-a-command-in-a-unit.md")
        someone.type(f"{someone.folder}/{bin_of(someone.folder)}/juju-exec plain/0 'relation-ids members'")
    assert printed["tenure exec --unit plain/0 -- 'pwd; relation-ids members'"].endswith("charm\nmembers:0\n")
    assert printed["tenure exec --unit plain/leader -- is-leader"] == "True\n"
    found = json.loads(printed["tenure exec --all --format json -- 'echo $JUJU_UNIT_NAME'"])
    assert {unit: task["results"]["stdout"].strip() for unit, task in found.items()} == {
        f"plain/{number}": f"plain/{number}" for number in range(3)
    }
    yes = json.loads(printed['tenure is-leader "$(tenure leader plain)" --for 0s --format json'])
    assert yes["verdict"] == "yes"
    assert yes["surely_left_s"] > 0
    assert yes["since"]


def test_an_application_is_looked_after_as_the_how_to_says(tmp_path: Path) -> None:
    with reader(tmp_path) as someone:
        printed = someone.follow("how-to/look-after-an-application.md")
        page = (Path(__file__).parents[2] / "docs/how-to/look-after-an-application.md").read_text()
    said = printed["tenure explain web"]
    arithmetic = " ".join(re.search(r"^The store may be silent.*?\.$", page, re.MULTILINE | re.DOTALL)[0].split())  # type: ignore[index]
    assert arithmetic in said
    assert "leads web in term" in said
    assert "web is paused since" in printed["tenure status web"]
    drained = printed['tenure drain m0 --timeout 1m --reason "new kernel"']
    assert drained == "m0 holds nothing\n" or drained.startswith("Office")


def bin_of(folder: Path) -> Path:
    """The state folder's bin of the machine m0, whose first unit is plain/0."""
    (found,) = (one for one in folder.rglob("bin") if (one.parent / "agents" / "unit-plain-0").is_dir())
    return found.relative_to(folder)
