"""tenure undrain MACHINE: let a machine's units be candidates again.

Exits 0, also when it wasn't drained; 2 when there is no such machine; 3.
"""

from __future__ import annotations

import click

from tenure.cli import shared


@shared.command()
@click.argument("machine", metavar="MACHINE")
async def command(settings: shared.Settings, machine: str) -> None:
    """Let a machine's units be candidates again.

    What they held before the drain stays where it is: `tenure transfer` brings it back.

    \b
    Examples:
      tenure undrain m0
    """
    from tenure.model.upkeep import undrain

    async with shared.opened(settings) as store:
        if not await undrain(store, settings.layout, machine):
            shared.note(f"{machine} wasn't drained")
