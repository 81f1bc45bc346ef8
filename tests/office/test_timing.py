"""The arithmetic: what is believed is counted short, what is waited for long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.clock import NS_PER_S, Instant
from tenure.errors import BadInput
from tenure.office.timing import Timing

leases = st.integers(2, 300)


def test_a_minutes_lease_has_the_lengths_that_the_documents_say() -> None:
    timing = Timing.for_lease(60)
    assert timing.guarantee_s == 30
    assert timing.renew_every_ns == 60 * NS_PER_S // 7
    assert timing.request_timeout_ns == NS_PER_S
    assert 20 < timing.outage_ns / NS_PER_S < 21
    assert timing.print_within_ns == NS_PER_S


@given(leases)
def test_half_of_any_lease_is_a_guarantee_that_fits(ttl_s: int) -> None:
    timing = Timing.for_lease(ttl_s)
    assert timing.renew_every_ns < timing.guarantee_ns < timing.sure_ns(ttl_s) - timing.renew_every_ns
    assert 0 < timing.request_timeout_ns <= NS_PER_S
    # A silent store: renewed at once before the silence, it deposes no sooner than `outage` and one request later.
    assert (
        timing.renew_every_ns + timing.outage_ns + timing.request_timeout_ns
        <= timing.sure_ns(ttl_s) - timing.guarantee_ns
    )


@pytest.mark.parametrize(("ttl_s", "guarantee_s"), [(60, 8.0), (60, 52.0), (6, 6.0), (6, 0.0), (0, 0.0)])
def test_a_guarantee_that_does_not_fit_its_lease_is_refused_with_one_that_does(ttl_s: int, guarantee_s: float) -> None:
    with pytest.raises(BadInput) as refused:
        Timing(ttl_s, guarantee_s)
    assert refused.value.hint


@pytest.mark.parametrize("span_s", [-1.0, 59.95, 1e9])
def test_a_span_that_no_lease_of_this_length_can_give_is_refused(span_s: float) -> None:
    with pytest.raises(BadInput, match="can't vouch for"):
        Timing.for_lease(60).span_ns(span_s)


@given(leases, st.integers(0, 1000), st.integers(-1000, 1000), st.floats(-0.0005, 0.0005), st.floats(-0.0005, 0.0005))
def test_a_lease_outlives_what_is_believed_of_it_whatever_the_clocks_rates(
    ttl_s: int, answered_s: int, sent_s: int, mine: float, theirs: float
) -> None:
    timing = Timing.for_lease(ttl_s)
    sent_at = Instant(sent_s * NS_PER_S, sent_s * NS_PER_S)
    believed_ns = timing.sure_until(sent_at, answered_s).boot_ns - sent_at.boot_ns
    real_ns = believed_ns / (1 + mine)
    assert real_ns <= min(ttl_s, answered_s) * NS_PER_S / (1 + theirs)


@given(leases, st.floats(-0.0005, 0.0005), st.floats(-0.0005, 0.0005))
def test_what_is_waited_out_is_over_whatever_the_clocks_rates(ttl_s: int, mine: float, theirs: float) -> None:
    timing = Timing.for_lease(ttl_s)
    waited_ns = timing.waited_out(Instant(0, 0), ttl_s).raw_ns
    assert waited_ns / (1 + mine) >= ttl_s * NS_PER_S / (1 + theirs)


def test_a_restarted_agent_owes_until_its_forerunners_lease_would_have_ended() -> None:
    timing = Timing.for_lease(60)
    owed = timing.owed_after_restart(Instant(0, 0))
    assert owed.raw_ns >= 60 * NS_PER_S


def test_a_lease_that_is_no_whole_number_of_seconds_is_refused() -> None:
    with pytest.raises(BadInput, match=r"a whole number of seconds, not 60\.0"):
        Timing.for_lease(60.0)  # type: ignore[arg-type]
