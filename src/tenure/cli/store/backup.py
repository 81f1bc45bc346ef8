"""tenure store backup FILE: write all of Tenure's in a store to a file.

Exits 0; 2 when the file is there already or can't be written; 3.
"""

from __future__ import annotations

from pathlib import Path

import click

from tenure.cli import shared
from tenure.cli.output import emit


@shared.command(prints=True)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
async def command(settings: shared.Settings, file: Path) -> None:
    """Write all of Tenure's in the store to a file: every model, its charms, settings and databags.

    It shows one instant, and may be taken while agents run. Who holds what isn't in it: after a restore every office
    is vacant. The file is readable by you alone, for it holds secrets.

    \b
    Examples:
      tenure store backup monday.tenure
      tenure --store etcd://h1:2379/ store backup /var/backups/monday.tenure --format json
    """
    import asyncio

    from tenure.model.backup import take, write

    async with shared.opened(settings) as store:
        shared.progress("reading the store …")
        backup = await take(store)
        await asyncio.to_thread(write, backup, file)
    header = backup.header
    document = {
        "file": str(file),
        "models": list(header.models),
        "keys": len(backup.entries),
        "revision": header.revision,
        "made": header.made,
    }
    emit(
        settings.format,
        document,
        lambda: f"{file}: {len(backup.entries)} keys of {_models(header.models)}, as of revision {header.revision}",
    )


def _models(names: tuple[str, ...]) -> str:
    match names:
        case ():
            return "no model"
        case (name,):
            return f"the model {name}"
        case _:
            return f"the models {', '.join(names)}"
