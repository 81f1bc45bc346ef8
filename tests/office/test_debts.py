"""A True is a debt: no voluntary end comes before all are paid, and a hook's ends with the hook."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tenure.clock import Instant
from tenure.office.debts import Debts

debtors = st.sampled_from((None, "hook-1", "hook-2"))


def at(ns: int) -> Instant:
    return Instant(ns, ns)


@given(st.lists(st.tuples(debtors, st.integers(1, 100)), min_size=1))
def test_the_latest_promise_is_what_counts(promises: list[tuple[str | None, int]]) -> None:
    debts = Debts()
    for debtor, until in promises:
        debts.owe(debtor, at(until))
    assert debts.left_ns(at(0)) == max(until for _, until in promises)
    assert debts.until(at(0)) == at(max(until for _, until in promises))


@given(st.lists(st.tuples(debtors, st.integers(1, 100))))
def test_a_hook_that_is_gone_is_owed_nothing_and_all_others_in_full(promises: list[tuple[str | None, int]]) -> None:
    debts = Debts()
    for debtor, until in promises:
        debts.owe(debtor, at(until))
    debts.settle("hook-1")
    others = [until for debtor, until in promises if debtor != "hook-1"]
    assert debts.left_ns(at(0)) == max(others, default=0)


def test_what_is_owed_outside_cannot_be_settled() -> None:
    debts = Debts()
    debts.owe(None, at(5))
    debts.settle("anybody")
    assert debts.left_ns(at(0)) == 5


def test_a_fast_clock_shortens_no_debt() -> None:
    debts = Debts()
    debts.owe(None, at(100))
    assert debts.left_ns(Instant(108, 99)) == 1
