"""What a singleton's process prints: line by line into the log, a flood of it in part, and none of it harms the process."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tenure.agent.singletons.output import LINES_AT_ONCE, Output
from tests.waiting import until_async


class Said:
    """An output, and what of it has been logged."""

    def __init__(self, path: Path) -> None:
        self.lines: list[str] = []
        self.path = path
        self.output = Output(path, "", lambda form, line: self.lines.append(form % line))

    def write(self, data: bytes) -> None:
        file = self.output.open()
        os.write(file, data)
        os.close(file)


@pytest.fixture
async def said(tmp_path: Path) -> AsyncIterator[Said]:
    said = Said(tmp_path / "output")
    yield said
    said.output.close()


async def test_lines_are_logged_as_they_come_and_the_rest_of_one_at_the_end(said: Said) -> None:
    said.write(b"one\ntwo \xff\nthr")
    await until_async(lambda: len(said.lines) == 2)
    said.write(b"ee")
    said.output.flush()
    assert said.lines == ["one", "two \ufffd", "three"]


async def test_a_line_without_end_is_logged_in_pieces(said: Said) -> None:
    said.write(b"x" * 40_000)
    await until_async(lambda: len(said.lines) == 2)
    said.output.flush()
    assert "".join(said.lines) == "x" * 40_000


async def test_of_a_flood_so_much_is_logged_and_the_rest_counted(said: Said) -> None:
    file = said.output.open()
    process = subprocess.Popen(["sh", "-c", "yes | head -n 100000"], stdout=file)
    os.close(file)
    await asyncio.to_thread(process.wait, 30)
    said.output.flush()
    logged = sum(line == "y" for line in said.lines)
    dropped = sum(int(line[1:].split()[0]) for line in said.lines if line != "y")
    assert logged < 2 * LINES_AT_ONCE
    assert logged + dropped >= 100_000 - 64 * 1024


async def test_a_process_goes_on_printing_while_no_agent_reads_and_the_next_one_finds_it(tmp_path: Path) -> None:
    first = Said(tmp_path / "output")
    file = first.output.open()
    process = subprocess.Popen(["sh", "-c", "read go; echo told; exec sleep 1000"], stdin=subprocess.PIPE, stdout=file)
    os.close(file)
    first.output.close()
    try:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
        second = Said(tmp_path / "output")
        second.output.begin()
        await until_async(lambda: second.lines == ["told"])
        assert process.poll() is None
        second.output.close()
    finally:
        process.kill()
        process.communicate()


async def test_what_stands_in_its_place_is_replaced(said: Said) -> None:
    said.path.write_text("old")
    said.write(b"new\n")
    await until_async(lambda: said.lines == ["new"])
