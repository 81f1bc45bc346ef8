"""What readers are shown of units and applications: Juju's rules, and who counts as a member."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tenure.model.charms import Charm, read_charm
from tenure.model.document import status_document
from tenure.model.layout import Layout
from tenure.model.members import members
from tenure.model.mirror import Mirror
from tenure.model.operations import deploy
from tenure.model.records import ApplicationStatus, Databag, Said, encode
from tenure.model.removal import remove_units
from tenure.model.status import WORST_FIRST, agent_status, application_status, workload_status, worst
from tenure.model.view import ModelView
from tenure.names import UnitName
from tenure.store.api import Delete, Put, Store
from tests.model.staging import leads, machine_up, says

View = Callable[[], Awaitable[ModelView]]
W0, W1, W2 = (UnitName("web", number) for number in range(3))


def said(view: ModelView, unit: UnitName) -> tuple[str, str, str]:
    found = view.unit(unit)
    workload = workload_status(view, found)
    return workload.status, workload.message, agent_status(view, found).status


async def test_a_unit_that_has_not_started_says_what_it_waits_for(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await machine_up(store, layout, "m0")
    await deploy(store, layout, charm, units=2, to=["m0", "m9"])
    assert said(await view(), W0) == ("waiting", "agent initialising", "allocating")
    assert said(await view(), W1) == ("waiting", "waiting for machine m9", "allocating")


async def test_a_failed_hook_shows_as_error_of_the_workload_and_an_idle_agent(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await machine_up(store, layout, "m0")
    await deploy(store, layout, charm)
    await says(store, layout, W0, "active", agent="error")
    assert said(await view(), W0) == ("error", "failed", "idle")


async def test_a_lost_agent_is_shown_as_lost_and_is_no_departure(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await machine_up(store, layout, "m0")
    await deploy(store, layout, charm)
    await says(store, layout, W0, "active", "fine")
    assert said(await view(), W0) == ("active", "fine", "idle")
    await store.commit([], [Delete(layout.machine("m0"))])
    status, message, agent = said(await view(), W0)
    assert (status, agent) == ("unknown", "lost")
    assert message.startswith("agent lost, see")
    assert members(await view(), "web") == [W0]


@pytest.mark.parametrize("better", range(1, len(WORST_FIRST)))
def test_an_applications_status_is_the_worst_of_its_units(better: int) -> None:
    found = worst([Said(status=WORST_FIRST[better]), Said(status=WORST_FIRST[better - 1], message="m")])
    assert (found.status, found.message) == (WORST_FIRST[better - 1], "m")
    assert worst([]).status == "unknown"


async def test_what_a_leader_has_set_is_the_applications_status(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await deploy(store, layout, charm)
    record = ApplicationStatus(said=Said(status="blocked", message="no licence"), id="1")
    await store.commit([], [Put(layout.application_status("web"), encode(record))])
    now = await view()
    assert application_status(now, now.application("web")).message == "no licence"


async def test_a_member_is_one_from_its_creation_until_it_has_left_the_peer_relation(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await machine_up(store, layout, "m0")
    await deploy(store, layout, charm, units=3, to=["m0", "m0", "m0"])
    assert members(await view(), "web") == [W0, W1, W2], "before any of them has started"
    for unit in (W0, W1, W2):
        await says(store, layout, unit, "active")
        await store.commit([], [Put(layout.unit_bag(0, unit), encode(Databag()))])
    await remove_units(store, layout, [W1])
    assert members(await view(), "web") == [W0, W1, W2], "dying, but in the peer relation still"
    await store.commit([], [Delete(layout.unit_bag(0, W1))])
    assert members(await view(), "web") == [W0, W2]


async def test_without_a_peer_relation_a_member_is_one_until_it_is_gone(
    store: Store, layout: Layout, charm_folder: Path, view: View
) -> None:
    (charm_folder / "metadata.yaml").write_text("name: web\n")
    await machine_up(store, layout, "m0")
    await deploy(store, layout, read_charm(charm_folder))
    await says(store, layout, W0, "active")
    await remove_units(store, layout, [W0])
    assert members(await view(), "web") == [W0]


async def test_the_document_has_what_readers_of_jujus_status_need(
    store: Store, layout: Layout, charm: Charm, view: View
) -> None:
    await machine_up(store, layout, "m0")
    await deploy(store, layout, charm, units=2, to=["m0", "m1"])
    await says(store, layout, W0, "active", "ready")
    term = await leads(store, layout, W0)
    document = status_document(await view(), "1.0")
    assert {"name", "type", "controller", "cloud", "version", "model-uuid"} <= set(document["model"])
    web = document["applications"]["web"]
    assert {"charm", "charm-origin", "charm-name", "charm-rev", "exposed"} <= set(web)
    assert isinstance(web["charm-rev"], int)
    assert web["relations"]["cluster"] == [{"related-application": "web", "interface": "cluster", "scope": "global"}]
    unit = web["units"]["web/0"]
    assert unit["workload-status"] == {"current": "active", "message": "ready"}
    assert (unit["leader"], unit["term"], unit["machine"]) == (True, term, "m0")
    assert "leader" not in web["units"]["web/1"]
    assert document["machines"]["m0"]["juju-status"]["current"] == "started"
    assert document["machines"]["m1"]["juju-status"]["current"] == "down"


async def test_a_unit_that_changes_is_decoded_again_and_the_others_are_not(
    store: Store, layout: Layout, charm: Charm
) -> None:
    await deploy(store, layout, charm, units=2)
    mirror = Mirror(store, layout.prefix)
    await mirror.start()
    before = ModelView(mirror.current, layout)
    kept, stale = before.unit(W0).info, before.application("web").info
    assert ModelView(mirror.current, layout).application("web") is before.application("web")
    await says(store, layout, W1, "active")
    async with asyncio.timeout(10):
        after = ModelView(await mirror.wait_until(lambda snapshot: snapshot.revision > before.revision), layout)
    assert after.unit(W0).info is kept
    assert after.application("web").info is stale
    assert after.unit(W1).status is not None
    assert before.unit(W1).status is None
    await mirror.close()
