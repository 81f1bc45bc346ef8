"""A simulated host's clocks say what the kernel's would."""

from __future__ import annotations

from tenure.clock import NS_PER_S
from tenure.simulation.clocks import HostClock


def test_both_lines_go_at_the_hosts_own_rate() -> None:
    clock = HostClock(1.0005, 0)
    now = clock.now(1000 * NS_PER_S)
    assert now == (1000_500_000_000, 1000_500_000_000)


def test_slewing_moves_the_one_line_and_not_the_other() -> None:
    clock = HostClock(1.0, 0)
    clock.slew(0, 0.08)
    assert clock.now(100 * NS_PER_S) == (108 * NS_PER_S, 100 * NS_PER_S)
    clock.slew(100 * NS_PER_S, 0.0)
    assert clock.now(200 * NS_PER_S) == (208 * NS_PER_S, 200 * NS_PER_S)


def test_both_lines_count_what_the_host_slept_though_raw_and_monotonic_stand_still() -> None:
    clock = HostClock(1.0, 0)
    clock.sleep(10 * NS_PER_S)
    boot, mono, raw = clock.readings(40 * NS_PER_S)
    assert (boot, mono, raw) == (40 * NS_PER_S, 10 * NS_PER_S, 10 * NS_PER_S)
    clock.wake(40 * NS_PER_S)
    assert clock.now(50 * NS_PER_S) == (50 * NS_PER_S, 50 * NS_PER_S)
    assert clock.readings(50 * NS_PER_S) == (50 * NS_PER_S, 20 * NS_PER_S, 20 * NS_PER_S)


def test_a_sleep_is_not_slewed() -> None:
    clock = HostClock(1.0, 0)
    clock.slew(0, 0.08)
    clock.sleep(0)
    clock.wake(100 * NS_PER_S)
    assert clock.now(100 * NS_PER_S) == (100 * NS_PER_S, 100 * NS_PER_S)


def test_a_reboot_begins_anew() -> None:
    clock = HostClock(1.0, 5 * NS_PER_S)
    clock.reboot(100 * NS_PER_S)
    assert clock.now(101 * NS_PER_S) == (NS_PER_S, NS_PER_S)


def test_no_line_ever_goes_back() -> None:
    clock = HostClock(0.9995, 3)
    before = clock.now(0)
    for step in range(1, 200):
        real = step * NS_PER_S
        change = (lambda at: clock.slew(at, -0.08), clock.sleep, clock.wake, lambda at: clock.slew(at, 0.08))[step % 4]
        change(real)
        now = clock.now(real)
        assert now.boot_ns >= before.boot_ns
        assert now.raw_ns >= before.raw_ns
        before = now
