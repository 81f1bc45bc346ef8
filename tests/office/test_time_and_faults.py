"""The driver with the time and the store's faults in the test's hand: what is believed when nothing can be known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tenure.alarm import HeldTime
from tenure.errors import NotLeader, StoreUnreachable
from tenure.office.driver.ledger import Ledger
from tenure.store.api import Delete, Put, Refused, created_at
from tenure.store.memory import MemoryStore
from tests.office.agents import HOLDER, SmallAgent, keys_of
from tests.office.faults import FaultyStore
from tests.waiting import until_async


class Stage:
    """web/0 on m0 holds the office, on a store that may fail; web/1 on m1 has a store that doesn't."""

    def __init__(self, tmp_path: Path) -> None:
        self.time = HeldTime()
        self.real = MemoryStore(clock=self.time, waiter=self.time)
        self.store = FaultyStore(self.real)
        self.folder = tmp_path
        self.agents: list[SmallAgent] = []

    async def agent(self, machine: str, unit: str, store: FaultyStore | MemoryStore) -> SmallAgent:
        agent = SmallAgent(store, self.folder, machine, clock=self.time, waiter=self.time)
        self.agents.append(agent)
        return await agent.start(unit)

    async def pass_time(self, seconds: float) -> None:
        self.time.advance(seconds)
        await quiet()

    async def renewing(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            await self.pass_time(1.0)


async def quiet() -> None:
    """Let the loop run until what can happen without time passing has happened."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    for agent in stage.agents:
        await agent.stop()
    await stage.real.close()


async def holder(stage: Stage) -> SmallAgent:
    agent = await stage.agent("m0", "web/0", stage.store)
    await until_async(lambda: agent["web/0"].term)
    return agent


async def test_a_holder_is_deposed_by_a_silent_store_no_sooner_than_the_documents_say_and_with_its_guarantee_left(
    stage: Stage,
) -> None:
    agent = await holder(stage)
    stage.store.fault = "silent"
    await stage.renewing(29)
    assert (await agent["web/0"].is_leader(1.0)).verdict == "yes"
    await stage.renewing(1)
    assert [term for _, term in agent.changes][1:] == [None]
    assert agent["web/0"].explain()["because"] == "renewal overdue"
    assert float(agent["web/0"].explain()["surely_left_s"] or 0) > 29.9
    assert (await agent["web/0"].is_leader()).verdict == "no"


async def test_a_deposed_unit_stays_deposed_when_the_store_is_back_and_another_is_elected(stage: Stage) -> None:
    agent = await holder(stage)
    other = await stage.agent("m1", "web/1", stage.real)
    await until_async(lambda: "web/1" in agent["web/0"].machine.picture.candidates)
    stage.store.fault = "silent"
    await stage.renewing(31)
    stage.store.fault = "none"
    for _ in range(1000):
        # In small steps: the line of succession is one of milliseconds.
        await stage.pass_time(0.005)
        if other["web/1"].term:
            break
    assert other["web/1"].term is not None
    assert agent.changes[-1] == ("web/0", None)


async def test_a_silent_store_costs_no_more_than_its_outage(stage: Stage) -> None:
    agent = await holder(stage)
    await stage.renewing(8)
    stage.store.fault = "silent"
    await stage.renewing(int(agent.session.timing.outage_ns / 1e9))
    stage.store.fault = "none"
    await stage.renewing(2)
    assert agent["web/0"].term is not None
    await stage.renewing(60)
    assert agent["web/0"].term is not None


async def test_the_first_answer_after_the_host_has_slept_is_no(stage: Stage) -> None:
    agent = await holder(stage)
    stage.time.advance(70.0)
    assert agent["web/0"].term is not None, "the loop hasn't run yet: this is what a sleeping host believes"
    assert (await agent["web/0"].is_leader()).verdict == "no"


async def test_asked_for_more_than_is_sure_it_renews_first_and_says_unknown_when_it_cannot(stage: Stage) -> None:
    agent = await holder(stage)
    await stage.pass_time(8.0)
    renewals = stage.store.calls.count("renew")
    assert (await agent["web/0"].is_leader(55.0)).verdict == "yes"
    assert stage.store.calls.count("renew") == renewals + 1
    await stage.pass_time(8.0)
    stage.store.fault = "silent"
    asked = asyncio.create_task(agent["web/0"].is_leader(55.0))
    await quiet()
    assert not asked.done()
    await stage.renewing(2)
    answer = await asked
    assert answer.verdict == "unknown"
    assert answer.owed_s == 0


async def test_a_claim_whose_answer_is_lost_is_taken_up_once_it_is_read(stage: Stage) -> None:
    stage.store.fault, stage.store.only_for = "answer lost", HOLDER
    agent = await holder(stage)
    item = (await stage.real.read(HOLDER)).items[HOLDER]
    assert agent["web/0"].term == item.mod_revision
    await until_async(lambda: "unsure of its claim" in [event for event, _ in agent.logged])


async def test_a_release_whose_answer_is_lost_is_settled_by_reading_and_nothing_is_believed_meanwhile(
    stage: Stage,
) -> None:
    agent = await holder(stage)
    stage.store.fault = "silent"
    release = asyncio.create_task(agent["web/0"].release())
    await quiet()
    assert agent["web/0"].state == "giving up"
    assert (await agent["web/0"].is_leader(0.0)).verdict == "no"
    await stage.renewing(3)
    assert not release.done()
    stage.store.fault = "none"
    await stage.renewing(2)
    await release


async def test_a_disk_that_takes_no_verdict_leaves_nothing_that_a_successor_could_take_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await holder(stage)

    def full(self: Ledger) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Ledger, "_write", full)
    stage.store.fault = "silent"
    await stage.renewing(31)
    assert (await agent["web/0"].is_leader()).verdict == "no"
    monkeypatch.undo()
    await agent.stop()
    stage.store.fault = "none"
    again = await stage.agent("m0", "web/0", stage.store)
    await quiet()
    assert again["web/0"].term is None, "the verdict could not be saved, so neither may the lease be known"


async def test_a_store_that_cannot_be_reached_is_logged_once(stage: Stage) -> None:
    agent = await holder(stage)
    stage.store.fault = "unreachable"
    await stage.renewing(20)
    stage.store.fault = "none"
    await stage.renewing(2)
    events = [event for event, _ in agent.logged if "store" in event]
    assert events == ["the store is silent", "the store answers again"]


async def test_waiting_for_a_debt_counts_on_the_unslewed_line(stage: Stage) -> None:
    agent = await holder(stage)
    await agent["web/0"].is_leader(20.0)
    release = asyncio.create_task(agent["web/0"].release())
    for _ in range(20):
        stage.time.advance(1.0, slewed_by=0.08)
        await quiet()
    assert agent["web/0"].state == "ending", "a clock that is slewed to be fast shortens no debt"
    await stage.renewing(2)
    await release


async def test_the_body_of_a_scope_is_cancelled_with_the_guarantee_left_when_the_store_is_silent(stage: Stage) -> None:
    agent = await holder(stage)
    left_s: list[float] = []

    async def body() -> None:
        async with agent["web/0"].scope():
            try:
                await asyncio.Event().wait()
            finally:
                left_s.append(agent.session.sure_until.left_ns(stage.time.now()) / 1e9)

    work = asyncio.create_task(body())
    await quiet()
    stage.store.fault = "silent"
    await stage.renewing(29)
    assert not work.done()
    await stage.renewing(1)
    with pytest.raises(NotLeader, match="has ended"):
        await work
    assert left_s == [pytest.approx(29.94, abs=0.01)]


async def test_a_scope_whose_task_is_cancelled_by_somebody_else_is_cancelled_and_the_term_stays(stage: Stage) -> None:
    agent = await holder(stage)

    async def body() -> None:
        async with agent["web/0"].scope():
            await asyncio.Event().wait()

    work = asyncio.create_task(body())
    await quiet()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert agent["web/0"].term is not None


async def test_a_clean_end_is_no_start_that_counts_against_an_agent(stage: Stage) -> None:
    for _ in range(4):
        agent = await holder(stage)
        await agent.stop(hand_over=True)
    assert (await holder(stage))["web/0"].term is not None


async def test_whoever_waits_for_an_agent_that_stops_is_told_so(stage: Stage) -> None:
    agent = await holder(stage)
    await agent["web/0"].is_leader()
    stage.store.fault = "silent"
    release = asyncio.create_task(agent["web/0"].release())
    leaving = asyncio.create_task(agent["web/0"].withdraw())
    await quiet()
    await agent.stop()
    with pytest.raises(StoreUnreachable, match="has stopped"):
        await release
    leaving.cancel()


async def test_a_present_key_that_lands_after_its_unit_is_removed_lands_nowhere(stage: Stage) -> None:
    keys = keys_of("web/0")
    stage.store.hold = keys.present
    agent = await stage.agent("m0", "web/0", stage.store)
    await until_async(lambda: stage.store.held)
    leaving = asyncio.create_task(agent["web/0"].withdraw())
    for _ in range(8):
        await stage.pass_time(0.5)
    await leaving
    await stage.real.commit([], [Delete(keys.unit_info)])
    outcomes = await stage.store.land()
    assert outcomes
    assert all(isinstance(outcome, Refused) for outcome in outcomes)
    assert keys.present not in (await stage.real.read(keys.present)).items


async def test_a_unit_that_is_gone_is_not_kept_present_and_nothing_is_tried_again_and_again(stage: Stage) -> None:
    agent = await holder(stage)
    keys = keys_of("web/0")
    await stage.real.commit([], [Delete(keys.unit_info), Delete(keys.present)])
    stage.store.calls.clear()
    agent.session.keep(keys.present, b"{}", (created_at(keys.unit_info, 1),))
    await quiet()
    await stage.pass_time(3)
    assert stage.store.calls.count("commit") <= 2
    assert keys.present not in (await stage.real.read(keys.present)).items


@pytest.mark.parametrize("living", [False, True], ids=["under a restarted agent", "under a living agent"])
async def test_a_deposed_term_is_not_taken_up_again_from_an_older_copy_of_the_state_folder(
    stage: Stage, living: bool
) -> None:
    agent = await holder(stage)
    desk = agent.folder / "desk.json"
    copy, term = desk.read_bytes(), agent["web/0"].term
    stage.store.fault = "silent"
    await stage.renewing(31)
    assert agent["web/0"].explain()["because"] == "renewal overdue"
    if living:
        desk.write_bytes(copy)
    await agent.stop()
    desk.write_bytes(copy)
    stage.store.fault = "none"
    again = await stage.agent("m0", "web/0", stage.store)
    await until_async(lambda: again.session.lease)
    await stage.renewing(5)
    assert (await stage.real.read(HOLDER)).items[HOLDER].mod_revision == term, "its lease lasts"
    assert again["web/0"].term is None
    assert (await again["web/0"].is_leader(1.0)).verdict == "no"
    await stage.renewing(40)
    assert again["web/0"].term not in (None, term), "a new term, once that lease has run out"


async def test_an_agent_that_has_handed_everything_over_leaves_nothing_to_be_taken_up(stage: Stage) -> None:
    agent = await holder(stage)
    copy = (agent.folder / "desk.json").read_bytes()
    await agent.stop(hand_over=True)
    assert [path.name for path in agent.folder.iterdir()] == ["terms.json"]
    assert not agent.beside.exists()
    (agent.folder / "desk.json").write_bytes(copy)
    again = await stage.agent("m0", "web/0", stage.store)
    assert again.session.machine.renewing == 0, "the copy's lease isn't asked for"
    await until_async(lambda: again["web/0"].term)


async def test_nobody_who_knows_a_greater_term_is_a_candidate_in_a_store_that_was_put_back(
    stage: Stage, tmp_path: Path
) -> None:
    agent = await holder(stage)
    for _ in range(5):
        await agent["web/0"].release()
        await until_async(lambda: agent["web/0"].term)
    known = agent["web/0"].term
    await agent.stop(hand_over=True)
    older = MemoryStore(clock=stage.time, waiter=stage.time)
    again = SmallAgent(older, tmp_path, "m0", clock=stage.time, waiter=stage.time)
    stage.agents.append(again)
    await again.start("web/0")
    await until_async(lambda: again.session.lease and again["web/0"].machine.picture.revision)
    await stage.renewing(3)
    assert again["web/0"].term is None
    assert again["web/0"].explain()["store_went_back_behind_term"] == known
    assert [fields["hint"] for event, fields in again.logged if event.startswith("no candidate")] == [
        f"end all agents, then: tenure store raise-terms {int(known or 0) + 10_000}"
    ]
    while older.world.revision < int(known or 0):
        await older.commit([], [Put("elsewhere", b"")])
    await older.commit([], [Put(f"{keys_of('web/0').terms}0", b"")])
    await until_async(lambda: again["web/0"].term)
    item = (await older.read(HOLDER)).items[HOLDER]
    assert item.mod_revision > int(known or 0)


async def test_a_term_that_another_has_followed_is_not_taken_up_when_the_store_was_put_back(stage: Stage) -> None:
    """The lease and the key of that time are back, as after `etcdctl snapshot restore` with its revisions moved on."""
    agent = await holder(stage)
    older, desk, lease = agent["web/0"].term, agent.folder / "desk.json", agent.session.lease
    (item,) = (await stage.real.read(HOLDER)).items.values()
    terms = agent.folder / "terms.json"
    await agent.stop()
    terms.write_text(f'{{"web/leader": {int(older or 0) + 50}}}')
    while stage.real.world.revision < int(older or 0) + 100:
        await stage.real.commit([], [Put("elsewhere", b"")])
    assert desk.exists()
    assert item.lease == lease
    again = await stage.agent("m0", "web/0", stage.store)
    await until_async(lambda: again["web/0"].state == "ending")
    assert again.changes == []
    await stage.renewing(62)
    await until_async(lambda: again["web/0"].term)
    (item,) = (await stage.real.read(HOLDER)).items.values()
    assert item.mod_revision > int(older or 0) + 50
