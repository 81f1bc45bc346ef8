"""What follows when a singleton's process ends: again after a while, another unit, or nothing."""

from __future__ import annotations

import pytest

from tenure.agent.singletons.policy import Again, GiveUp, Rest, Row
from tenure.defaults import RUN_AGAIN_MOST_S


def test_a_process_that_fails_is_run_again_each_wait_twice_the_last_and_given_up_after_so_many() -> None:
    row = Row("always", failures=3, within_s=60.0)
    assert row.wait_s == 0.0
    assert [row.ended(well=False, ran_s=0.1) for _ in range(3)] == [Again(1.0), Again(2.0), GiveUp(3)]


def test_where_no_other_unit_wants_it_the_row_goes_on_up_to_the_longest_wait() -> None:
    row = Row("always", failures=3, within_s=60.0)
    for _ in range(3):
        row.ended(well=False, ran_s=0.1)
    assert row.wait_s == 4.0
    answers = [row.ended(well=False, ran_s=0.1) for _ in range(30)]
    assert answers[:3] == [Again(8.0), Again(16.0), GiveUp(6)]
    assert {answer.wait_s for answer in answers[3:] if isinstance(answer, Again)} == {RUN_AGAIN_MOST_S}


def test_one_that_has_run_for_long_enough_begins_a_new_row() -> None:
    row = Row("always", failures=2, within_s=60.0)
    row.ended(well=False, ran_s=59.0)
    assert row.ended(well=False, ran_s=60.0) == Again(1.0)
    assert row.ended(well=False, ran_s=1.0) == GiveUp(2)


def test_what_is_to_run_always_fails_also_by_ending_well() -> None:
    assert Row("always", failures=3, within_s=60.0).ended(well=True, ran_s=0.1) == Again(1.0)


@pytest.mark.parametrize(
    ("restart", "well", "follows"),
    [("on-failure", True, Rest("done")), ("on-failure", False, Again(1.0)), ("never", True, Rest("done")), ("never", False, Rest("failed"))],
)  # fmt: skip
def test_the_restart_policy_says_what_counts(restart: str, well: bool, follows: object) -> None:
    assert Row(restart, failures=3, within_s=60.0).ended(well=well, ran_s=0.1) == follows  # type: ignore[arg-type]


def test_one_failure_may_be_enough_to_give_it_up() -> None:
    assert Row("on-failure", failures=1, within_s=1.0).ended(well=False, ran_s=0.1) == GiveUp(1)
