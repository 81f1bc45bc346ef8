"""tenure store restore FILE: put a backup into a store that has nothing of Tenure's.

Exits 0; 2 when the file is no whole backup, or the store isn't empty; 3, then the same call goes on.
"""

from __future__ import annotations

from pathlib import Path

import click

from tenure.cli import shared
from tenure.cli.output import emit


@shared.command(prints=True)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@click.option(
    "--beyond",
    type=click.IntRange(0),
    default=None,
    help="How many revisions to skip: no fewer than changes were made after the backup.  [default: 10000]",
)
async def command(settings: shared.Settings, file: Path, beyond: int | None) -> None:
    """Put a backup into a store that has nothing of Tenure's: after a loss, or to move to another engine.

    End all agents first, and start them on the new store afterwards: units go on where they were, no hook of theirs
    runs twice for it. Term numbers go on above all that were ever handed out, so that whatever they fence stays fenced.

    \b
    Examples:
      tenure store restore monday.tenure
      tenure --store etcd://h1:2379,h2:2379,h3:2379/ store restore monday.tenure
    """
    from tenure.model.backup import MARGIN, load, restore

    backup = load(file)
    async with shared.opened(settings, make=True) as store:
        revision = await restore(store, backup, beyond=MARGIN if beyond is None else beyond, progress=shared.progress)
    document = {
        "models": list(backup.header.models),
        "keys": len(backup.entries),
        "made": backup.header.made,
        "terms-begin-above": revision,
    }
    emit(
        settings.format,
        document,
        lambda: (
            f"{len(backup.entries)} keys of {backup.header.made} are restored; "
            f"the next term's number is greater than {revision}"
        ),
    )
