"""Offices as programs hold them: one holder at a time, a block that ends with its term, a hand-over without a gap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import tenure
from tenure.api import Connection, Office
from tenure.errors import BadInput, NotLeader, TimedOut
from tenure.model.records import Drained, encode
from tenure.store.api import Delete, Put
from tests.waiting import until_async


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


async def held_by(office: Office, machine: str | None) -> None:
    async with asyncio.timeout(10):
        async for holding in office.changes():
            if (None if holding is None else holding.machine) == machine:
                return


async def test_of_two_programs_that_hold_an_office_one_waits_for_the_other(one: Connection, other: Connection) -> None:
    done: list[str] = []
    inside = 0

    async def hold(connection: Connection) -> int:
        nonlocal inside
        async with connection.office("cron").hold() as term:
            inside += 1
            assert inside == 1
            assert term.left_s > 2
            term.check()
            await asyncio.sleep(0)
            done.append(connection.workings.desk.machine)
            inside -= 1
            return term.number

    async with asyncio.timeout(10):
        numbers = await asyncio.gather(hold(one), hold(other))
    assert sorted(done) == ["m1", "m2"]
    assert len(set(numbers)) == 2
    history = one.office("cron").history
    assert next(term.how for term in history if term.number in numbers) == "released"


async def test_leaving_the_block_frees_the_office_at_once(one: Connection, other: Connection) -> None:
    async with one.office("cron").hold() as term:
        assert one.office("cron").holder is not None
        assert await one.office("cron").is_leader(for_s=0)
        assert not await other.office("cron").is_leader(for_s=0)
    assert term.over
    with pytest.raises(NotLeader, match="is over"):
        term.check()
    async with other.office("cron").hold(timeout_s=1) as later:
        assert later.number > term.number


async def test_waiting_has_a_limit(one: Connection, other: Connection) -> None:
    async with one.office("cron").hold():
        with pytest.raises(TimedOut, match=r"cron was not to be had within 0\.05 s"):
            async with other.office("cron").hold(timeout_s=0.05):
                pass
    await held_by(other.office("cron"), None)


async def test_the_block_is_cancelled_when_its_office_is_transferred(one: Connection, other: Connection) -> None:
    began = {one: asyncio.Event(), other: asyncio.Event()}
    over: dict[Connection, bool] = {}

    async def hold(connection: Connection) -> str:
        async with connection.office("cron").hold() as term:
            began[connection].set()
            try:
                await asyncio.Event().wait()
            finally:
                over[connection] = term.over
        return "never"

    async with asyncio.timeout(10):
        first = asyncio.create_task(hold(one))
        await began[one].wait()
        second = asyncio.create_task(hold(other))
        keys = one.workings.layout.free_candidates("cron")
        await one.workings.mirror.wait_until(lambda snapshot: len(snapshot.under(keys)) == 2)
        (to,) = (item.key.removeprefix(keys) for item in one.workings.snapshot.under(keys) if "m2/" in item.key)
        assert await one.office("cron").transfer(to)
        with pytest.raises(NotLeader, match=r"term \d+ has ended"):
            await first
        await held_by(one.office("cron"), "m2")
        await began[other].wait()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
    assert over == {one: True, other: False}


async def test_who_does_not_hold_an_office_can_not_hand_it_over(one: Connection) -> None:
    with pytest.raises(NotLeader):
        await one.office("cron").transfer("m2/1")


async def test_two_blocks_of_one_connection_share_the_term(one: Connection) -> None:
    office = one.office("cron")
    async with office.hold() as outer:
        async with one.office("cron").hold() as inner:
            assert inner.number == outer.number
        assert not outer.over
    await held_by(office, None)


async def test_an_exception_in_the_block_frees_the_office(one: Connection, other: Connection) -> None:
    with pytest.raises(KeyError):
        async with one.office("cron").hold():
            raise KeyError
    async with other.office("cron").hold(timeout_s=1):
        pass


async def test_a_connection_that_is_left_gives_everything_up(url: str, other: Connection) -> None:
    async with tenure.connect(url, machine="m1") as connection:
        async with connection.join("worker") as unit, asyncio.timeout(5):
            async with unit.hold():
                pass
    await held_by(other.office("cron"), None)
    async with asyncio.timeout(5):
        await other.workings.mirror.wait_until(
            lambda snapshot: not snapshot.under(other.workings.layout.units("worker"))
        )


@pytest.mark.parametrize("lease_s", [1, 2000000])
async def test_a_lease_that_the_store_can_not_give_is_refused(one: Connection, lease_s: int) -> None:
    with pytest.raises(BadInput, match="leases from"):
        one.office("other", lease_s=lease_s)


async def test_a_name_that_no_office_may_have_is_refused(one: Connection) -> None:
    with pytest.raises(BadInput, match="office's name"):
        one.office("a/b")


async def test_a_span_that_no_lease_can_give_is_refused(one: Connection) -> None:
    async with one.office("cron").hold():
        with pytest.raises(BadInput, match="can't vouch for 60 s"):
            await one.office("cron").is_leader(for_s=60)


@pytest.mark.parametrize("url", ["tenure.db", "mysql://host/db", "sqlite://relative.db"])
async def test_a_store_that_can_not_be_is_refused_in_a_line(url: str) -> None:
    with pytest.raises(BadInput):
        async with tenure.connect(url):
            pass


def test_importing_tenure_does_not_import_what_only_programs_need() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from tenure import connect; "
        "print(sorted(name for name in sys.modules if name in ('asyncio', 'msgspec', 'typing')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    code = "import sys, tenure.blocking; print('yaml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def test_a_program_on_a_drained_host_hands_over_and_is_a_candidate_again_afterwards(
    one: Connection, other: Connection
) -> None:
    layout, store = one.workings.layout, one.workings.store
    drained = Put(layout.drained("m1"), encode(Drained(since="2026-05-01T12:00:00Z")))
    held = asyncio.Event()

    async def hold_until_lost() -> None:
        async with one.office("cron").hold():
            held.set()
            await asyncio.Event().wait()

    async def hold_once(connection: Connection) -> int:
        async with connection.office("cron").hold() as term:
            return term.number

    async with asyncio.timeout(20):
        first = asyncio.create_task(hold_until_lost())
        await held.wait()
        taken = asyncio.create_task(hold_once(other))
        await until_async(lambda: len(one.workings.view().offices["cron"].candidates) == 2)
        await store.commit([], [drained])
        with pytest.raises(NotLeader):
            await first
        await taken
        assert next(term.how for term in other.office("cron").history) == "transferred"
        again = asyncio.create_task(hold_once(one))
        await until_async(lambda: one.workings.standings)
        await held_by(other.office("cron"), None)
        await other.workings.mirror.wait_until(lambda snapshot: snapshot.get(drained.key) is not None)
        assert not again.done()
        await store.commit([], [Delete(drained.key)])
        assert await again > 0


async def test_whoever_holds_many_offices_looks_at_each_only_when_it_changes(
    one: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    async with one.office("quiet").hold():
        (standing,) = one.workings.standings
        await until_async(lambda: standing.candidate.unit in standing.candidate.machine.picture.candidates)
        monkeypatch.setattr(standing.candidate, "saw", lambda view: looked.append("quiet"))
        async with one.office("busy").hold():
            await one.workings.seen((await one.workings.store.read("/")).revision)
        assert looked == []
        monkeypatch.undo()
