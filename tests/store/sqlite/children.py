"""Real processes that use a store: what they do is a small program, and what they say comes line by line."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[3]

_AROUND = """
import asyncio, os, sys, time
from tenure.errors import *
from tenure.store import open_store
from tenure.store.api import *

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

async def main(url, *args):
    store = await open_store(url)
    say("open")
{body}
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""


class Child:
    """A process that opens the store, says "open", and runs `body` with `store`, `args` and `say`."""

    def __init__(self, body: str, url: str, *args: object) -> None:
        program = _AROUND.format(body="".join(f"    {line}\n" for line in body.strip().splitlines()))
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, url, *map(str, args)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self.process.pid

    def line(self) -> str:
        """The next line that it says; empty when it has ended. The test's own time-out is the limit."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def lines(self) -> Iterator[str]:
        """All that it says until it ends."""
        while line := self.line():
            yield line

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its end; its exit code."""
        return self.process.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def children(count: int, body: str, url: str, *args: object) -> Iterator[list[Child]]:
    """So many processes with one body, each given its number and then `args`; none is left behind."""
    made = [Child(body, url, number, *args) for number in range(count)]
    try:
        yield made
    finally:
        for child in made:
            child.__exit__(None, None, None)
