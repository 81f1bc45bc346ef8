"""A unit goes when its agent has ended it, or at once when no agent ever had it; by force never before its lease ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tenure.errors import BadInput, NoSuchThing, NotLeader
from tenure.model.charms import Charm, manifest_item
from tenure.model.layout import Layout
from tenure.model.operations import add_units, deploy
from tenure.model.records import Databag, encode
from tenure.model.removal import finish_unit, remove_application, remove_units, wait_gone
from tenure.model.view import ModelView
from tenure.names import UnitName
from tenure.store.api import Delete, Put, Store
from tests.model.staging import leads, machine_up, present, says
from tests.waiting import until_async

View = Callable[[], Awaitable[ModelView]]
W0, W1 = UnitName("web", 0), UnitName("web", 1)


async def running(store: Store, layout: Layout, charm: Charm) -> None:
    """Two units on machines that are up, in their peer relation's scope."""
    for number in (0, 1):
        await machine_up(store, layout, f"m{number}")
    await deploy(store, layout, charm, units=2, to=["m0", "m1"])
    for unit in (W0, W1):
        await says(store, layout, unit, "active")
        await store.commit([], [Put(layout.unit_bag(0, unit), encode(Databag(id="i")))])


async def test_a_unit_that_an_agent_runs_is_dying_until_its_agent_ends_it(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await running(store, layout, charm)
    removed = await remove_units(store, layout, [W1])
    assert (removed.gone, removed.dying) == ((), (W1,))
    assert (await view()).unit(W1).info.life == "dying"
    assert (await view()).unit(W0).info.life == "alive"
    await finish_unit(store, layout, W1)
    await finish_unit(store, layout, W1)
    after = await view()
    assert list(after.application("web").units) == [0]
    assert after.relations[0].members("web") == [W0]
    assert not after.snapshot.under(layout.unit(W1))


async def test_a_unit_that_no_agent_took_up_is_gone_at_once(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await deploy(store, layout, charm, units=2, to=["m7"])
    removed = await remove_units(store, layout, [W0, W1])
    assert removed.gone == (W0, W1)
    assert not (await view()).application("web").units


async def test_a_number_is_never_used_again_not_even_by_the_next_application_of_the_name(
    store: Store, layout: Layout, charm: Charm
) -> None:
    await deploy(store, layout, charm, units=2)
    await remove_units(store, layout, [W1])
    assert await add_units(store, layout, "web") == [UnitName("web", 2)]
    await remove_application(store, layout, "web")
    assert (await deploy(store, layout, charm)).units == (UnitName("web", 3),)


async def test_one_unknown_unit_among_several_leaves_all_as_they_are(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await running(store, layout, charm)
    with pytest.raises(NoSuchThing, match='no unit "web/9"'):
        await remove_units(store, layout, [W0, UnitName("web", 9)])
    assert (await view()).unit(W0).info.life == "alive"


async def test_a_unit_that_holds_an_office_is_not_taken_out_of_the_model(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await running(store, layout, charm)
    await leads(store, layout, W0)
    await remove_units(store, layout, [W0])
    with pytest.raises(NotLeader, match="holds web/leader"):
        await finish_unit(store, layout, W0)
    assert 0 in (await view()).application("web").units


async def test_the_last_of_units_that_end_at_the_same_time_takes_its_application_along(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await running(store, layout, charm)
    await remove_application(store, layout, "web")
    with pytest.raises(BadInput, match="being removed"):
        await add_units(store, layout, "web")
    await asyncio.gather(finish_unit(store, layout, W0), finish_unit(store, layout, W1))
    after = await view()
    assert not after.applications
    assert not after.relations
    assert not after.snapshot.under(layout.application("web"))
    assert await manifest_item(store, layout, charm.digest) is None


async def test_a_charm_stays_while_another_application_has_it(store: Store, layout: Layout, charm: Charm) -> None:
    await deploy(store, layout, charm)
    await deploy(store, layout, charm, application="api")
    await remove_application(store, layout, "web")
    assert await manifest_item(store, layout, charm.digest) is not None
    await remove_application(store, layout, "api")
    assert await manifest_item(store, layout, charm.digest) is None


async def test_a_charm_survives_a_deployment_and_a_removal_at_the_same_time(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    for round_ in range(5):
        await deploy(store, layout, charm, application="web")
        await asyncio.gather(
            remove_application(store, layout, "web"), deploy(store, layout, charm, application=f"api-x{round_}")
        )
        assert await manifest_item(store, layout, charm.digest) is not None
        await remove_application(store, layout, f"api-x{round_}")
    assert not (await view()).applications


async def test_by_force_a_unit_without_its_agent_goes_only_when_its_term_is_over(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await running(store, layout, charm)
    await leads(store, layout, W0)
    await present(store, layout, W0)
    await remove_units(store, layout, [W0], force=True)
    said: list[str] = []
    gone = asyncio.create_task(wait_gone(store, layout, [W0], force=True, progress=said.append))
    async with asyncio.timeout(10):
        for key in (layout.machine("m0"), layout.unit_present(W0)):
            await store.commit([], [Delete(key)])
            await until_async(lambda: said)
            assert 0 in (await view()).application("web").units, "it holds the office still"
        await store.commit([], [Delete(layout.holder("web", "leader"))])
        await gone
    assert list((await view()).application("web").units) == [1]


async def test_without_force_a_dying_unit_waits_for_its_agent(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await running(store, layout, charm)
    await remove_units(store, layout, [W0])
    await store.commit([], [Delete(layout.machine("m0"))])
    said = asyncio.Queue[str]()
    gone = asyncio.create_task(wait_gone(store, layout, [W0], force=False, progress=said.put_nowait))
    async with asyncio.timeout(10):
        assert "which is away" in await said.get()
        assert not gone.done()
        await finish_unit(store, layout, W0)
        await gone
