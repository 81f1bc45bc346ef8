"""What a stalled former leader of an old etcd does to leases that live, and that Tenure waits where it may have done so.

Stopped for longer than the leases, it takes them to have ended when it wakes: it had no word of the renewals that its
successor granted. It revokes 16 at a time; those are lost, for it no longer leads. When they have timed out it sends the
rest to its successor, as any member may, and that one revokes them, though they live (etcd-io/etcd#15247).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.etcd import programs
from tests.net.hosts import why_not
from tests.net.witness import Verdict, terms
from tests.net.world import LEASE_S, NetWorld, now_ns

OLD = "3.4.23"
IN_FRONT = 17
"""Leases that end sooner than Tenure's, and so are revoked first."""

REVOKED_AFTER_S = 7
"""After waking: how long etcd waits for the revocations that are lost, five seconds and two election time-outs."""

ATTEMPTS = 4
"""It is a race: its successor's word may reach it before it has looked at the leases. Most are won."""


@pytest.mark.slow
@pytest.mark.xdist_group("net")
@pytest.mark.timeout(240)
def test_leases_that_a_stalled_leader_of_an_old_etcd_ends_early_make_two_leaders_but_for_the_wait() -> None:
    if why_not():
        pytest.skip(why_not())
    programs(OLD)
    with NetWorld(OLD) as world:
        script = [sys.executable, "-I", "-S", str(Path(__file__).with_name("leases.py"))]
        kept = world.desk.popen([*script, str(IN_FRONT), "5", *world.etcd.endpoints], output=subprocess.PIPE)
        assert kept.stdout.readline() == b"kept\n"
        wrong = after_an_early_end(world)
        assert not wrong, f"with the wait there were two: {wrong}; logs in {world.kept_as}"
        for host in world.hosts:
            host.extra |= {"PYTHONPATH": str(Path(__file__).with_name("trusting"))}
            for name in ("agent", "hold"):
                host.running[name].kill()
        world.calm()
        wrong = after_an_early_end(world)
        world.keep = False
        assert wrong.leaders or wrong.jobs, "without the wait there were not"
        kept.stdout.close()


def after_an_early_end(world: NetWorld) -> Verdict:
    """Stall etcd's leader until that has ended a lease which lives; then the verdict."""
    for _ in range(ATTEMPTS):
        if stalled(world):
            return world.judge()
    pytest.skip(f"etcd's leader was stalled {ATTEMPTS} times and ended no lease early")


def stalled(world: NetWorld) -> bool:
    """Stop etcd's leader for longer than the leases, and wake it; whether it has ended one that lives.

    Just before it may do so the unit that leads is cut off, so that nobody tells it.
    """
    etcds_leader = world.etcd.leader()
    etcds_leader.stop()
    world.pass_by(LEASE_S + 2)
    leader = world.leader(now_ns())
    before = terms(world.landed_lines())
    etcds_leader.go_on()
    world.pass_by(REVOKED_AFTER_S - 1)
    if terms(world.landed_lines()) > before:
        world.calm()
        return False  # it has done so before anybody was cut off
    cut = now_ns()
    world.cut_from_etcd(leader)
    world.until(lambda: terms(world.landed_lines()) > before, "another term")
    took_s = (now_ns() - cut) / 1e9
    world.calm()
    # The leader's lease was renewed at most an interval before the cut.
    return took_s < LEASE_S - 2
