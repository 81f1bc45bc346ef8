"""Programs beside what else lives in a model: commands that ask something of them, and a charm's units with their agent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import tenure
from tenure.errors import NotLeader
from tests.cli.conftest import Tenure
from tests.model.conftest import make_charm

pytestmark = pytest.mark.slow


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Tenure]:
    commands = Tenure(tmp_path, tmp_path / "bytecode")
    yield commands
    for process in commands.started:
        process.terminate()
        process.communicate(timeout=20)


async def run(commands: Tenure, *arguments: str, code: int = 0) -> str:
    done = await asyncio.to_thread(commands, *arguments, code=code)
    return done.out + done.err


async def test_commands_show_programs_and_hand_over_between_them(commands: Tenure) -> None:
    async with (
        asyncio.timeout(90),
        tenure.connect(commands.url, machine="m1") as one,
        tenure.connect(commands.url) as other,
        one.join("worker", candidate=True) as first,
    ):
        handed_over = asyncio.Event()

        async def lead() -> None:
            async with first.hold() as term:
                await term.write_settings({"color": "red"})
                await handed_over.wait()

        leading = asyncio.create_task(lead())
        await one.workings.mirror.wait_until(lambda _: "color" in first.settings)
        async with other.join("worker", candidate=True) as second:
            document = json.loads(await run(commands, "status", "--format", "json"))
            assert document["applications"]["worker"]["units"]["worker/0"]["leader"]
            assert "worker/1" in await run(commands, "status")
            assert "red" in await run(commands, "settings", "worker")
            await run(commands, "transfer", "worker/1")
            with pytest.raises(NotLeader):
                await leading
            assert (await run(commands, "leader", "worker")).strip() == "worker/1"
            assert "transferred" in await run(commands, "history", "worker")
            assert "only its program" in await run(commands, "is-leader", "worker/1", code=3)
            assert "only its program" in await run(commands, "explain", "worker")
            await run(commands, "remove-unit", "worker/1")
            await one.workings.mirror.wait_until(lambda _: first.members == ["worker/0"])
            assert not await second.is_leader()
        await one.workings.mirror.wait_until(lambda _: first.leader == "worker/0")
        keys = one.workings.layout.unit(second._place.unit)
        await one.workings.mirror.wait_until(lambda snapshot: not snapshot.under(keys))


async def test_a_program_and_a_charms_unit_lead_each_other(commands: Tenure, tmp_path: Path) -> None:
    charm = make_charm(tmp_path / "charm")
    commands.start("agent", "--machine", "m0", "--state-dir", "state-m0")
    async with asyncio.timeout(110):
        await run(commands, "deploy", str(charm), "web", "--to", "m0", "--lease", "6s")
        await run(commands, "wait", "web", "--for", "idle", "--for", "leader", "--timeout", "29s")
        async with tenure.connect(commands.url, machine="m9") as connection:
            async with connection.join("web", candidate=True) as unit:
                assert unit.unit == "web/1"
                assert unit.leader == "web/0"
                assert not await unit.is_leader()
                await run(commands, "transfer", "web/1")
                async with unit.hold(timeout_s=10) as term:
                    await term.write_settings({"color": "red"})
                    assert "red" in await run(commands, "settings", "web")
                await connection.workings.mirror.wait_until(lambda _: unit.leader == "web/0")
            document = json.loads(await run(commands, "status", "--format", "json"))
            assert set(document["applications"]["web"]["units"]) == {"web/0"}
