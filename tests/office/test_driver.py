"""The driver, with real desks over real stores: what the machines promise, kept in one process by several agents."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from tenure.errors import BadInput, NotLeader
from tenure.store import open_store
from tenure.store.api import Committed, Delete, Put, Store
from tests.office.agents import HOLDER, LAST, PAUSED, PREFIX, TERMS, SmallAgent, keys_of
from tests.waiting import until_async

Opener = Callable[[], Awaitable[Store]]


@pytest.fixture(params=["memory", "sqlite"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    url = f"memory://{tmp_path}" if request.param == "memory" else f"sqlite://{tmp_path}/tenure.db"
    stores: list[Store] = []

    async def one_more() -> Store:
        stores.append(await open_store(url))
        return stores[-1]

    yield one_more
    for store in stores:
        await store.close()


async def two(opened: Opener, tmp_path: Path, *, ttl_s: int = 60) -> tuple[SmallAgent, SmallAgent]:
    """web/0 holds the office, web/1 is there."""
    first = await SmallAgent(await opened(), tmp_path, "m0").start("web/0", ttl_s=ttl_s)
    await until_async(lambda: first["web/0"].term)
    second = await SmallAgent(await opened(), tmp_path, "m1").start("web/1", ttl_s=ttl_s)
    await until_async(lambda: "web/1" in first["web/0"].machine.picture.candidates)
    await until_async(lambda: second["web/1"].machine.picture.holder)
    return first, second


async def history(store: Store) -> list[dict[str, object]]:
    found = (await store.read(TERMS)).items.values()
    return sorted((msgspec.json.decode(item.value) for item in found), key=lambda term: term["number"])


async def test_of_five_candidates_one_is_elected(opened: Opener, tmp_path: Path) -> None:
    agents = [await SmallAgent(await opened(), tmp_path, f"m{n}").start(f"web/{n}") for n in range(5)]
    await until_async(lambda: [c for a in agents for c in a.candidates.values() if c.term])
    await until_async(lambda: all(c.machine.picture.holder for a in agents for c in a.candidates.values()))
    held = [c for a in agents for c in a.candidates.values() if c.term]
    assert len(held) == 1
    item = (await agents[0].store.read(HOLDER)).items[HOLDER]
    assert held[0].term == item.mod_revision
    for agent in agents:
        await agent.stop()


async def test_is_leader_is_a_yes_for_the_holder_alone(opened: Opener, tmp_path: Path) -> None:
    first, second = await two(opened, tmp_path)
    yes = await first["web/0"].is_leader()
    assert (yes.verdict, yes.term) == ("yes", first["web/0"].term)
    assert 30 < yes.owed_s <= 31
    assert yes.surely_left_s > 31
    assert (await second["web/1"].is_leader()).verdict == "no"
    with pytest.raises(BadInput, match="can't vouch for 60 s"):
        await first["web/0"].is_leader(60.0)
    await first.stop()
    await second.stop()


async def test_an_idle_holder_hands_over_to_a_named_unit_without_a_gap(opened: Opener, tmp_path: Path) -> None:
    first, second = await two(opened, tmp_path)
    old = first["web/0"].term
    began = time.monotonic()
    assert await first["web/0"].transfer("web/1") is True
    await until_async(lambda: second["web/1"].term)
    assert time.monotonic() - began < 5
    assert first["web/0"].term is None
    new = second["web/1"].term
    assert old is not None
    assert new is not None
    assert new > old
    past = await history(first.store)
    assert [(term["number"], term["unit"], term["how"]) for term in past] == [(old, "web/0", "transferred")]
    await first.stop()
    await second.stop()


async def test_a_transfer_to_a_unit_that_is_not_there_changes_nothing(opened: Opener, tmp_path: Path) -> None:
    first, second = await two(opened, tmp_path)
    before = (await first.store.read(PREFIX)).revision
    term = first["web/0"].term
    assert await first["web/0"].transfer("web/7") is False
    assert await first["web/0"].transfer("web/0") is False
    assert await second["web/1"].transfer("web/0") is False
    assert first["web/0"].term == term
    assert (await first.store.read(PREFIX)).revision == before
    await first.stop()
    await second.stop()


async def test_a_hand_over_waits_for_a_hooks_debt_and_goes_on_once_the_hook_is_gone(
    opened: Opener, tmp_path: Path
) -> None:
    first, second = await two(opened, tmp_path)
    holder = first["web/0"]
    assert (await holder.is_leader(debtor="hook-1")).verdict == "yes"
    transfer = asyncio.create_task(holder.transfer("web/1"))
    await until_async(lambda: holder.state == "ending")
    assert (await holder.is_leader(debtor="hook-2")).verdict == "no"
    assert second["web/1"].term is None
    holder.settle("hook-1")
    assert await transfer is True
    await until_async(lambda: second["web/1"].term)
    await first.stop()
    await second.stop()


async def test_a_release_at_once_breaks_a_debt_and_the_history_says_so(opened: Opener, tmp_path: Path) -> None:
    first, second = await two(opened, tmp_path)
    assert (await first["web/0"].is_leader()).verdict == "yes"
    await first["web/0"].release(at_once=True)
    assert [term["how"] for term in await history(first.store)] == ["released at once"]
    await first.stop()
    await second.stop()


async def test_an_agent_that_ends_hands_over_at_once_and_leaves_no_key_of_its_own(
    opened: Opener, tmp_path: Path
) -> None:
    first, second = await two(opened, tmp_path)
    began = time.monotonic()
    await first.stop(hand_over=True)
    await until_async(lambda: second["web/1"].term)
    assert time.monotonic() - began < 5
    keys = (await second.store.read(PREFIX)).items
    assert f"{PREFIX}units/web/0/present" not in keys
    assert b"released" in keys[LAST].value or b"web/1" in keys[LAST].value
    await second.stop()


async def test_a_restarted_agent_takes_its_term_up_again_and_owes_what_its_forerunner_promised(
    opened: Opener, tmp_path: Path
) -> None:
    first, second = await two(opened, tmp_path)
    term = first["web/0"].term
    await first.stop()
    again = await SmallAgent(await opened(), tmp_path, "m0").start("web/0")
    await until_async(lambda: again["web/0"].term)
    assert again["web/0"].term == term
    assert 59 < float(again["web/0"].explain()["owed_s"] or 0) <= 61
    assert second["web/1"].term is None
    await again.stop()
    await second.stop()


@pytest.mark.slow
async def test_a_term_that_was_ending_when_the_agent_died_is_ended_by_its_successor(
    opened: Opener, tmp_path: Path
) -> None:
    first, second = await two(opened, tmp_path)
    await first["web/0"].is_leader(1.0)
    ending = asyncio.create_task(first["web/0"].release())
    await until_async(lambda: first["web/0"].state == "ending")
    await first.stop()
    ending.cancel()
    again = await SmallAgent(await opened(), tmp_path, "m0").start("web/0")
    await until_async(lambda: again["web/0"].state == "ending")
    assert again.changes == []
    assert (await again["web/0"].is_leader()).verdict == "no"
    await until_async(lambda: again["web/0"].term or second["web/1"].term)
    assert [term["how"] for term in await history(second.store)] == ["released"]
    await again.stop()
    await second.stop()


async def test_a_holder_whose_key_is_deleted_by_a_hand_stops_believing(opened: Opener, tmp_path: Path) -> None:
    first, second = await two(opened, tmp_path)
    term = first["web/0"].term
    await first.store.commit([], [Delete(HOLDER)])
    await until_async(lambda: ("web/0", None) in first.changes)
    await until_async(lambda: first["web/0"].term or second["web/1"].term)
    assert first["web/0"].term != term
    await first.stop()
    await second.stop()


@pytest.mark.slow
async def test_after_a_silent_death_the_next_unit_is_elected_soon_after_the_leases_end_and_never_before(
    opened: Opener, tmp_path: Path
) -> None:
    first, second = await two(opened, tmp_path, ttl_s=2)
    sent_at = first.session.machine.sure_sent_at
    await first.stop()
    await until_async(lambda: second["web/1"].term)
    since_renewal_s = (second.clock.now().boot_ns - sent_at.boot_ns) / 1e9
    assert 2.0 <= since_renewal_s < 6.0
    assert (await history(second.store))[-1]["how"] == "expired"
    await second.stop()


async def test_three_starts_within_a_lease_without_a_finished_hook_end_the_terms(
    opened: Opener, tmp_path: Path
) -> None:
    agent = await SmallAgent(await opened(), tmp_path, "m0").start("web/0", ttl_s=60)
    await until_async(lambda: agent["web/0"].term)
    for _ in range(2):
        await agent.stop()
        agent = await SmallAgent(await opened(), tmp_path, "m0").start("web/0", ttl_s=60)
        await until_async(lambda: agent["web/0"].state in ("holding", "ending"))  # noqa: B023
    assert agent["web/0"].term is None
    assert agent["web/0"].explain()["because"] == "crash loop"
    await agent.stop()


async def test_a_finished_hook_forgives_the_starts_before_it(opened: Opener, tmp_path: Path) -> None:
    agent = await SmallAgent(await opened(), tmp_path, "m0").start("web/0", ttl_s=60)
    await until_async(lambda: agent["web/0"].term)
    for _ in range(4):
        agent.desk.hook_finished()
        await agent.stop()
        agent = await SmallAgent(await opened(), tmp_path, "m0").start("web/0", ttl_s=60)
        await until_async(lambda: agent["web/0"].term)  # noqa: B023
    await agent.stop()


async def test_the_body_of_a_scope_is_cancelled_when_the_term_ends_and_the_next_holder_waits_for_it(
    opened: Opener, tmp_path: Path
) -> None:
    first, second = await two(opened, tmp_path)
    entered, ended = asyncio.Event(), asyncio.Event()

    async def body() -> None:
        async with first["web/0"].scope() as term:
            assert term == first["web/0"].term
            entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                assert second["web/1"].term is None
                await ended.wait()

    work = asyncio.create_task(body())
    await entered.wait()
    release = asyncio.create_task(first["web/0"].release())
    await until_async(lambda: first["web/0"].state == "ending")
    assert (await first.store.read(HOLDER)).items
    ended.set()
    with pytest.raises(NotLeader, match="has ended"):
        await work
    await release
    await first.stop(hand_over=True)
    await until_async(lambda: second["web/1"].term)
    await second.stop()


async def test_a_scope_that_ends_by_itself_leaves_the_term_alone(opened: Opener, tmp_path: Path) -> None:
    first, second = await two(opened, tmp_path)
    async with first["web/0"].scope() as term:
        pass
    assert first["web/0"].term == term
    await first.stop()
    await second.stop()


async def test_who_has_withdrawn_may_come_back_and_is_a_candidate_like_any_other(
    opened: Opener, tmp_path: Path
) -> None:
    first, second = await two(opened, tmp_path)
    await first["web/0"].withdraw()
    await until_async(lambda: second["web/1"].term)
    assert keys_of("web/0").present not in (await first.store.read(PREFIX)).items
    await first["web/0"].come_back()
    await until_async(lambda: "web/0" in second["web/1"].machine.picture.candidates)
    assert await second["web/1"].transfer("web/0") is True
    await until_async(lambda: first["web/0"].term)
    await first.stop()
    await second.stop()


async def test_who_withdraws_as_it_starts_again_takes_its_forerunners_present_key_away(
    opened: Opener, tmp_path: Path
) -> None:
    first, second = await two(opened, tmp_path)
    key = keys_of("web/1").present
    await second.stop()
    again = await SmallAgent(await opened(), tmp_path, "m1").start("web/1")
    again["web/1"].step_back()
    assert key in (await again.store.read(PREFIX)).items, "on the lease that is taken up again"
    await again["web/1"].withdraw()
    assert key not in (await again.store.read(PREFIX)).items
    await again["web/1"].come_back()
    await until_async(lambda: "web/1" in first["web/0"].machine.picture.candidates)
    await first.stop()
    await again.stop()


async def test_no_claim_lands_between_a_pause_and_its_end_however_close_they_come(
    opened: Opener, tmp_path: Path
) -> None:
    store = await opened()
    agents = [await SmallAgent(await opened(), tmp_path, f"m{number}").start(f"web/{number}") for number in range(4)]
    candidates = [candidate for agent in agents for candidate in agent.candidates.values()]
    pauses: list[tuple[int, int]] = []
    for _ in range(12):
        await until_async(lambda: any(candidate.term for candidate in candidates))
        holder = next(candidate for candidate in candidates if candidate.term)
        await holder.release()
        # Claims are under way when it lands: of some it comes first, of some it doesn't.
        begun = await store.commit([], [Put(PAUSED, b"{}")])
        assert isinstance(begun, Committed)
        for candidate in candidates:
            if candidate.term:
                await candidate.release()
        ended = await store.commit([], [Delete(PAUSED)])
        assert isinstance(ended, Committed)
        pauses.append((begun.revision, ended.revision))
    await until_async(lambda: any(candidate.term for candidate in candidates))
    began = [int(str(term["number"])) for term in await history(store)]
    assert len(began) >= len(pauses)
    assert [(term, pause) for term in began for pause in pauses if pause[0] < term < pause[1]] == []
    for agent in agents:
        await agent.stop()
