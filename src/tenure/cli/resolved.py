"""tenure resolved UNIT…: let units go on whose hook has failed.

Exits 0; 1 when one isn't in error; 2 when one doesn't exist; 3 when its agent is away; 124.
"""

from __future__ import annotations

import click

from tenure.cli import shared, values
from tenure.names import UnitName


@shared.command()
@click.argument("units", nargs=-1, required=True, type=values.unit, metavar="UNIT…")
@click.option("--no-retry", is_flag=True, help="Count the hook as done, without running it again.")
@click.option(
    "--timeout", type=values.duration, default="30s", show_default=True, help="How long to wait for the agent."
)
async def command(settings: shared.Settings, units: tuple[UnitName, ...], no_retry: bool, timeout: float) -> None:
    """Let a unit go on whose hook has failed.

    The hook is run again at once; with --no-retry it counts as done. Returns when the unit's agent has taken it up.

    \b
    Examples:
      tenure resolved web/1
      tenure resolved web/1 --no-retry
    """
    from tenure.errors import No, Unsure
    from tenure.model import requests
    from tenure.model.view import ModelView

    layout = settings.layout
    async with shared.mirrored(settings) as (store, mirror):
        view = ModelView(mirror.current, layout)
        for name in units:
            unit = view.unit(name)
            if unit.status is None or unit.status.agent.status != "error":
                raise No(f"{name} is not in error", hint="tenure status")
            if unit.info.machine not in view.machines:
                raise Unsure(f"the agent of {name} is away: nothing was asked of it", hint="tenure status")
        for name in units:
            asked = await requests.ask(store, view, name, "resolved", {"retry": not no_retry})
            try:
                async with shared.limited(timeout, f"an answer of the agent of {name}"):
                    answer = await requests.wait_answer(mirror, layout, name, asked)
            finally:
                await requests.withdraw(store, layout, name, asked)
            if answer is None or answer.state == "refused":
                raise No(f"{name}: {answer.answer if answer is not None and answer.answer else 'it is gone'}")
