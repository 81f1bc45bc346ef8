"""A store that was put back to an older state is told by the numbers of terms that it can't have had."""

from __future__ import annotations

from tenure.office.restored import raise_to, went_back


def test_a_store_in_good_order_has_had_every_term_as_a_revision() -> None:
    assert went_back(100, [3, 100, 57]) == 0
    assert went_back(100, []) == 0


def test_a_term_beyond_the_stores_revision_says_that_it_was_put_back() -> None:
    assert went_back(100, [3, 101, 57]) == 101


def test_it_is_moved_on_well_beyond_the_greatest_number_that_is_known() -> None:
    assert raise_to(101) > 101 + 1000
