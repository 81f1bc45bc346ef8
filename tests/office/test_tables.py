"""The tables are the protocol: complete, and each cell names a move that there is."""

from __future__ import annotations

from typing import get_args

import pytest

from tenure.office.candidacy import Candidacy
from tenure.office.decisions import Purpose
from tenure.office.session import AFTER
from tenure.office.session import State as SessionState
from tenure.office.tables import ANSWERED, PASSED, SEEN, Outcome, Sight, State


def test_every_state_has_a_move_for_every_picture_of_the_office() -> None:
    assert set(SEEN) == set(get_args(State))
    for row in SEEN.values():
        assert set(row) == set(get_args(Sight))


def test_every_transaction_has_a_move_for_every_answer() -> None:
    assert set(ANSWERED) == set(get_args(Purpose))
    for row in ANSWERED.values():
        assert set(row) == set(get_args(Outcome))


def test_every_state_has_a_move_for_time() -> None:
    assert set(PASSED) == set(get_args(State))


def test_every_cell_names_a_move() -> None:
    moves = {move for table in (SEEN, ANSWERED) for row in table.values() for move in row.values()} | set(
        PASSED.values()
    )
    assert [move for move in sorted(moves) if not callable(getattr(Candidacy, move, None))] == []


def test_every_move_says_what_it_does() -> None:
    moves = {move for table in (SEEN, ANSWERED) for row in table.values() for move in row.values()} | set(
        PASSED.values()
    )
    assert [move for move in sorted(moves) if not getattr(Candidacy, move).__doc__] == []


@pytest.mark.parametrize("state", ["ending", "giving up", "cleaning up"])
def test_no_picture_brings_a_term_back_that_has_begun_to_end(state: State) -> None:
    assert set(SEEN[state].values()).isdisjoint({"_elect_when_due", "_queue"})


def test_a_session_has_a_row_for_every_state() -> None:
    assert set(AFTER) == set(get_args(SessionState))
