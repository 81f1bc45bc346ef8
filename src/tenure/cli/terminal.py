"""Agents as children of one terminal: started, shown line by line behind their names, ended together."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tenure.clock import Instant, KernelClock, ns
from tenure.defaults import SAME_SIGNAL_S

LINE_MAX = 64 * 1024
"""Bytes of one line of a log that are shown; the agent's own log file has it whole."""

COLOURS = (36, 33, 35, 32, 34, 31)
"""ANSI's numbers, one machine after the other."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One agent: its machine's name, its process, and what its lines begin with."""

    name: str
    process: asyncio.subprocess.Process
    prefix: str


class Terminal:
    """Agents as children of this process: starts them, shows what they say, ends them."""

    def __init__(self, out: TextIO, environment: Mapping[str, str]) -> None:
        self._out = out
        self._environment = dict(environment)
        self._colour = out.isatty() and "NO_COLOR" not in os.environ
        self._machines: list[Machine] = []
        self._readers: set[asyncio.Task[None]] = set()
        self._asked_to_end: Instant | None = None
        self._killed = False

    async def start(self, machine: str, state: Path, options: Sequence[str], width: int) -> None:
        """Start a machine's agent and show its log from now on."""
        process = await asyncio.create_subprocess_exec(
            *tenure_command(), *options, "agent", "--machine", machine, "--state-dir", str(state),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LINE_MAX,
            env=self._environment,
            # The terminal's Ctrl-C is for us: an agent of its group would get a second signal beside ours.
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )  # fmt: skip
        number = len(self._machines)
        prefix = f"{machine:{width}} │ "
        if self._colour:
            prefix = f"\x1b[{COLOURS[number % len(COLOURS)]}m{prefix}\x1b[0m"
        one = Machine(machine, process, prefix)
        self._machines.append(one)
        reader = asyncio.create_task(self._show(one))
        self._readers.add(reader)

    async def run(self) -> int:
        """Wait for Ctrl-C (SIGINT, SIGTERM, SIGHUP) or the last agent's end, end the agents; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ask)
        await asyncio.gather(*(self._ended(machine) for machine in self._machines))
        await asyncio.gather(*self._readers)
        if self._killed:
            return 128 + signal.SIGINT
        return 0 if self._asked_to_end else 1

    def say(self, text: str) -> None:
        """A line of our own."""
        self._print(f"\x1b[1m{text}\x1b[0m" if self._colour else text)

    def kill(self) -> None:
        """SIGKILL to whatever still runs."""
        self._signal(signal.SIGKILL)

    def _ask(self) -> None:
        now = KernelClock().now()
        if self._asked_to_end is not None:
            if not self._asked_to_end.after(ns(SAME_SIGNAL_S)).reached(now):
                return
            self._killed = True
            self.say("killing the agents: their terms end with their leases")
            self.kill()
            return
        self._asked_to_end = now
        self.say("ending: the agents hand over (Ctrl-C once more kills them)")
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        for machine in self._machines:
            if machine.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    machine.process.send_signal(number)

    async def _ended(self, machine: Machine) -> None:
        code = await machine.process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self.say(f"the agent of {machine.name} {how}")

    async def _show(self, machine: Machine) -> None:
        stream = machine.process.stdout
        assert stream is not None
        while True:
            try:
                line = await stream.readuntil()
            except asyncio.IncompleteReadError as last:
                line = last.partial
            except asyncio.LimitOverrunError as long:
                line = await stream.readexactly(long.consumed)
            if not line:
                return
            self._print(machine.prefix + line.decode("utf-8", "replace").rstrip("\n"))

    def _print(self, text: str) -> None:
        try:
            print(text, file=self._out, flush=True)
        except BrokenPipeError:
            # Whoever read us has gone (`| head`): end as after Ctrl-C, and say no more.
            self._out = open(os.devnull, "w")  # noqa: SIM115 - it replaces a stream that lives as long as we do
            if not self._asked_to_end:
                self._ask()


_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """Have the kernel send this process SIGTERM when its parent ends, killed or not: no agent is left behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def tenure_command() -> list[str]:
    """How this very Tenure is started once more."""
    return [sys.executable, "-P", "-m", "tenure"]
