"""tenure agent --machine NAME: speak for a machine, in the foreground, until SIGTERM.

Logs to standard error, and as JSON lines to STATE/log/agent.log. Exits 0 once everything is handed over; 1 when the
machine or the state folder has an agent already, or --http's address can't be had; 2; 3 when the store can't be reached
or used; 128+n when a second signal ended it at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from tenure.cli import shared, state_folders
from tenure.names import check_machine


@shared.command()
@click.option("--machine", required=True, metavar="NAME", help="The machine's name in the model.")
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="The agent's own folder.  [default: machines/NAME in your state folder]",
)
@click.option(
    "--http",
    default="",
    metavar="HOST:PORT",
    help="Answer /metrics (Prometheus), /leader/APP (200 where it leads, 503 elsewhere) and /health.  [default: don't]",
)
async def command(settings: shared.Settings, machine: str, state_dir: Path | None, http: str) -> None:
    """Speak for a machine: run its units, until it is told to end.

    SIGTERM (or Ctrl-C) hands everything over and ends it: no further hook starts, and those that run have as long as
    nobody else may lead. A second one ends it at once: what its units held is free when their leases end.

    \b
    Examples:
      tenure agent --machine m0
      tenure agent --machine m0 --state-dir /var/lib/tenure/m0
      tenure agent --machine m0 --http 127.0.0.1:9180
    """
    check_machine(machine)
    if http:
        from tenure.agent.http import parse_address

        parse_address(http)
    if settings.url == shared.default_store():
        shared.state_home().mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = state_dir or shared.state_home() / "machines" / machine
    state_folders.note(folder.absolute())
    # A process that lives for months need not carry what parsed its command line. -P: the current folder holds no modules.
    os.execv(
        sys.executable,
        [
            *(sys.executable, "-P", "-m", "tenure.agent"),
            *(settings.url, settings.model_name, machine, str(folder.absolute()), str(settings.verbose), http),
        ],
    )
