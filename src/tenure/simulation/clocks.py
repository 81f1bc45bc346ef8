"""A host's clocks, as a function of real time: each of another rate, BOOTTIME slewed at times, the host asleep at times."""

from __future__ import annotations

from tenure.clock import Instant


class HostClock:
    """The two time lines of `tenure.clock`, computed from readings of BOOTTIME, MONOTONIC and MONOTONIC_RAW.

    `rate`: of the host's crystal, against real time. Slewing changes BOOTTIME and MONOTONIC, never RAW; while the host
    sleeps, BOOTTIME alone goes on.
    """

    __slots__ = ("_boot", "_mono", "_raw", "_since", "_slew", "asleep", "boot_rate", "fastest", "rate")

    def __init__(self, rate: float, boot_ns: int) -> None:
        self.rate = rate
        self.asleep = False
        self._slew = 0.0
        self._since = 0
        self._boot = self._mono = self._raw = boot_ns
        self.boot_rate = self.fastest = rate

    def now(self, real_ns: int) -> Instant:
        """What KernelClock would say at this moment."""
        passed = real_ns - self._since
        boot = self._boot + int(passed * self.boot_rate)
        if self.asleep:
            return Instant(boot, self._raw + boot - self._mono)
        # RAW plus what was slept, where BOOTTIME and MONOTONIC go at one rate.
        lag = self._boot - self._mono
        new = tuple.__new__
        return new(Instant, (boot, self._raw + lag + int(passed * self.rate)))

    def readings(self, real_ns: int) -> tuple[int, int, int]:
        """BOOTTIME, MONOTONIC, MONOTONIC_RAW."""
        passed = real_ns - self._since
        boot = int(passed * self.boot_rate)
        if self.asleep:
            return self._boot + boot, self._mono, self._raw
        return self._boot + boot, self._mono + boot, self._raw + int(passed * self.rate)

    def slew(self, real_ns: int, by: float) -> None:
        """From now on the slewed clocks go faster (slower, if negative) by this part."""
        self._mark(real_ns)
        self._slew = by
        self._set()

    def sleep(self, real_ns: int) -> None:
        """The host is suspended."""
        self._mark(real_ns)
        self.asleep = True
        self._set()

    def wake(self, real_ns: int) -> None:
        """The host goes on."""
        self._mark(real_ns)
        self.asleep = False
        self._set()

    def reboot(self, real_ns: int) -> None:
        """All clocks begin anew."""
        self._since, self._boot, self._mono, self._raw = real_ns, 0, 0, 0
        self.asleep = False
        self._slew = 0.0
        self._set()

    def real_ns(self, span_ns: int) -> int:
        """How much real time a span of the unslewed line is."""
        return int(span_ns / self.rate)

    def _mark(self, real_ns: int) -> None:
        self._boot, self._mono, self._raw = self.readings(real_ns)
        self._since = real_ns

    def _set(self) -> None:
        # What a sleep adds to BOOTTIME comes from a hardware clock: it isn't slewed.
        self.boot_rate = self.rate if self.asleep else self.rate * (1 + self._slew)
        self.fastest = max(self.rate, self.boot_rate)
