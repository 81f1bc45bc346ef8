"""An answer that comes late promises no more than is left of it, whatever the two hosts' clocks do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.clock import NS_PER_S, Instant
from tenure.errors import BadInput
from tenure.office.late import ANSWER_WITHIN_S, asked_for_s, left_on_arrival_s
from tenure.office.timing import Timing

TIMING = Timing.for_lease(60)


@given(
    promised_s=st.floats(0, 300),
    on_the_way_s=st.floats(0, 300),
    back_s=st.floats(0, 300),
    rate=st.floats(-0.001, 0.001),
    boots_at=st.integers(0, 10**15),
    slewed=st.floats(0.92, 1.0),
)
def test_what_is_said_to_be_left_is_left_on_the_agents_own_clock(
    promised_s: float, on_the_way_s: float, back_s: float, rate: float, boots_at: int, slewed: float
) -> None:
    """Times are of the agent's clock; the asker's differs in rate by up to the drift, and BOOTTIME may be slewed on top."""
    counted = round((on_the_way_s + back_s) * (1 + rate) * NS_PER_S)
    sent = Instant(boots_at, 17)
    arrived = Instant(boots_at + round(counted * slewed), 17 + counted)
    left_s = left_on_arrival_s(promised_s, sent, arrived)
    # While the asker counts what it was told, the agent's clock counts this much.
    truly_s = left_s / (1 + rate)
    assert left_s == 0 or back_s + truly_s <= promised_s + 1e-6


@given(span_s=st.one_of(st.none(), st.floats(0, 59.8)))
def test_an_answer_in_time_leaves_what_was_asked_for(span_s: float | None) -> None:
    for_s, within_s = asked_for_s(TIMING, span_s)
    assert TIMING.span_ns(for_s), "the lease can give that"
    assert within_s <= ANSWER_WITHIN_S
    arrived = Instant(0, 0).after(int(within_s * NS_PER_S))
    wanted_s = TIMING.guarantee_s if span_s is None else span_s
    assert left_on_arrival_s(for_s, Instant(0, 0), arrived) >= wanted_s - 1e-6


def test_a_sleep_of_the_asker_counts() -> None:
    asleep = Instant(8 * NS_PER_S, NS_PER_S)
    assert left_on_arrival_s(10, Instant(0, 0), asleep) == pytest.approx(1.99)


def test_what_no_lease_can_give_is_refused() -> None:
    with pytest.raises(BadInput, match="can't vouch"):
        asked_for_s(TIMING, 60)
    with pytest.raises(BadInput, match="to another host"):
        asked_for_s(TIMING, 59.9)
