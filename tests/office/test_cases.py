"""The golden conversations of `cases/`: what the machines decide, reviewed as text.

`REWRITE_CASES=1 pytest tests/office/test_cases.py` writes the machines' own answers into the cases: commit
only a difference that you understand.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.office.conversation import Conversation

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_machines_decide_as_written(case: Path) -> None:
    text = case.read_text(encoding="utf-8")
    played = Conversation(text).play()
    if os.environ.get("REWRITE_CASES"):
        case.write_text(played, encoding="utf-8")
        return
    assert played.splitlines() == text.splitlines()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_an_answer_that_comes_twice_leads_to_nothing(case: Path) -> None:
    text = case.read_text(encoding="utf-8")
    assert Conversation(text, twice=True).play().splitlines() == Conversation(text).play().splitlines()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_looking_again_at_the_clock_and_at_an_old_picture_leads_to_nothing(case: Path) -> None:
    text = case.read_text(encoding="utf-8")
    assert Conversation(text, fidgeting=True).play().splitlines() == Conversation(text).play().splitlines()
