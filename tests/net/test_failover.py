"""Whatever breaks between three hosts and three etcds: never two leaders, never two commands, no accepted setting lost.

Each test breaks something; afterwards everything is healed, and the witnesses are asked, who use none of Tenure's code. All
share one network and one cluster, so that what one fault has left behind is there in the next.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.etcd import newest
from tests.net.hosts import why_not
from tests.net.witness import terms
from tests.net.world import LEASE_S, NetWorld, TenureHost, now_ns

# One world for all, also where tests run in several processes (--dist loadgroup).
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.xdist_group("net")]


@pytest.fixture(scope="module")
def shared_world() -> Iterator[NetWorld]:
    if why_not():
        pytest.skip(why_not())
    with NetWorld(newest()) as world:
        yield world


@pytest.fixture
def world(shared_world: NetWorld) -> Iterator[NetWorld]:
    """All is well before a test. Afterwards all is well again, the units agree, and the witnesses have seen nothing wrong."""
    yield shared_world
    shared_world.calm()
    verdict = shared_world.judge()
    assert not verdict, f"{verdict}; logs in {shared_world.kept_as}"
    assert terms(shared_world.landed_lines()) > 0, "the witnesses have seen nothing"


def deposed(world: NetWorld, host: TenureHost, since_ns: int) -> None:
    """Wait until the host's unit has run leader-deposed, and not late."""
    world.until(
        lambda: [
            line
            for line in world.witness.said("deposed")
            if line["unit"] == host.who and line["at"] > since_ns and not line["late"]
        ],
        f"leader-deposed of {host.unit}",
    )


def test_after_a_power_failure_of_the_leaders_host_another_leads(world: NetWorld) -> None:
    leader, at = world.leader(now_ns()), now_ns()
    leader.power_off()
    world.leader(at, leader)
    world.job(at)


@pytest.mark.parametrize(("requests", "answers"), [(True, True), (True, False), (False, True)])
def test_a_leader_that_etcd_is_not_heard_by_or_does_not_hear_is_deposed_in_time_and_followed(
    world: NetWorld, requests: bool, answers: bool
) -> None:
    leader, at = world.leader(now_ns()), now_ns()
    world.cut_from_etcd(leader, requests=requests, answers=answers)
    world.leader(at, leader)
    deposed(world, leader, at)


def test_one_etcd_host_that_is_cut_off_costs_no_leader_its_term(world: NetWorld) -> None:
    etcds_leader = world.etcd.leader()
    term = world.term(now_ns())
    at = now_ns()
    follower = next(member for member in world.etcd.members if member is not etcds_leader)
    world.network.isolate(world.host_of(follower))
    world.pass_by(LEASE_S)
    assert world.term(at + LEASE_S * 10**9) == term


def test_etcds_own_leader_that_is_cut_off_is_survived(world: NetWorld) -> None:
    world.network.isolate(world.host_of(world.etcd.leader()))
    at = now_ns()
    world.leader(at + LEASE_S * 10**9)
    world.job(at + LEASE_S * 10**9)


def test_a_leader_whose_agent_is_stopped_for_longer_than_its_lease_wakes_to_find_another(world: NetWorld) -> None:
    leader, at = world.leader(now_ns()), now_ns()
    leader.running["agent"].stop()
    world.leader(at, leader)
    deposed(world, leader, at)
    leader.running["agent"].go_on()


def test_without_a_quorum_of_etcd_for_longer_than_a_lease_nobody_leads_and_with_it_again_somebody_does(
    world: NetWorld,
) -> None:
    leader, at = world.leader(now_ns()), now_ns()
    for member in world.etcd.members[:2]:
        member.kill()
    deposed(world, leader, at)
    world.pass_by(LEASE_S)
    silent = now_ns()
    world.pass_by(1)
    assert [claim for claim in world.witness.leaders() if claim.last > silent] == []
    assert [job for job in world.witness.jobs() if job.last > silent] == []


def test_a_member_of_etcd_can_be_replaced_under_way(world: NetWorld) -> None:
    etcds_leader = world.etcd.leader()
    term = world.term(now_ns())
    follower = next(member for member in world.etcd.members if member is not etcds_leader)
    world.etcd.replace(follower)
    world.pass_by(1)
    assert world.term(now_ns()) == term


def test_compaction_and_defragmentation_cost_no_leader_its_term(world: NetWorld) -> None:
    term = world.term(now_ns())
    for _ in range(3):
        world.compact()
    world.pass_by(1)
    assert world.term(now_ns()) == term


def test_a_wall_clock_that_jumps_by_an_hour_forward_and_back_changes_nothing(world: NetWorld) -> None:
    if not world.wall_clock.can_be_had:
        pytest.skip("there is no C compiler to make what moves a process's wall clock: apt-get install gcc")
    host = world.hosts[2]
    if world.leader(now_ns()) is not host:
        world.tenure("transfer", host.unit)
    assert world.leader(now_ns()) is host
    term = world.term()
    for jump_s in (3600, -3600, 0):
        world.wall_clock.move(jump_s)
        at = now_ns()
        world.pass_by(LEASE_S / 3)
        assert world.term(at + LEASE_S * 300_000_000) == term
