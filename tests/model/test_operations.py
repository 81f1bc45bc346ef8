"""What an operator does is atomic, happens once whatever becomes of its answer, and never uses a unit's number twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from tenure.errors import BadInput, NoSuchThing, StoreUnsure
from tenure.model.charms import Charm, fetch, manifest_item
from tenure.model.layout import Layout
from tenure.model.operations import add_units, configure, deploy
from tenure.model.placement import adopt
from tenure.model.records import Machine, encode
from tenure.model.view import ModelView, read_model
from tenure.names import UnitName
from tenure.office.timing import Timing
from tenure.store.api import Committed, Compare, Put, Refused, Store, Write
from tenure.store.memory import MemoryStore

View = Callable[[], Awaitable[ModelView]]


async def machine_up(store: Store, layout: Layout, name: str) -> None:
    record = Machine(host="h", boot_id="b", identity=name, pid=1, socket="/s", state_dir="/d", started="now")
    await store.commit([], [Put(layout.machine(name), encode(record))])


async def test_deploy_makes_the_application_its_units_and_its_peer_relation(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    made = await deploy(store, layout, charm, units=3, to=["m0", "m1", "m2"], timing=Timing.for_lease(6))
    assert made.units == tuple(UnitName("web", number) for number in range(3))
    web = (await view()).application("web")
    assert [(str(unit.name), unit.info.machine, unit.info.life) for unit in web.units.values()] == [
        ("web/0", "m0", "alive"),
        ("web/1", "m1", "alive"),
        ("web/2", "m2", "alive"),
    ]
    assert (web.info.ttl_s, web.info.guarantee_s) == (6, 3.0)
    assert (await view()).peer_relations("web")["cluster"].info.endpoints[0].interface == "cluster"
    assert await fetch(store, layout, web.info.charm) == charm.archive


async def test_a_deployment_has_the_default_lease_and_the_guarantee_that_charms_rely_on(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await deploy(store, layout, charm)
    info = (await view()).application("web").info
    assert (info.ttl_s, info.guarantee_s) == (60, 30.0)


async def test_two_deployments_of_one_name_make_one_application(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    outcomes = await asyncio.gather(*(deploy(store, layout, charm, units=2) for _ in range(4)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["BadInput", "BadInput", "BadInput", "Deployed"]
    assert list((await view()).application("web").units) == [0, 1]


async def test_relations_of_two_applications_have_numbers_of_their_own(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await asyncio.gather(*(deploy(store, layout, charm, application=name) for name in ("web", "api", "job")))
    numbers = [(await view()).application(name).info.peer_relations["cluster"] for name in ("web", "api", "job")]
    assert sorted(numbers) == [0, 1, 2]


async def test_units_that_are_added_at_the_same_time_all_get_numbers_of_their_own(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await deploy(store, layout, charm, units=1)
    added = await asyncio.gather(*(add_units(store, layout, "web", 2) for _ in range(5)))
    assert sorted(unit.number for units in added for unit in units) == list(range(1, 11))
    assert list((await view()).application("web").units) == list(range(11))


async def test_a_hundred_units_are_made_in_parts(store: Store, layout: Layout, charm: Charm, view: View) -> None:
    made = await deploy(store, layout, charm, units=100)
    assert [unit.number for unit in made.units] == list(range(100))
    assert len((await view()).application("web").units) == 100


async def test_units_go_to_the_live_machines_with_the_fewest(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    for name in ("m0", "m1"):
        await machine_up(store, layout, name)
    await deploy(store, layout, charm, units=4, to=["m0", "m9"])
    machines = [unit.info.machine for unit in (await view()).application("web").units.values()]
    assert machines == ["m0", "m9", "m1", "m0"]


async def test_a_unit_without_a_machine_waits_and_is_adopted_by_one_agent(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await deploy(store, layout, charm, units=3)
    assert {unit.info.machine for unit in (await view()).application("web").units.values()} == {None}
    assert await adopt(store, layout, await view(), "m0") == []
    for name in ("m0", "m1"):
        await machine_up(store, layout, name)
    seen = await view()
    adopted = await asyncio.gather(*(adopt(store, layout, seen, name) for name in ("m0", "m1")))
    assert sorted(str(unit) for units in adopted for unit in units) == ["web/0", "web/1", "web/2"]
    assert [unit.info.machine for unit in (await view()).application("web").units.values()] == ["m0", "m1", "m0"]


async def test_more_places_than_units_are_refused_and_nothing_is_made(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    with pytest.raises(BadInput, match="3 machines are named for 2 units"):
        await deploy(store, layout, charm, units=2, to=["m0", "m1", "m2"])
    assert not (await view()).applications


async def test_a_lease_that_the_engine_cannot_keep_is_refused(store: Store, layout: Layout, charm: Charm) -> None:
    with pytest.raises(BadInput, match="can't be had"):
        await deploy(store, layout, charm, timing=Timing.for_lease(store.traits.most_ttl_s + 1))


async def test_options_are_checked_against_their_types(store: Store, layout: Layout, charm: Charm, view: View) -> None:
    with pytest.raises(BadInput, match='"port" is not of its type, int'):
        await deploy(store, layout, charm, config={"port": "eighty"})
    with pytest.raises(NoSuchThing, match='no option "colour"'):
        await deploy(store, layout, charm, config={"colour": "red"})
    await deploy(store, layout, charm, config={"port": "8080", "loud": "true", "ratio": "0.5"})
    assert (await view()).application("web").info.config == {"port": 8080, "loud": True, "ratio": 0.5}


async def test_configure_sets_resets_and_says_whether_anything_changed(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await deploy(store, layout, charm)
    assert await configure(store, layout, "web", {"greeting": "a=b\nc 'd' \"e\""})
    revision = (await view()).application("web").info_item.mod_revision
    assert not await configure(store, layout, "web", {"greeting": "a=b\nc 'd' \"e\""})
    assert (await view()).application("web").info_item.mod_revision == revision
    assert await configure(store, layout, "web", {"port": "81"}, reset=["greeting"])
    assert (await view()).application("web").info.config == {"port": 81}
    with pytest.raises(NoSuchThing):
        await configure(store, layout, "web", reset=["colour"])
    with pytest.raises(BadInput, match="not UTF-8"):
        await configure(store, layout, "web", {"greeting": "\udcff"})


async def test_an_unknown_application_is_named_with_those_that_there_are(
    store: Store, layout: Layout, charm: Charm
) -> None:
    await deploy(store, layout, charm)
    with pytest.raises(NoSuchThing, match='no application "wbe"') as raised:
        await add_units(store, layout, "wbe")
    assert raised.value.hint == "the applications: web"


class LosingStore(MemoryStore):
    """Loses the answers of commits that have landed, or the commits themselves, as it is told."""

    lose: list[str]

    async def commit(
        self, when: Sequence[Compare], then: Sequence[Write], otherwise: Sequence[Write] = ()
    ) -> Committed | Refused:
        match self.lose.pop(0) if self.lose else "":
            case "answer":
                await super().commit(when, then, otherwise)
                raise StoreUnsure("the answer was lost")
            case "commit":
                raise StoreUnsure("the commit was lost")
        return await super().commit(when, then, otherwise)


@pytest.mark.parametrize("lose", [["answer"], ["commit"], ["commit", "answer", "commit"]])
async def test_units_are_added_once_whatever_becomes_of_the_answer(
    lose: list[str], layout: Layout, charm: Charm
) -> None:
    store = LosingStore()
    store.lose = []
    await deploy(store, layout, charm)
    store.lose = lose
    assert await add_units(store, layout, "web", 2) == [UnitName("web", 1), UnitName("web", 2)]
    assert list((await read_model(store, layout)).application("web").units) == [0, 1, 2]
    await store.close()


async def test_the_ids_of_old_commits_are_not_kept_for_ever(store: Store, layout: Layout, charm: Charm) -> None:
    await deploy(store, layout, charm)
    for number in range(130):
        await configure(store, layout, "web", {"port": str(number)})
    ids = (await read_model(store, layout)).snapshot.under(f"{layout.prefix}ids/")
    assert len(ids) <= 101


async def test_a_charm_is_kept_once_for_all_applications_that_have_it(
    store: Store, layout: Layout, charm: Charm
) -> None:
    await deploy(store, layout, charm)
    first = await manifest_item(store, layout, charm.digest)
    await deploy(store, layout, charm, application="api")
    second = await manifest_item(store, layout, charm.digest)
    assert first is not None
    assert second is not None
    assert first.create_revision == second.create_revision
