"""The driver on a store whose members change their leader: which renewals count, and what follows a lease that ended early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tenure.alarm import HeldTime
from tenure.store.memory import MemoryStore
from tests.office.agents import SmallAgent
from tests.office.members import MembersStore
from tests.office.test_time_and_faults import quiet
from tests.waiting import until_async

TTL_S, GUARANTEE_S = 14, 5.0


class Stage:
    """Agents on a store with members, the time in the test's hand."""

    def __init__(self, tmp_path: Path, *, may_end_early: bool) -> None:
        self.time = HeldTime()
        self.real = MemoryStore(clock=self.time, waiter=self.time)
        self.early = may_end_early
        self.folder = tmp_path
        self.agents: list[SmallAgent] = []

    async def agent(self, machine: str, unit: str) -> tuple[SmallAgent, MembersStore]:
        store = MembersStore(self.real, may_end_early=self.early)
        agent = SmallAgent(store, self.folder, machine, clock=self.time, waiter=self.time)
        self.agents.append(agent)
        return await agent.start(unit, ttl_s=TTL_S, guarantee_s=GUARANTEE_S), store

    async def pass_time(self, seconds: float, step: float = 0.25) -> None:
        for _ in range(round(seconds / step)):
            self.time.advance(step)
            await quiet()

    async def stop(self) -> None:
        for agent in self.agents:
            await agent.stop()
        await self.real.close()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path, may_end_early=False)
    yield stage
    await stage.stop()


@pytest.fixture
async def early(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path, may_end_early=True)
    yield stage
    await stage.stop()


async def test_a_holder_whose_renewals_are_confirmed_keeps_its_term(stage: Stage) -> None:
    agent, _ = await stage.agent("m0", "web/0")
    await until_async(lambda: agent["web/0"].term)
    await stage.pass_time(5 * TTL_S)
    assert [term for _, term in agent.changes if term is None] == []
    assert agent["web/0"].term is not None


async def test_an_idle_session_makes_one_renewal_and_one_confirming_read_an_interval_and_writes_nothing(
    stage: Stage,
) -> None:
    agent, store = await stage.agent("m0", "web/0")
    await until_async(lambda: agent["web/0"].term)
    await stage.pass_time(3)
    store.calls.clear()
    await stage.pass_time(TTL_S)
    assert sorted(store.calls) == ["read"] * 7 + ["renew"] * 7


async def test_what_a_former_leader_of_the_store_answers_makes_nothing_sure_and_the_next_renewal_does(
    stage: Stage,
) -> None:
    agent, store = await stage.agent("m0", "web/0")
    await until_async(lambda: agent["web/0"].term)
    await stage.pass_time(3)
    before, renewals = agent.session.sure_until, store.calls.count("renew")
    store.former = True
    while store.former:
        assert agent.session.sure_until == before
        await stage.pass_time(0.25)
    await stage.pass_time(0.25)
    assert store.calls.count("renew") == renewals + 2, "the one that counts is sent at once"
    assert agent.session.sure_until.boot_ns > before.boot_ns


async def test_renewals_of_a_former_leader_are_not_confirmed_by_reads_of_another_member(stage: Stage) -> None:
    agent, store = await stage.agent("m0", "web/0")
    await until_async(lambda: agent["web/0"].term)
    store.renews_aside = True
    await stage.pass_time(TTL_S - GUARANTEE_S)
    assert agent["web/0"].term is None
    assert agent["web/0"].explain()["because"] == "renewal overdue"


async def test_a_fail_over_to_another_member_keeps_the_term(stage: Stage) -> None:
    agent, store = await stage.agent("m0", "web/0")
    await until_async(lambda: agent["web/0"].term)
    for member in (2, 3, 1, 2):
        store.member = member
        await stage.pass_time(3)
    assert agent.changes == [("web/0", agent["web/0"].term)]


class Pair:
    """web/0 holds the office, and is cut off; then a former leader of the store ends its lease, long before its time."""

    def __init__(self, stage: Stage, first: SmallAgent, second: SmallAgent) -> None:
        self.stage, self.first, self.second = stage, first, second
        self.claimed_at = stage.time.now()

    def believers(self) -> list[str]:
        now = self.stage.time.now()
        machines = [self.first["web/0"].machine, self.second["web/1"].machine]
        return [machine.unit for machine in machines if machine.believes(now)]


async def pair(stage: Stage, *, waits: bool = True) -> Pair:
    first, store = await stage.agent("m0", "web/0")
    await until_async(lambda: first["web/0"].term)
    stage.early = waits
    second, _ = await stage.agent("m1", "web/1")
    await until_async(lambda: "web/1" in first["web/0"].machine.picture.candidates)
    await stage.pass_time(2.25)
    store.cut()
    store.end_early(first.session.lease)
    return Pair(stage, first, second)


async def test_a_successor_of_a_lease_that_ended_early_believes_nothing_until_the_former_term_is_over_by_its_own_clock(
    early: Stage,
) -> None:
    trial = await pair(early)
    second, states = trial.second["web/1"], set()
    while second.term is None:
        assert (await second.is_leader(0.0)).verdict == "no"
        await early.pass_time(0.25)
        assert len(trial.believers()) < 2
        states.add(second.state)
        assert early.time.now().boot_ns - trial.claimed_at.boot_ns < 2 * TTL_S * 1e9
    assert "waiting out" in states
    assert early.time.now().boot_ns - trial.claimed_at.boot_ns >= TTL_S * 1e9
    assert trial.believers() == ["web/1"]


async def test_without_the_wait_two_would_believe_at_once(early: Stage) -> None:
    """What the rule is for: the same trace with the wait left out."""
    trial = await pair(early, waits=False)
    await early.pass_time(1)
    assert trial.believers() == ["web/0", "web/1"]


async def test_what_was_waited_out_is_struck_off_and_no_later_holder_waits_again(early: Stage) -> None:
    trial = await pair(early)
    second = trial.second["web/1"]
    while second.term is None:
        await early.pass_time(0.25)
    await early.pass_time(1)
    assert second.machine.picture.unclean() == ()
    third, _ = await early.agent("m2", "web/2")
    await until_async(lambda: "web/2" in second.machine.picture.candidates)
    moving = asyncio.create_task(second.transfer("web/2"))
    await early.pass_time(2)
    assert await moving is True
    assert third["web/2"].term is not None, "a clean end is waited for by nobody"


async def test_a_successor_that_dies_while_it_waits_leaves_the_wait_to_the_next(early: Stage) -> None:
    trial = await pair(early)
    await until_async(lambda: trial.second["web/1"].state == "waiting out")
    third, _ = await early.agent("m2", "web/2")
    await trial.second.stop()
    died_at = early.time.now()
    while third["web/2"].term is None:
        await early.pass_time(0.25)
        assert early.time.now().boot_ns - died_at.boot_ns < 3 * TTL_S * 1e9
    waited_s = (early.time.now().boot_ns - died_at.boot_ns) / 1e9
    assert waited_s >= TTL_S - 2.25 + TTL_S, "web/1's lease runs out, then web/0's and its own are waited out"


@pytest.mark.slow
async def test_the_wait_is_kept_in_real_time(tmp_path: Path) -> None:
    real = MemoryStore()
    stores = [MembersStore(real, may_end_early=True) for _ in range(2)]
    first = await SmallAgent(stores[0], tmp_path, "m0").start("web/0", ttl_s=2, guarantee_s=0.6)
    await until_async(lambda: first["web/0"].term)
    second = await SmallAgent(stores[1], tmp_path, "m1").start("web/1", ttl_s=2, guarantee_s=0.6)
    await until_async(lambda: "web/1" in first["web/0"].machine.picture.candidates)
    stores[0].cut()
    ended_at = second.clock.now()
    stores[0].end_early(first.session.lease)
    await until_async(lambda: second["web/1"].term)
    now = second.clock.now()
    assert now.raw_ns - ended_at.raw_ns >= 2e9
    assert not first["web/0"].machine.believes(now)
    await first.stop()
    await second.stop()
    await real.close()
