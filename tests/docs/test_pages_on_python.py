"""The pages for Python programs, done to the letter: their files are written, their commands are run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.docs.page import reader
from tests.postgresql import postgresql as postgresql


@pytest.mark.slow
def test_programs_are_units_that_apply_what_their_leader_decides(tmp_path: Path) -> None:
    with reader(tmp_path) as someone:
        printed = someone.follow("how-to/use-from-python.md")
    workers = printed["python3 worker.py & python3 worker.py & python3 worker.py; wait"]
    assert set(re.findall(r"(worker/\d) applies version 1: red", workers)) == {"worker/0", "worker/1", "worker/2"}
    assert "red" in printed["tenure settings worker"]
    assert re.search(r"worker/\d", printed["tenure history worker"])
    assert re.findall(r"reminds (\w+) in term \d+", printed["python3 tasks.py ada grace"]) == ["ada", "grace"]


@pytest.mark.slow
def test_a_resource_refuses_a_late_write(tmp_path: Path, postgresql: str) -> None:
    with reader(tmp_path) as someone:
        someone.environment["DATABASE"] = postgresql
        printed = someone.follow("how-to/fence-a-resource.md")
    late = [command for command in printed if command.endswith('|| echo "it was late"')]
    assert len(late) == 3
    assert {printed[command] for command in late} == {"it was late\n"}
    assert json.loads(printed["cat state.json"]) == {"written in": 7}
    assert printed["python3 register.py"].splitlines() == [
        "the resource has been written in a later term than 5",
        "{'term': 7, 'color': 'blue'}",
    ]


@pytest.mark.slow
def test_a_users_tests_pass_as_the_page_has_them(tmp_path: Path) -> None:
    with reader(tmp_path) as someone:
        printed = someone.follow("how-to/test-a-program.md")
    assert "3 passed" in printed["python3 -m pytest -q -p no:cacheprovider"]
