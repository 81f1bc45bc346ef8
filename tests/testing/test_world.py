"""What the fixture for users' tests does: elections, depositions, partitions and time, and none of it takes any."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

import tenure
from tenure.api import Connection, Office, Term, Unit
from tenure.errors import BadInput, NotLeader, StoreUnreachable, TimedOut
from tenure.testing import World


@pytest.fixture(autouse=True)
async def limited() -> AsyncIterator[None]:
    async with asyncio.timeout(30):
        yield


@pytest.fixture
async def one(tenure_world: World) -> AsyncIterator[Connection]:
    async with tenure.connect(tenure_world.url, machine="m1") as connection:
        yield connection


@pytest.fixture
async def other(tenure_world: World) -> AsyncIterator[Connection]:
    async with tenure.connect(tenure_world.url, machine="m2") as connection:
        yield connection


class Worker:
    """Holds an office again and again, and remembers what became of it."""

    def __init__(self, office: Office | Unit) -> None:
        self.office = office
        self.term: Term | None = None
        self.terms: list[int] = []
        self.lost: list[int] = []
        self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while True:
            with contextlib.suppress(NotLeader):
                async with self.office.hold() as self.term:
                    self.terms.append(self.term.number)
                    try:
                        await asyncio.Event().wait()
                    finally:
                        self.lost.append(self.term.number)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_who_is_elected_holds_the_office_whoever_held_it(
    tenure_world: World, one: Connection, other: Connection
) -> None:
    first, second = Worker(one.office("cron")), Worker(other.office("cron"))
    term = await tenure_world.elect(first.office)
    assert first.terms[-1] == term
    later = await tenure_world.elect(second.office)
    assert later > term
    assert second.terms == [later]
    assert first.lost[-1] == term
    assert await tenure_world.elect(second.office) == later
    await first.stop()
    await second.stop()


async def test_a_unit_is_elected_whatever_its_leader_has_promised(
    tenure_world: World, one: Connection, other: Connection
) -> None:
    async with one.join("worker", candidate=True) as first, other.join("worker", candidate=True) as second:
        await tenure_world.elect(first)
        assert await first.is_leader(for_s=30)
        before_s = tenure_world.now_s
        await tenure_world.elect(second)
        assert tenure_world.now_s - before_s < 5
        assert await second.is_leader()
        assert not await first.is_leader()


async def test_who_is_deposed_goes_last_in_line(tenure_world: World, one: Connection, other: Connection) -> None:
    first, second = Worker(one.office("cron")), Worker(other.office("cron"))
    term = await tenure_world.elect(first.office)
    await tenure_world.depose(first.office)
    assert first.lost == [term]
    await tenure_world.pass_time(60)
    assert second.terms
    assert second.terms[-1] > term
    with pytest.raises(BadInput, match="does not hold cron"):
        await tenure_world.depose(first.office)
    await first.stop()
    await second.stop()


async def test_a_lease_of_a_minute_rides_out_twenty_seconds_of_silence(tenure_world: World, one: Connection) -> None:
    worker = Worker(one.office("cron"))
    await tenure_world.elect(worker.office)
    tenure_world.partition(one)
    await tenure_world.pass_time(20)
    assert worker.lost == []
    tenure_world.heal(one)
    await tenure_world.pass_time(20)
    assert worker.lost == []
    assert worker.term is not None
    assert worker.term.left_s > 30
    await worker.stop()


async def test_a_block_is_cancelled_a_guarantee_before_another_can_hold_the_office(
    tenure_world: World, one: Connection, other: Connection
) -> None:
    first, second = Worker(one.office("cron")), Worker(other.office("cron"))
    await tenure_world.elect(first.office)
    tenure_world.partition(first.office)
    while not first.lost:
        await tenure_world.pass_time(0.5)
    assert second.terms == []
    await tenure_world.pass_time(29)
    assert second.terms == []
    await tenure_world.pass_time(10)
    assert len(second.terms) == 1
    assert second.term is not None
    assert not second.term.over
    await first.stop()
    await second.stop()


async def test_who_is_cut_off_can_not_tell_and_can_not_write(tenure_world: World, one: Connection) -> None:
    async with one.join("worker", candidate=True) as unit:
        await tenure_world.elect(unit)
        tenure_world.partition(unit)
        await tenure_world.pass_time(35)
        with contextlib.suppress(StoreUnreachable):
            assert not await unit.is_leader()
        with pytest.raises(NotLeader):
            await unit.write_settings({"color": "red"})
        tenure_world.heal()
        await tenure_world.pass_time(70)
        await unit.write_settings({"color": "red"})
        assert unit.settings["color"] == "red"


async def test_a_unit_is_there_again_after_its_lease_was_lost(
    tenure_world: World, one: Connection, other: Connection
) -> None:
    async with one.join("worker", candidate=True) as first, other.join("worker", candidate=True) as second:
        await first.write_databag({"address": "10.0.0.1"})
        tenure_world.partition(first)
        await tenure_world.pass_time(100)
        assert second.members == ["worker/1"]
        assert second.leader == "worker/1"
        tenure_world.heal(first)
        await tenure_world.pass_time(1)
        assert second.members == ["worker/0", "worker/1"]
        assert second.databag_of("worker/0") == {"address": "10.0.0.1"}
        assert await tenure_world.elect(first) > 0
        assert await first.is_leader()


async def test_leaving_waits_for_what_was_promised_in_no_time_at_all(tenure_world: World, one: Connection) -> None:
    before_s = tenure_world.now_s
    async with one.office("cron").hold():
        assert await one.office("cron").is_leader(for_s=25)
    assert 25 <= tenure_world.now_s - before_s < 30


async def test_a_time_out_is_virtual(tenure_world: World, one: Connection, other: Connection) -> None:
    async with one.office("cron").hold():
        waiting = asyncio.create_task(_hold(other.office("cron"), 30))
        await tenure_world.pass_time(29)
        assert not waiting.done()
        await tenure_world.pass_time(2)
        with pytest.raises(TimedOut, match="within 30 s"):
            await waiting


async def _hold(office: Office, timeout_s: float) -> None:
    async with office.hold(timeout_s):
        pass


async def test_leaving_a_connection_that_is_cut_off_ends_with_the_leases(tenure_world: World) -> None:
    async with tenure.connect(tenure_world.url) as connection:
        async with connection.join("worker", candidate=True) as unit:
            await tenure_world.elect(unit)
            tenure_world.partition(unit)
    assert tenure_world.now_s < 200


async def test_hours_pass_in_a_moment(tenure_world: World, one: Connection) -> None:
    async with one.office("cron").hold() as term:
        await tenure_world.pass_time(3600)
        assert tenure_world.now_s == pytest.approx(3600)
        assert term.left_s > 30


async def test_what_is_no_candidate_can_not_be_elected(tenure_world: World, one: Connection) -> None:
    with pytest.raises(BadInput, match="nobody waits for cron here"):
        await tenure_world.elect(one.office("cron"))
    with pytest.raises(BadInput, match="can't pass"):
        await tenure_world.pass_time(-1)
    with World() as another, pytest.raises(BadInput, match="another world"):
        another.partition(one)


async def test_a_term_is_over_by_the_clock_alone_while_the_event_loop_hangs(
    tenure_world: World, one: Connection
) -> None:
    with pytest.raises(NotLeader, match="has ended"):
        async with one.office("cron").hold() as term:
            tenure_world.partition(one)
            assert term.left_s > 30
            tenure_world._time.advance(61)
            assert term.over
            with pytest.raises(NotLeader, match="is over"):
                term.check()
            await asyncio.Event().wait()


async def test_a_connection_that_is_left_ends_the_blocks_of_other_tasks(tenure_world: World) -> None:
    async with tenure.connect(tenure_world.url) as connection, tenure.connect(tenure_world.url) as other:
        async with other.office("cron").hold():
            waiting = asyncio.create_task(_hold(connection.office("cron"), 1000))
            await tenure_world.settle()
            holding = asyncio.create_task(_hold_on(connection.office("other")))
            await tenure_world.settle()
            await connection.workings.close()
            with pytest.raises(StoreUnreachable):
                await waiting
            with pytest.raises(NotLeader):
                await holding
            with pytest.raises(StoreUnreachable, match="the connection is closed"):
                await _hold(connection.office("other"), 1)
            with pytest.raises(StoreUnreachable, match="the connection is closed"):
                async with connection.join("worker"):
                    pass


async def _hold_on(office: Office) -> None:
    async with office.hold():
        await asyncio.Event().wait()


async def test_who_stops_waiting_is_no_candidate_any_more(
    tenure_world: World, one: Connection, other: Connection
) -> None:
    async with other.office("cron").hold():
        waiting = asyncio.create_task(_hold(one.office("cron"), 1000))
        await tenure_world.settle()
        assert one.office("cron")._standing is not None
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert one.office("cron")._standing is None
        await tenure_world.settle()
        assert len(one.workings.snapshot.under(one.workings.layout.free_candidates("cron"))) == 1


async def test_who_is_cancelled_leaves_at_once_and_the_office_is_free_when_nothing_is_owed(
    tenure_world: World, one: Connection, other: Connection
) -> None:
    async def promise() -> None:
        async with one.office("cron").hold():
            assert await one.office("cron").is_leader(for_s=25)
            await asyncio.Event().wait()

    holding = asyncio.create_task(promise())
    await tenure_world.pass_time(1)
    before_s = tenure_world.now_s
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert tenure_world.now_s == before_s
    waiting = asyncio.create_task(_hold(other.office("cron"), 60))
    await tenure_world.pass_time(20)
    assert not waiting.done()
    await tenure_world.pass_time(10)
    await waiting
