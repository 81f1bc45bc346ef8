"""`tenure hold` and programs on one office: never two, whoever comes first and whoever is stopped."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tenure
from tests.cli.conftest import Tenure
from tests.stopping import stop
from tests.waiting import until, until_async

pytestmark = pytest.mark.slow

LEASE_S = 4


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Tenure]:
    commands = Tenure(tmp_path, tmp_path / "bytecode")
    yield commands
    commands.close()


class Alone:
    """A lock that whoever holds the office takes, and a line from each: who finds it taken fails."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "alone"
        self.path.touch()

    def command(self, then: str) -> list[str]:
        """For `tenure hold`: the lock is held while anything of it is left."""
        return ["sh", "-c", f'exec 9>>{self.path}; flock -n 9 || exit 99; echo "$TENURE_TERM hold" >&9; {then}']

    @contextmanager
    def held_by_program(self, term: int) -> Iterator[None]:
        with open(self.path, "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            print(f"{term} program", file=file, flush=True)
            yield

    def lines(self) -> list[tuple[int, str]]:
        words = [line.split() for line in self.path.read_text().splitlines()]
        return [(int(term), who) for term, who in words]


async def test_holds_and_programs_take_turns(commands: Tenure, tmp_path: Path) -> None:
    alone = Alone(tmp_path)
    command = alone.command("sleep 0.05")
    holds = [commands.start("hold", "x", "--lease", "20s", "--", *command) for _ in range(3)]

    async def program(number: int) -> None:
        async with tenure.connect(commands.url, machine=f"p{number}", lease_s=20) as connection:
            for _ in range(2):
                async with connection.office("x").hold() as term:
                    with alone.held_by_program(term.number):
                        await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await asyncio.gather(*(program(number) for number in range(3)))
    for process in holds:
        assert await asyncio.to_thread(process.wait, 60) == 0
    lines = alone.lines()
    assert len(lines) == 9
    assert lines == sorted(lines)
    assert len({term for term, _ in lines}) == 9


async def test_a_program_waits_until_the_command_of_a_hold_that_is_stopped_is_gone(
    commands: Tenure, tmp_path: Path
) -> None:
    alone = Alone(tmp_path)
    hold = commands.start("hold", "x", "--lease", f"{LEASE_S}s", "--", *alone.command("trap '' TERM; sleep 1000"))
    await until_async(alone.lines)
    async with asyncio.timeout(60), tenure.connect(commands.url, machine="p", lease_s=LEASE_S) as connection:
        stop(hold.pid)
        async with connection.office("x").hold() as term:
            with alone.held_by_program(term.number):
                pass
    os.kill(hold.pid, signal.SIGCONT)
    assert [who for _, who in alone.lines()][:2] == ["hold", "program"]


def test_a_command_waits_until_the_term_of_a_program_that_was_killed_is_over(commands: Tenure, tmp_path: Path) -> None:
    alone = Alone(tmp_path)
    script = (
        "import asyncio, tenure\n"
        "async def main():\n"
        f"    async with tenure.connect({commands.url!r}, machine='p', lease_s={LEASE_S}) as connection:\n"
        "        async with connection.office('x').hold() as term:\n"
        f"            print(term.number, 'program', file=open({str(alone.path)!r}, 'a'), flush=True)\n"
        "            await asyncio.sleep(1000)\n"
        "asyncio.run(main())\n"
    )
    program = subprocess.Popen([sys.executable, "-c", script])
    try:
        until(alone.lines)
        hold = commands.start("hold", "x", "--lease", f"{LEASE_S}s", "--", *alone.command("true"))
    finally:
        program.kill()
        program.wait()
    assert hold.wait(60) == 0
    (first, _), (second, who) = alone.lines()
    assert who == "hold"
    assert second > first
