"""Settings in versions: published by the leader, acknowledged by each program, waited for by whoever leads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import tenure
from tenure.api import Connection, Unit
from tenure.errors import BadInput, NotLeader, TimedOut
from tenure.testing.plugin import tenure_world as tenure_world
from tenure.testing.world import World


@pytest.fixture
async def units(tenure_world: World) -> AsyncIterator[tuple[Unit, Unit]]:
    async with tenure.connect(tenure_world.url, machine="m1") as one, tenure.connect(tenure_world.url) as other:
        async with one.join("worker", candidate=True) as leader, other.join("worker", candidate=True) as minion:
            await tenure_world.elect(leader)
            yield leader, minion


async def test_the_leader_waits_until_everyone_has_acknowledged(tenure_world: World, units: tuple[Unit, Unit]) -> None:
    leader, minion = units
    assert (leader.acknowledgements.version, leader.acknowledgements.missing) == (0, [])
    assert await leader.acknowledgements.publish({"color": "red"}) == 1
    assert await leader.acknowledgements.publish({"color": "red"}) == 1
    waiting = asyncio.create_task(leader.acknowledgements.everyone())
    await leader.acknowledgements.acknowledge(1)
    await tenure_world.settle()
    assert [(str(one.unit), one.acknowledged) for one in leader.acknowledgements.missing] == [("worker/1", 0)]
    assert not waiting.done()
    assert minion.acknowledgements.settings == {"color": "red"}
    await minion.acknowledgements.acknowledge(minion.acknowledgements.version)
    await tenure_world.settle()
    await waiting
    assert leader.acknowledgements.missing == []


async def test_a_new_version_is_missed_by_all(units: tuple[Unit, Unit], tenure_world: World) -> None:
    leader, minion = units
    await leader.acknowledgements.publish({"color": "red"})
    await leader.acknowledgements.acknowledge(1)
    assert await leader.acknowledgements.publish({"color": "blue"}) == 2
    assert [one.why for one in leader.acknowledgements.missing] == [
        "acknowledged version 1 of 2",
        "acknowledged none of 2",
    ]
    waiting = asyncio.create_task(minion.acknowledgements.everyone(timeout_s=5))
    await tenure_world.pass_time(6)
    with pytest.raises(
        TimedOut, match="version 2 of the settings is acknowledged by 0 of 2; worker/0: acknowledged version 1"
    ):
        await waiting


async def test_a_program_that_dies_is_not_waited_for(tenure_world: World, units: tuple[Unit, Unit]) -> None:
    leader, minion = units
    await leader.acknowledgements.publish({"color": "red"})
    await leader.acknowledgements.acknowledge(1)
    waiting = asyncio.create_task(leader.acknowledgements.everyone())
    tenure_world.partition(minion)
    await tenure_world.pass_time(65)
    assert waiting.done()


async def test_its_successor_takes_a_roll_out_up_where_it_stands(tenure_world: World, units: tuple[Unit, Unit]) -> None:
    leader, minion = units
    await leader.acknowledgements.publish({"color": "red"})
    await tenure_world.elect(minion)
    with pytest.raises(NotLeader):
        await leader.acknowledgements.publish({"color": "green"})
    assert await minion.acknowledgements.publish({"size": "3"}) == 2
    assert minion.acknowledgements.settings == {"color": "red", "size": "3"}


async def test_what_was_never_published_can_not_be_acknowledged(units: tuple[Unit, Unit]) -> None:
    leader, _ = units
    for version in (0, 1):
        with pytest.raises(BadInput, match="never published"):
            await leader.acknowledgements.acknowledge(version)
    with pytest.raises(BadInput, match="own"):
        await leader.acknowledgements.publish({"settings-version": "7"})
    assert isinstance(leader.connection, Connection)
