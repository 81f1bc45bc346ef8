"""tenure up CHARM [APP] -n 3: agents m0, m1, … and a deploy, in one terminal, until Ctrl-C.

Prints the agents' logs, each line behind its machine's name. Exits 0 after Ctrl-C, once every agent has handed over; 130
when a second Ctrl-C had to kill them; 1 when all agents have ended by themselves; as `deploy` does when that fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shlex
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

import click

from tenure.cli import shared, values

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
        self._asked_to_end = False
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
        if self._asked_to_end:
            self._killed = True
            self.say("killing the agents: their terms end with their leases")
            self.kill()
            return
        self._asked_to_end = True
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


@contextlib.contextmanager
def place(given: Path | None) -> Iterator[Path]:
    """The folder for store and state: `given`, made if need be, or a temporary one that is gone afterwards."""
    if given is not None:
        given.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield given.resolve()
        return
    made = Path(tempfile.mkdtemp(prefix="tenure-up-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@shared.command()
@click.argument("charm", type=click.Path(path_type=Path))
@click.argument("application", required=False, type=values.application, metavar="[APP]")
@click.option(
    "-n",
    "--num-units",
    default=3,
    show_default=True,
    type=click.IntRange(1, 50),
    help="How many units, each on an agent.",
)
@click.option("--config", multiple=True, metavar="NAME=VALUE", help="An option of the charm's; @FILE: from a file.")
@click.option("--lease", metavar="DURATION", help="How long a lease lasts unrenewed, in whole seconds.  [default: 60s]")
@click.option("--guarantee", metavar="DURATION", help="How long is-leader stays true.  [default: half the lease]")
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the store and the agents' state there, and go on with what is there.  [default: a temporary folder]",
)
async def command(
    settings: shared.Settings,
    charm: Path,
    application: str | None,
    num_units: int,
    config: tuple[str, ...],
    lease: str | None,
    guarantee: str | None,
    state_dir: Path | None,
) -> int:
    """Run agents and a charm in one terminal, until Ctrl-C.

    Starts the agents of the machines m0, m1, …, one for each unit, deploys the charm in the folder CHARM to them as APP
    (without it: as the charm is named) and shows what they log. The store is a fresh one in a temporary folder, unless
    --store, TENURE_STORE or --state-dir says otherwise; its URL is printed, for other terminals. An application that
    such a store has already goes on as it is.

    Ctrl-C ends it: the agents hand over first. A second one kills them.

    \b
    Examples:
      tenure up ./charm -n 3
      tenure up ./charm web --lease 6s --config port=8080
    """
    machines = [f"m{number}" for number in range(num_units)]
    given = settings.store or os.environ.get("TENURE_STORE")
    # A store that stays needs agents' state that stays: without a folder, where `tenure agent` has it.
    with place(state_dir or (shared.state_home() if given else None)) as folder:
        settings.store = given or f"sqlite://{quote(str(folder / 'tenure.db'))}"
        environment = {**os.environ, "TENURE_STORE": settings.url, "TENURE_MODEL": settings.model_name}
        terminal = Terminal(sys.stdout, environment)
        if (there := await deployed(settings, charm, application)) is not None:
            terminal.say(f"{there} is deployed already, and goes on")
        else:
            words = [
                str(charm),
                *([application] if application else []),
                "-n",
                str(num_units),
                "--to",
                ",".join(machines),
            ]
            words += [word for pair in config for word in ("--config", pair)]
            words += ["--lease", lease] if lease else []
            words += ["--guarantee", guarantee] if guarantee else []
            # Before any agent runs: what is wrong with the charm or an option is said alone, and nothing was started.
            made = await asyncio.create_subprocess_exec(
                *tenure_command(), "deploy", *words, env=environment, stdout=DEVNULL
            )
            if code := await made.wait():
                return code
        terminal.say(f"for other terminals: export TENURE_STORE={shlex.quote(settings.url)}")
        width = max(map(len, machines))
        try:
            for machine in machines:
                await terminal.start(machine, folder / "machines" / machine, ["-v"] * settings.verbose, width)
            return await terminal.run()
        finally:
            terminal.kill()


async def deployed(settings: shared.Settings, charm: Path, application: str | None) -> str | None:
    """The application's name if the store has it already. Raises BadInput, NoSuchThing, Unsure's kinds."""
    from tenure.model.charms import read_charm
    from tenure.model.view import read_model

    name = application or read_charm(charm).metadata.name
    async with shared.opened(settings, make=True) as store:
        return name if name in (await read_model(store, settings.layout)).applications else None
