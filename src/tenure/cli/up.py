"""tenure up CHARM [APP] -n 3: agents m0, m1, … and a deploy, in one terminal, until Ctrl-C.

Prints the agents' logs, each line behind its machine's name. Exits 0 after Ctrl-C, once every agent has handed over; 130
when a second Ctrl-C had to kill them; 1 when all agents have ended by themselves; as `deploy` does when that fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import sys
import tempfile
from asyncio.subprocess import DEVNULL
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import click

from tenure.cli import shared, values
from tenure.cli.terminal import Terminal, tenure_command


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
    with place(state_dir) as folder:
        settings.store = given or f"sqlite://{quote(str(folder / 'tenure.db'))}"
        environment = {**os.environ, "TENURE_STORE": settings.url, "TENURE_MODEL": settings.model_name}
        terminal = Terminal(sys.stdout, environment)
        if (there := await deployed(settings, charm, application)) is not None:
            terminal.say(f"{there} is deployed already, and goes on")
        else:
            words = [str(charm), *([application] if application else [])]
            words += ["-n", str(num_units), "--to", ",".join(machines)]
            words += [word for pair in config for word in ("--config", pair)]
            words += ["--lease", lease] if lease else []
            words += ["--guarantee", guarantee] if guarantee else []
            # Before any agent runs: what is wrong with the charm or an option is said alone, and nothing was started.
            made = await asyncio.create_subprocess_exec(
                *tenure_command(), "deploy", *words, env=environment, stdout=DEVNULL
            )
            if code := await made.wait():
                return code
        # What an agent remembers belongs to one model and stays with it: a store that stays has it in the state folder.
        states = (
            folder / "machines" if state_dir or not given else shared.state_home() / "up" / await model_uuid(settings)
        )
        terminal.say(f"for other terminals: export TENURE_STORE={shlex.quote(settings.url)}")
        try:
            for machine in machines:
                await terminal.start(machine, states / machine, ["-v"] * settings.verbose, len(machines[-1]))
            return await terminal.run()
        finally:
            terminal.kill()


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


async def deployed(settings: shared.Settings, charm: Path, application: str | None) -> str | None:
    """The application's name if the store has it already. Raises BadInput, NoSuchThing, Unsure's kinds."""
    from tenure.model.charms import read_charm
    from tenure.model.view import read_model

    name = application or read_charm(charm).metadata.name
    async with shared.opened(settings, make=True) as store:
        return name if name in (await read_model(store, settings.layout)).applications else None


async def model_uuid(settings: shared.Settings) -> str:
    """The identity of the model, which `deploy` has made. Raises Unsure's kinds."""
    from tenure.model.view import read_model

    async with shared.opened(settings) as store:
        info = (await read_model(store, settings.layout)).info
    return info.uuid if info is not None else settings.model_name
