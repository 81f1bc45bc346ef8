"""Databags: what a hook said lands all at once, fenced where it speaks for its application, and never twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tenure.errors import No, NotLeader
from tenure.model.charms import Charm
from tenure.model.layout import Layout
from tenure.model.operations import deploy
from tenure.model.relations import BagChange, enter_scope, leave_scope, write_bags
from tenure.model.view import ModelView
from tenure.names import UnitName
from tenure.store.api import Item, Store, modified_at
from tests.model.staging import leads

View = Callable[[], Awaitable[ModelView]]
W0 = UnitName("web", 0)


async def own_bag(view: View) -> Item:
    """The unit's databag, which is there."""
    item = (await view()).relations[0].unit_bag_item(W0)
    assert item is not None
    return item


async def test_a_unit_is_in_scope_from_its_entering_to_its_leaving(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await deploy(store, layout, charm)
    assert await enter_scope(store, layout, await view(), 0, W0, {"private-address": "10.0.0.1"})
    assert not await enter_scope(store, layout, await view(), 0, W0, {"private-address": "other"})
    assert (await view()).relations[0].members("web") == [W0]
    assert (await view()).relations[0].unit_bag(W0) == {"private-address": "10.0.0.1"}
    await leave_scope(store, layout, 0, W0)
    await leave_scope(store, layout, 0, W0)
    assert (await view()).relations[0].members("web") == []
    assert (await view()).relations[0].unit_bag(W0) is None


async def test_own_and_application_bag_land_together_or_not_at_all(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await deploy(store, layout, charm)
    await enter_scope(store, layout, await view(), 0, W0, {})
    term = await leads(store, layout, W0)
    relation = (await view()).relations[0]
    changes = [
        BagChange(layout.unit_bag(0, W0), relation.unit_bag_item(W0), {"ready": "yes"}),
        BagChange(layout.application_bag(0, "web"), relation.application_bag_item("web"), {"url": "x"}),
    ]
    await leads(store, layout, UnitName("web", 1))
    with pytest.raises(NotLeader):
        await write_bags(store, changes, fence=modified_at(layout.holder("web", "leader"), term))
    assert (await view()).relations[0].unit_bag(W0) == {}
    term = await leads(store, layout, W0)
    revision = await write_bags(store, changes, fence=modified_at(layout.holder("web", "leader"), term))
    relation = (await view()).relations[0]
    assert (relation.unit_bag(W0), relation.application_bag("web")) == ({"ready": "yes"}, {"url": "x"})
    application_bag = relation.application_bag_item("web")
    assert application_bag is not None
    assert (await own_bag(view)).mod_revision == application_bag.mod_revision == revision


async def test_what_a_bag_says_already_is_not_written(store: Store, layout: Layout, charm: Charm, view: View) -> None:
    await deploy(store, layout, charm)
    await enter_scope(store, layout, await view(), 0, W0, {"a": "1"})
    bag = await own_bag(view)
    assert await write_bags(store, [BagChange(bag.key, bag, {"a": "1", "b": ""})]) is None
    assert (await view()).relations[0].unit_bag_item(W0) == bag


async def test_a_bag_that_is_gone_is_not_made_again(store: Store, layout: Layout, charm: Charm, view: View) -> None:
    await deploy(store, layout, charm)
    await enter_scope(store, layout, await view(), 0, W0, {})
    bag = await own_bag(view)
    await leave_scope(store, layout, 0, W0)
    with pytest.raises(No):
        await write_bags(store, [BagChange(bag.key, bag, {"a": "1"})])
    assert (await view()).relations[0].unit_bag(W0) is None


async def test_an_old_picture_of_a_bag_loses_nothing(store: Store, layout: Layout, charm: Charm, view: View) -> None:
    await deploy(store, layout, charm)
    await enter_scope(store, layout, await view(), 0, W0, {})
    bag = await own_bag(view)
    await write_bags(store, [BagChange(bag.key, bag, {"a": "1"})])
    await write_bags(store, [BagChange(bag.key, bag, {"b": "2"})])
    assert (await view()).relations[0].unit_bag(W0) == {"a": "1", "b": "2"}
