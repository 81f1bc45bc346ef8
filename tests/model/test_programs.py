"""Numbers for programs' units: one each, never used twice, in applications of their own and in charms'."""

from __future__ import annotations

import asyncio

import pytest

from tenure.errors import BadInput
from tenure.model.layout import Layout
from tenure.model.offices import office_keys, office_state, office_view
from tenure.model.programs import PEERS, take_place
from tenure.model.records import Unit, decode, encode
from tenure.model.removal import remove_application
from tenure.model.view import read_model
from tenure.office.driver import Timing
from tenure.store.api import Put
from tenure.store.memory import MemoryStore

LAYOUT = Layout("default")
TIMING = Timing.for_lease(20)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


async def test_many_programs_at_once_get_a_number_each(store: MemoryStore) -> None:
    places = await asyncio.gather(*(take_place(store, LAYOUT, "worker", TIMING) for _ in range(8)))
    assert sorted(place.unit.number for place in places) == list(range(8))
    assert {tuple(place.peer_relations.items()) for place in places} == {((PEERS, 0),)}


async def test_the_application_has_the_lease_of_whoever_made_it(store: MemoryStore) -> None:
    await take_place(store, LAYOUT, "worker", TIMING)
    later = await take_place(store, LAYOUT, "worker", Timing.for_lease(60))
    assert later.timing == TIMING


async def test_numbers_go_on_where_a_removed_application_has_ended(store: MemoryStore) -> None:
    await take_place(store, LAYOUT, "worker", TIMING)
    await take_place(store, LAYOUT, "worker", TIMING)
    await remove_application(store, LAYOUT, "worker")
    assert (await read_model(store, LAYOUT)).applications == {}
    place = await take_place(store, LAYOUT, "worker", TIMING)
    assert place.unit.number == 2
    assert place.peer_relations == {PEERS: 1}


async def test_an_application_that_is_being_removed_takes_nobody(store: MemoryStore) -> None:
    place = await take_place(store, LAYOUT, "worker", TIMING)
    await store.commit([], [Put(LAYOUT.unit_info(place.unit), encode(Unit(program="m1:7")))])
    await store.commit([], [Put(LAYOUT.unit_present(place.unit), b"{}")])
    await remove_application(store, LAYOUT, "worker")
    with pytest.raises(BadInput, match="is being removed"):
        await take_place(store, LAYOUT, "worker", TIMING)


def test_a_programs_unit_has_no_machine() -> None:
    with pytest.raises(ValueError, match="no machine"):
        encode(Unit(program="m1:7", machine="m1"))
    assert decode(Unit, encode(Unit(program="m1:7")), "key").program == "m1:7"
    assert not Unit(program="m1:7").waits_for_machine
    assert Unit().waits_for_machine
    assert not Unit(life="dying").waits_for_machine


async def test_an_office_of_its_own_shows_its_candidates_by_name(store: MemoryStore) -> None:
    keys = office_keys(LAYOUT, "cron", "m1/7")
    await store.commit([], [Put(keys.present, b"{}"), Put(f"{LAYOUT.free_office('cron')}ran", b"{}")])
    view = await read_model(store, LAYOUT)
    shown = office_view(view.snapshot, LAYOUT, "cron")
    assert set(shown.candidates) == {"m1/7"}
    assert shown.holder is None
    assert office_state(view.snapshot, LAYOUT, "cron").holder is None
    assert office_state(view.snapshot, LAYOUT, "cron").history == []
