"""Elapsed time, as the protocol needs it: two time lines, since no single clock of the kernel's will do.

`CLOCK_BOOTTIME` goes on while the host sleeps but may be slewed; `CLOCK_MONOTONIC_RAW` is never slewed but stands
still while the host sleeps. So an instant has two readings: BOOTTIME's, and RAW's plus what the host has slept
(BOOTTIME less MONOTONIC). For *believing* in a term, a deadline has come when either line says so; for *waiting*
(a debt, an unclean term) the unslewed line counts alone, less the drift.

No wall clock takes part.
"""

from __future__ import annotations

import time
from typing import NamedTuple, Protocol

NS_PER_S = 1_000_000_000


def ns(seconds: float) -> int:
    """Seconds as whole nanoseconds."""
    return round(seconds * NS_PER_S)


class Instant(NamedTuple):
    """A moment on this host's two time lines, in nanoseconds. Comparable only with instants of the same boot."""

    boot_ns: int
    raw_ns: int

    def after(self, span_ns: int) -> Instant:
        """The instant `span_ns` later (earlier, if negative) on both lines."""
        return Instant(self.boot_ns + span_ns, self.raw_ns + span_ns)

    def reached(self, now: Instant) -> bool:
        """Whether, of a deadline, it must be taken to have come: either line says so."""
        return now.boot_ns >= self.boot_ns or now.raw_ns >= self.raw_ns

    def surely_passed(self, now: Instant) -> bool:
        """Whether something that is *waited* for has passed: only the unslewed line counts.

        Whoever fixes such an instant has made it later by the drift (`waited_after`).
        """
        return now.raw_ns >= self.raw_ns

    def waited_after(self, span_ns: int, drift: float) -> Instant:
        """The instant by which, on a clock that is fast by `drift`, `span_ns` of real time have surely passed."""
        return self.after(round(span_ns / (1 - drift)) + 1)

    def left_ns(self, now: Instant) -> int:
        """How much surely is left until this deadline, at least (negative: passed)."""
        return min(self.boot_ns - now.boot_ns, self.raw_ns - now.raw_ns)

    def earlier(self, other: Instant) -> Instant:
        """A deadline that comes no later than either of the two, on each line."""
        return Instant(min(self.boot_ns, other.boot_ns), min(self.raw_ns, other.raw_ns))

    def later(self, other: Instant) -> Instant:
        """A deadline that comes no sooner than either of the two, on each line."""
        return Instant(max(self.boot_ns, other.boot_ns), max(self.raw_ns, other.raw_ns))


class Clock(Protocol):
    """Where instants come from: the kernel, or a test's hand."""

    def now(self) -> Instant:
        """This moment."""
        ...


class KernelClock:
    """The clocks of this host."""

    def now(self) -> Instant:
        """This moment, on both lines. The pair is read in the order that makes a delay between the readings look like time passed."""
        mono = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        raw = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        return Instant(boot, raw + boot - mono)


def boot_id() -> str:
    """The identity of this boot of the kernel: instants and embedded leases mean nothing under another."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
