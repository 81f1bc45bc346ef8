"""Elapsed time: a deadline that is believed in comes when either time line says so, one that is waited for by the unslewed alone."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from tenure.clock import NS_PER_S, Instant, KernelClock, boot_id, ns

instants = st.builds(Instant, st.integers(0, 10**18), st.integers(0, 10**18))
spans = st.integers(0, 10**15)


@given(instants, instants)
def test_a_deadline_has_come_when_either_line_says_so(deadline: Instant, now: Instant) -> None:
    assert deadline.reached(now) == (now.boot_ns >= deadline.boot_ns or now.raw_ns >= deadline.raw_ns)
    assert deadline.reached(now) == (deadline.left_ns(now) <= 0)


@given(instants, instants)
def test_what_is_waited_for_has_passed_by_the_unslewed_line_alone(until: Instant, now: Instant) -> None:
    assert until.surely_passed(now) == (now.raw_ns >= until.raw_ns)


@given(instants, spans, st.floats(0, 0.01))
def test_a_wait_is_long_enough_on_a_clock_that_is_fast_by_the_drift(start: Instant, span: int, drift: float) -> None:
    until = start.waited_after(span, drift)
    real_ns = (until.raw_ns - start.raw_ns) * (1 - drift)
    assert real_ns >= span - 1e-9 * span


@given(instants, instants)
def test_the_earlier_of_two_deadlines_comes_no_later_than_either(one: Instant, other: Instant) -> None:
    earlier, later = one.earlier(other), one.later(other)
    for now in (one, other, earlier, later):
        assert earlier.reached(now) or not (one.reached(now) or other.reached(now))
    assert earlier.boot_ns <= later.boot_ns
    assert earlier.raw_ns <= later.raw_ns


@given(instants, spans)
def test_an_instant_later_is_later_on_both_lines(instant: Instant, span: int) -> None:
    assert instant.after(span) == Instant(instant.boot_ns + span, instant.raw_ns + span)
    assert instant.after(span).left_ns(instant) == span


def test_seconds_are_whole_nanoseconds() -> None:
    assert ns(1.5) == 1_500_000_000
    assert ns(0.1) == NS_PER_S // 10


def test_the_kernels_clocks_go_on_and_agree_roughly() -> None:
    clock = KernelClock()
    began, boot = clock.now(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    instants_seen = [clock.now() for _ in range(1000)]
    assert all(now.boot_ns >= began.boot_ns for now in instants_seen)
    assert 0 <= boot - began.boot_ns < NS_PER_S


def test_a_boot_has_one_identity() -> None:
    assert boot_id() == boot_id()
    assert len(boot_id()) == 36
