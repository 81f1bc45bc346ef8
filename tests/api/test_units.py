"""Programs as units: joining, leading, settings that land in their term alone, databags, leaving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

import tenure
from tenure.api import Connection
from tenure.errors import BadInput, NoSuchThing, NotLeader
from tenure.model.document import status_document
from tenure.model.operations import add_units
from tenure.model.placement import adopt
from tenure.model.removal import remove_application, remove_units, wait_gone
from tenure.model.view import ModelView
from tenure.names import UnitName


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/tenure.db"


@pytest.fixture
async def one(url: str) -> AsyncIterator[Connection]:
    async with tenure.connect(url, machine="m1", lease_s=4) as connection:
        yield connection


@pytest.fixture
async def other(url: str) -> AsyncIterator[Connection]:
    async with tenure.connect(url, machine="m2", lease_s=4) as connection:
        yield connection


@pytest.fixture(autouse=True)
async def limited() -> AsyncIterator[None]:
    async with asyncio.timeout(20):
        yield


async def test_the_first_that_joins_makes_the_application_and_leads_it(one: Connection, other: Connection) -> None:
    async with one.join("worker") as first, first.hold() as term, other.join("worker") as second:
        assert (first.unit, second.unit) == ("worker/0", "worker/1")
        await one.workings.mirror.wait_until(lambda _: len(first.members) == 2)
        assert first.members == ["worker/0", "worker/1"]
        holding = one.leader("worker")
        assert holding is not None
        assert (holding.unit, holding.term) == ("worker/0", term.number)
        assert second.leader == "worker/0"
        assert await first.is_leader(for_s=0)
        assert not await second.is_leader()


async def test_a_number_is_never_used_twice(one: Connection) -> None:
    async with one.join("worker") as first:
        assert first.unit == "worker/0"
    async with one.join("worker") as second:
        assert second.unit == "worker/1"
        await remove_application(one.workings.store, one.workings.layout, "worker")
        await one.workings.mirror.wait_until(lambda _: "worker" not in one.workings.view().applications)
    async with one.join("worker") as third:
        assert third.unit == "worker/2"


async def test_settings_are_seen_by_their_writer_at_once_and_by_others_as_a_whole(
    one: Connection, other: Connection
) -> None:
    async with one.join("worker") as leader, leader.hold() as term, other.join("worker") as minion:
        async with aclosing(minion.settings.changes()) as changes:
            assert dict(await anext(changes)) == {}
            await term.write_settings({"color": "red", "size": "3"})
            assert dict(leader.settings) == {"color": "red", "size": "3"}
            assert dict(await anext(changes)) == {"color": "red", "size": "3"}
            await leader.write_settings({"size": ""})
            assert dict(await anext(changes)) == {"color": "red"}
        assert minion.settings["color"] == "red"
        assert dict(other.settings("worker")) == {"color": "red"}
        assert "red" not in repr(minion.settings)


async def test_a_minion_can_not_write_settings(one: Connection, other: Connection) -> None:
    async with one.join("worker") as leader, leader.hold(), other.join("worker") as minion:
        with pytest.raises(NotLeader, match="worker/1 is not the leader"):
            await minion.write_settings({"color": "red"})
        with pytest.raises(NotLeader):
            await minion.write_application_databag({"color": "red"})
    assert dict(one.settings("worker")) == {}


async def test_a_write_of_a_term_that_is_over_never_lands(one: Connection, other: Connection) -> None:
    async with one.join("worker") as first, other.join("worker") as second:
        async with first.hold() as term:
            pass
        async with second.hold() as later:
            await later.write_settings({"by": "second"})
            with pytest.raises(NotLeader):
                await term.write_settings({"by": "first"})
        async with first.hold() as again:
            assert again.number > later.number > term.number
            with pytest.raises(NotLeader, match=f"in term {term.number} any more"):
                await term.write_settings({"by": "first"})
        assert first.settings["by"] == "second"


async def test_leaving_the_block_lets_another_lead(one: Connection, other: Connection) -> None:
    async with one.join("worker") as first, other.join("worker") as second:
        async with first.hold():
            assert first.leader == "worker/0"
        async with second.hold() as term:
            await one.workings.mirror.wait_until(lambda _: first.leader == "worker/1")
        assert term.over


async def test_databags_are_read_by_the_others(one: Connection, other: Connection) -> None:
    async with one.join("worker") as first, other.join("worker") as second:
        await first.write_databag({"address": "10.0.0.1", "port": "80"})
        await first.write_databag({"port": ""})
        assert first.databag == {"address": "10.0.0.1"}
        await other.workings.mirror.wait_until(lambda _: second.databag_of("worker/0") == {"address": "10.0.0.1"})
        async with first.hold() as term:
            await term.write_application_databag({"endpoint": "first"})
            await other.workings.mirror.wait_until(lambda _: dict(second.application_databag) == {"endpoint": "first"})
    async with one.join("worker") as third:
        assert third.databag_of("worker/0") == {}


async def test_text_that_can_not_be_kept_is_refused(one: Connection) -> None:
    async with one.join("worker") as unit:
        with pytest.raises(BadInput, match="UTF-8"):
            await unit.write_databag({"name": "\udcff"})
        assert unit.databag == {}
        async with unit.hold() as term:
            with pytest.raises(BadInput, match="UTF-8"):
                await term.write_settings({"name": "\udcff"})


async def test_a_unit_that_is_a_program_shows_in_the_status(one: Connection) -> None:
    async with one.join("worker") as unit, unit.hold():
        document = status_document(one.workings.view(), "0")["applications"]["worker"]
        shown = document["units"]["worker/0"]
        assert document["charm-name"] == "program"
        assert shown["workload-status"]["current"] == "active"
        assert shown["workload-status"]["message"].startswith("program m1:")
        assert shown["juju-status"]["current"] == "idle"
        assert shown["leader"]
        await unit.say("blocked", "no disk")
        shown = status_document(one.workings.view(), "0")["applications"]["worker"]["units"]["worker/0"]
        assert shown["workload-status"]["current"] == "blocked"
        assert shown["workload-status"]["message"] == "no disk"
        assert shown["juju-status"]["current"] == "idle"


async def test_no_machine_takes_a_program_up(one: Connection) -> None:
    async with one.join("worker") as unit:
        assert not one.workings.view().unit(UnitName.parse(unit.unit)).info.waits_for_machine
        assert await adopt(one.workings.store, one.workings.layout, one.workings.view(), "m1") == []
        with pytest.raises(BadInput, match="its units are programs"):
            await add_units(one.workings.store, one.workings.layout, "worker")


async def test_a_program_that_is_removed_leaves(one: Connection, other: Connection) -> None:
    async with one.join("worker") as unit:
        name = UnitName.parse(unit.unit)
        with pytest.raises(NotLeader):
            async with unit.hold():
                removed = await remove_units(other.workings.store, other.workings.layout, [name])
                assert removed.dying == (name,)
                await asyncio.Event().wait()
        await wait_gone(other.workings.store, other.workings.layout, [name], force=False, progress=lambda _: None)
        with pytest.raises(NoSuchThing, match="not in its application any more"):
            await unit.write_databag({"a": "b"})
        with pytest.raises(NoSuchThing):
            async with unit.hold():
                pass
        assert not await unit.is_leader()
    assert "worker" in ModelView(one.workings.snapshot, one.workings.layout).applications


async def test_an_application_goes_with_its_last_program(one: Connection, other: Connection) -> None:
    async with one.join("worker"), other.join("worker"):
        await remove_application(one.workings.store, one.workings.layout, "worker")
        await one.workings.mirror.wait_until(lambda _: "worker" not in one.workings.view().applications)
        await one.workings.mirror.wait_until(lambda snapshot: not snapshot.under(one.workings.layout.relations))


async def test_a_name_that_no_application_may_have_is_refused(one: Connection) -> None:
    with pytest.raises(BadInput, match="application's name"):
        async with one.join("Worker"):
            pass
    with pytest.raises(NoSuchThing):
        one.leader("nothing")


async def test_a_unit_is_no_candidate_while_nobody_wants_it_to_lead(one: Connection, other: Connection) -> None:
    async with one.join("worker") as quiet, other.join("worker", candidate=True) as standing:
        await one.workings.mirror.wait_until(lambda _: quiet.leader == "worker/1")
        async with standing.hold() as term:
            assert term.unit == "worker/1"
            assert await standing.is_leader(for_s=0)
        await one.workings.mirror.wait_until(lambda _: quiet.leader == "worker/1")
        async with other.join("worker"):
            pass
    async with one.join("worker") as alone:
        assert not await alone.is_leader()
        assert alone.leader is None
