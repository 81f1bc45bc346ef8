"""A hook acts as the leader in one term alone; what it buffers lands as a whole or not at all, once, never late."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tenure.agent import context as context_module
from tenure.agent.hook import Hook
from tenure.clock import KernelClock
from tenure.defaults import VALUE_MAX
from tenure.errors import BadInput, No, NotLeader, StoreUnreachable, StoreUnsure
from tenure.model import commits
from tenure.model.records import Databag, Settings
from tenure.names import UnitName
from tenure.office.decisions import Answer
from tenure.store.api import Committed, Compare, Delete, Put, Refused, Write, modified_at
from tenure.store.memory import MemoryStore
from tests.agent.tools.unit_world import LAYOUT, PEERS, UNIT, UnitWorld, unit_world

OWN_BAG = LAYOUT.unit_bag(PEERS, UNIT)
APPLICATION_BAG = LAYOUT.application_bag(PEERS, "web")
SETTINGS = LAYOUT.settings("web")


class Faulty:
    """The world's store with planned faults for its next commits: "lost answer", "lost", "unreachable" or "fine"."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.faults: list[str] = []
        self.sent: list[tuple[Sequence[Compare], Sequence[Write]]] = []

    async def commit(
        self, when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write] = ()
    ) -> Committed | Refused:
        self.sent.append((when, then))
        fault = self.faults.pop(0) if self.faults else "fine"
        if fault == "unreachable":
            raise StoreUnreachable("no answer")
        if fault == "lost":
            raise StoreUnsure("no answer")
        outcome = await self.store.commit(when, then, otherwise)
        if fault == "lost answer":
            raise StoreUnsure("no answer")
        return outcome

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "RETRY_FIRST_S", 0.0)
    monkeypatch.setattr(context_module, "FLUSH_RETRY_S", 0.0)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[UnitWorld]:
    async with unit_world(tmp_path) as world:
        yield world


@pytest.fixture
def faulty(world: UnitWorld) -> Faulty:
    assert isinstance(world.store, MemoryStore)
    store = Faulty(world.store)
    world.place = replace(world.place, store=store)  # type: ignore[arg-type]
    return store


async def bag(world: UnitWorld, key: str = OWN_BAG) -> dict[str, str] | None:
    found = await world.stored(key, Databag)
    return None if found is None else {k: v for k, v in found.values.items() if k != "ingress-address"}


# Leadership


async def test_the_first_false_stays_until_the_hook_ends(world: UnitWorld) -> None:
    context = world.context()
    assert await context.is_leader() == (False, None)
    await world.elect()
    assert await context.is_leader() == (False, None)
    assert (await world.context().is_leader())[0]


async def test_a_true_is_asked_for_anew_each_time_and_owed_to_the_context(world: UnitWorld) -> None:
    term = await world.elect()
    context = world.context()
    assert (await context.is_leader())[0]
    assert (await context.is_leader())[0]
    assert world.leadership.asked == [(context.context_id, None), (context.context_id, term)]
    world.leadership.verdict = "unknown"
    assert not (await context.is_leader())[0]


async def test_a_hook_is_bound_to_the_term_of_its_first_true(world: UnitWorld) -> None:
    await world.elect()
    context = world.context()
    assert (await context.is_leader())[0]
    await world.depose()
    await world.elect()
    assert not (await context.is_leader())[0]
    with pytest.raises(NotLeader):
        await context.set_settings({"a": "1"})
    assert await world.settings() == {}


async def test_a_true_of_another_term_is_false_whoever_says_it(world: UnitWorld) -> None:
    class Careless:
        async def is_leader(
            self, span_s: float | None = None, *, debtor: str | None, term: int | None = None
        ) -> Answer:
            return Answer("yes", 99, KernelClock().now())

        def fence(self, term: int) -> Compare:
            return modified_at("x", term)

    world.place = replace(world.place, leadership=Careless())
    assert await world.context(term=7).is_leader() == (False, None)


async def test_leader_elected_is_bound_to_the_term_that_it_announces(world: UnitWorld) -> None:
    term = await world.elect()
    hook = Hook(kind="leader-elected", term=term)
    context = world.context(hook, term=term)
    await world.depose()
    await world.elect()
    assert not (await context.is_leader())[0]


async def test_a_hook_that_ends_while_it_is_asked_for_is_told_no(world: UnitWorld) -> None:
    await world.elect()
    context = world.context()
    honest = world.leadership.is_leader

    async def ends_meanwhile(*args: Any, **kwargs: Any) -> Answer:
        context.close()
        return await honest(*args, **kwargs)

    world.leadership.is_leader = ends_meanwhile  # type: ignore[method-assign]
    assert await context.is_leader() == (False, None)


async def test_a_new_leader_reads_settings_no_older_than_its_term(world: UnitWorld) -> None:
    """Else it would make settings that its forerunner has made already."""
    context = world.context()
    assert await context.settings() == {}, "read before it knew that it leads"
    held_back = world.context()
    await world.put(SETTINGS, Settings(values={"secret": "of the first leader"}))
    await world.elect()
    for one in (context, held_back):
        assert (await one.is_leader())[0]
        assert await one.settings() == {"secret": "of the first leader"}


async def test_a_leader_waits_for_a_mirror_that_lags_behind_its_term(world: UnitWorld) -> None:
    context = world.context()
    outcome = await world.store.commit([], [Put(world.leadership.holder, b"web/0")])
    assert isinstance(outcome, Committed)
    await world.store.commit([], [Put("/elsewhere", b"")])
    world.leadership.term = outcome.revision
    assert (await context.is_leader())[0]
    assert await context.settings() == {}
    assert world.mirror.current.revision >= outcome.revision


# Leader settings


async def test_settings_are_compared_with_the_term_and_with_themselves(world: UnitWorld, faulty: Faulty) -> None:
    term = await world.elect()
    await world.context().set_settings({"a": "1"})
    when, then = faulty.sent[-1]
    assert modified_at(world.leadership.holder, term) in when
    assert modified_at(SETTINGS, 0) in when
    assert [write.key for write in then if isinstance(write, Put)] == [SETTINGS]


async def test_unchanged_settings_are_not_written(world: UnitWorld) -> None:
    await world.elect()
    await world.context().set_settings({"a": "1"})
    before = (await world.store.read(SETTINGS)).items[SETTINGS].mod_revision
    await world.context().set_settings({"a": "1", "missing": ""})
    assert (await world.store.read(SETTINGS)).items[SETTINGS].mod_revision == before


async def test_a_second_write_of_a_hook_needs_no_newer_picture(world: UnitWorld, faulty: Faulty) -> None:
    await world.elect()
    context = world.context()
    await context.set_settings({"a": "1"})
    await context.set_settings({"b": "2"})
    assert len(faulty.sent) == 2
    assert await world.settings() == {"a": "1", "b": "2"}
    assert context.wrote_at == (await world.store.read(SETTINGS)).items[SETTINGS].mod_revision


async def test_a_hook_with_an_old_picture_overwrites_nothing(world: UnitWorld) -> None:
    await world.elect()
    late = world.context()
    await late.settings()
    await world.context().set_settings({"a": "first"})
    await late.set_settings({"b": "second"})
    assert await world.settings() == {"a": "first", "b": "second"}


async def test_what_an_old_picture_takes_for_unchanged_is_written_all_the_same(world: UnitWorld) -> None:
    await world.elect()
    first = world.context()
    await first.set_settings({"a": "1"})
    late = world.context()
    await late.is_leader()
    await late.settings()
    await first.set_settings({"a": "2"})
    await late.set_settings({"a": "1"})
    assert await world.settings() == {"a": "1"}


@pytest.mark.parametrize("faults", [["lost answer"], ["lost"], ["lost", "lost answer"], ["lost answer", "unreachable"]])
async def test_a_write_whose_answer_is_lost_lands_once(world: UnitWorld, faulty: Faulty, faults: list[str]) -> None:
    await world.elect()
    faulty.faults = faults
    await world.context().set_settings({"a": "1"})
    assert await world.settings() == {"a": "1"}
    assert (await world.store.read(SETTINGS)).items[SETTINGS].version == 1


async def test_a_lost_write_of_a_term_that_is_over_never_lands(world: UnitWorld, faulty: Faulty) -> None:
    await world.elect()
    context = world.context()
    await context.is_leader()
    faulty.faults = ["lost"]
    honest = faulty.store.commit
    taken = False

    async def taken_over(*args: Any, **kwargs: Any) -> Committed | Refused:
        nonlocal taken
        if not taken:
            taken = True
            await honest([], [Put(world.leadership.holder, b"web/1")])
        return await honest(*args, **kwargs)

    faulty.store.commit = taken_over  # type: ignore[method-assign]
    with pytest.raises(NotLeader):
        await context.set_settings({"a": "1"})
    when, then = faulty.sent[0]
    assert isinstance(await honest(when, then), Refused), "the lost copy, arriving late"
    assert await world.settings() == {}
    assert not (await context.is_leader())[0]


async def test_a_store_out_of_reach_says_so_and_nothing_has_happened(world: UnitWorld, faulty: Faulty) -> None:
    await world.elect()
    faulty.faults = ["unreachable"] * 100
    with pytest.raises(StoreUnreachable):
        await world.context().set_settings({"a": "1"})
    assert await world.settings() == {}


# The flush


async def test_a_flush_lands_every_bag_in_one_transaction(world: UnitWorld, faulty: Faulty) -> None:
    await world.elect()
    context = world.context()
    await context.is_leader()
    context.change_own_bag(PEERS, {"a": "1"})
    context.change_application_bag(PEERS, {"goal": "x"})
    await context.flush()
    assert (await bag(world), await bag(world, APPLICATION_BAG)) == ({"a": "1"}, {"goal": "x"})
    assert len(faulty.sent) == 1
    items = (await world.store.read(LAYOUT.relation(PEERS))).items
    assert items[OWN_BAG].mod_revision == items[APPLICATION_BAG].mod_revision == context.wrote_at


async def test_what_is_not_flushed_is_dropped(world: UnitWorld) -> None:
    context = world.context()
    context.change_own_bag(PEERS, {"a": "1"})
    context.close()
    assert await bag(world) == {}


async def test_a_flush_of_nothing_writes_nothing(world: UnitWorld, faulty: Faulty) -> None:
    await world.context().flush()
    assert faulty.sent == []


async def test_an_unchanged_bag_is_no_write_and_no_event(world: UnitWorld) -> None:
    before = (await world.store.read(OWN_BAG)).items[OWN_BAG]
    context = world.context()
    context.change_own_bag(PEERS, {"ingress-address": "10.0.0.1", "missing": ""})
    await context.flush()
    assert (await world.store.read(OWN_BAG)).items[OWN_BAG] == before
    assert context.wrote_at == 0


async def test_the_last_change_of_a_key_counts(world: UnitWorld) -> None:
    context = world.context()
    for value in ("1", "", "2"):
        context.change_own_bag(PEERS, {"a": value})
    context.change_own_bag(PEERS, {"b": "1"})
    context.change_own_bag(PEERS, {"b": ""})
    await context.flush()
    assert await bag(world) == {"a": "2"}


async def test_after_its_end_a_hook_buffers_nothing_more(world: UnitWorld) -> None:
    context = world.context()
    context.change_own_bag(PEERS, {"a": "1"})
    context.close()
    with pytest.raises(BadInput):
        context.change_own_bag(PEERS, {"late": "1"})
    await context.flush()
    assert await bag(world) == {"a": "1"}


async def test_leadership_lost_before_the_flush_drops_all_of_it(world: UnitWorld) -> None:
    await world.elect()
    context = world.context()
    await context.is_leader()
    context.change_own_bag(PEERS, {"a": "1"})
    context.change_application_bag(PEERS, {"goal": "x"})
    await world.depose()
    with pytest.raises(NotLeader, match=r"^cannot apply changes: "):
        await context.flush()
    assert (await bag(world), await bag(world, APPLICATION_BAG)) == ({}, None)


async def test_what_was_written_as_leader_is_refused_in_the_same_units_next_term(world: UnitWorld) -> None:
    await world.elect()
    context = world.context()
    await context.is_leader()
    context.change_application_bag(PEERS, {"goal": "x"})
    await world.depose()
    await world.elect()
    with pytest.raises(NotLeader):
        await context.flush()
    assert await bag(world, APPLICATION_BAG) is None


async def test_a_relation_that_is_gone_drops_all_of_it(world: UnitWorld) -> None:
    context = world.context()
    context.change_own_bag(PEERS, {"a": "1"})
    await world.store.commit([], [Delete(LAYOUT.relation_info(PEERS)), Delete(OWN_BAG)])
    with pytest.raises(No, match=r"^cannot apply changes: "):
        await context.flush()
    assert await bag(world) is None


async def test_a_unit_that_has_left_the_scope_does_not_enter_it_by_writing(world: UnitWorld) -> None:
    context = world.context()
    context.change_own_bag(PEERS, {"a": "1"})
    await world.store.commit([], [Delete(OWN_BAG)])
    with pytest.raises(No, match="gone"):
        await context.flush()
    assert await bag(world) is None


async def test_a_bag_that_no_key_can_hold_drops_all_of_it(world: UnitWorld) -> None:
    await world.elect()
    context = world.context()
    await context.is_leader()
    context.change_own_bag(PEERS, {"a": "x" * VALUE_MAX})
    context.change_application_bag(PEERS, {"goal": "x"})
    with pytest.raises(BadInput, match=r"^cannot apply changes: "):
        await context.flush()
    assert await bag(world, APPLICATION_BAG) is None


@pytest.mark.parametrize(
    "faults",
    [
        list(chosen)
        for length in (1, 2, 3)
        for chosen in itertools.product(["lost answer", "lost", "unreachable"], repeat=length)
    ]
    + [["unreachable"] * 20, ["lost"] * 20],
)
async def test_a_flush_goes_on_until_it_is_known_and_lands_once(
    world: UnitWorld, faulty: Faulty, faults: list[str]
) -> None:
    await world.elect()
    context = world.context()
    await context.is_leader()
    context.change_own_bag(PEERS, {"a": "1"})
    context.change_application_bag(PEERS, {"goal": "x"})
    faulty.faults = faults
    async with asyncio.timeout(10):
        await context.flush()
    assert (await bag(world), await bag(world, APPLICATION_BAG)) == ({"a": "1"}, {"goal": "x"})
    assert (await world.store.read(APPLICATION_BAG)).items[APPLICATION_BAG].version == 1
    for when, then in faulty.sent:
        assert then == () or isinstance(await faulty.store.commit(when, then), Refused), "a copy that arrives late"


async def test_a_flush_that_has_landed_is_done_though_its_term_ends_before_that_is_known(
    world: UnitWorld, faulty: Faulty
) -> None:
    await world.elect()
    context = world.context()
    await context.is_leader()
    context.change_application_bag(PEERS, {"goal": "x"})
    faulty.faults = ["lost answer"] + ["lost"] * (commits.SEND_MOST + 2)
    honest = faulty.store.commit
    landed = False

    async def then_taken_over(*args: Any, **kwargs: Any) -> Committed | Refused:
        nonlocal landed
        outcome = await honest(*args, **kwargs)
        if not landed:
            landed = True
            await honest([], [Put(world.leadership.holder, b"web/1")])
        return outcome

    faulty.store.commit = then_taken_over  # type: ignore[method-assign]
    await context.flush()
    assert await bag(world, APPLICATION_BAG) == {"goal": "x"}
    item = (await world.store.read(APPLICATION_BAG)).items[APPLICATION_BAG]
    assert (item.version, item.mod_revision) == (1, context.wrote_at)


async def test_a_bag_written_with_an_old_picture_keeps_what_was_said_since(world: UnitWorld) -> None:
    late = world.context()
    first = world.context()
    first.change_own_bag(PEERS, {"a": "1", "b": "1"})
    await first.flush()
    late.change_own_bag(PEERS, {"b": ""})
    await late.flush()
    assert await bag(world) == {"a": "1"}


async def test_the_hooks_own_unit_is_among_the_told_only_as_the_hook_says(world: UnitWorld) -> None:
    joined = Hook(kind="relation-joined", relation=PEERS, endpoint="peers", remote_unit="web/1")
    assert world.context(joined, told={PEERS: []}).told == {PEERS: frozenset({"web/1"})}
    assert world.context(told={PEERS: ["web/2"]}).told == {PEERS: frozenset({"web/2"})}
    assert not world.context().relation_known(99)
    assert str(world.context().unit) == "web/0"
    assert UnitName("web", 0) == UNIT
