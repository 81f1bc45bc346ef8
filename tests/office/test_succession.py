"""Who claims a vacant office first: a courtesy that keeps the claims for each vacancy to a handful."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tenure.office.succession import place, stagger_ns
from tenure.office.timing import STAGGER_MOST, STAGGER_NS

units = st.dictionaries(st.text(min_size=1), st.integers(-2, 2), min_size=1)


@given(units, st.integers(0, 1 << 40))
def test_all_candidates_know_the_same_line_and_each_its_own_place(candidates: dict[str, int], ended: int) -> None:
    places = [place(unit, priority, candidates.items(), ended) for unit, priority in candidates.items()]
    assert sorted(places) == list(range(len(candidates)))


@given(units, st.integers(0, 1 << 40))
def test_a_greater_priority_comes_first(candidates: dict[str, int], ended: int) -> None:
    line = sorted(candidates, key=lambda unit: place(unit, candidates[unit], candidates.items(), ended))
    assert [candidates[unit] for unit in line] == sorted(candidates.values(), reverse=True)


def test_the_line_is_another_for_each_term() -> None:
    candidates = dict.fromkeys(("web/0", "web/1", "web/2", "web/3"), 0)
    first = {min(candidates, key=lambda unit: place(unit, 0, candidates.items(), ended)) for ended in range(40)}
    assert first == set(candidates)


@given(units, st.integers(0, 1 << 40))
def test_whoever_was_deposed_comes_after_all_others(candidates: dict[str, int], ended: int) -> None:
    for unit, priority in candidates.items():
        mine = place(unit, priority, candidates.items(), ended, last=True)
        assert all(
            place(other, candidates[other], candidates.items(), ended) < mine for other in candidates if other != unit
        )


def test_the_first_claims_at_once_and_a_long_line_of_silent_units_delays_nobody_for_long() -> None:
    assert stagger_ns(0) == 0
    assert stagger_ns(1) == STAGGER_NS
    assert stagger_ns(500) == STAGGER_MOST * STAGGER_NS <= 300_000_000


@given(units, st.integers(0, 1 << 40), st.integers(0, 5))
def test_nobody_need_count_further_than_matters(candidates: dict[str, int], ended: int, most: int) -> None:
    for unit, priority in candidates.items():
        exact = place(unit, priority, candidates.items(), ended)
        assert place(unit, priority, candidates.items(), ended, most=most) == min(exact, most)
