"""tenure store raise-terms REVISION: have term numbers go on above a revision.

Exits 0; 2 when a machine's agent is up; 3, then the same call goes on.
"""

from __future__ import annotations

import click

from tenure.cli import shared
from tenure.cli.output import emit
from tenure.errors import BadInput


@shared.command(prints=True)
@click.argument("revision", type=click.IntRange(1, 2**62), metavar="REVISION")
async def command(settings: shared.Settings, revision: int) -> None:
    """Have term numbers go on above a revision: after the store was restored by its own means from an older copy.

    `etcdctl snapshot restore --bump-revision`, where etcd has it, does the same; so does `tenure store restore`. End all
    agents first. REVISION is one that the store never reached in its former life: `tenure doctor` shows where it
    stood, and many more than that do no harm.

    \b
    Example:
      tenure store raise-terms 2000000
    """
    from tenure.model.view import read_model
    from tenure.store.advance import advance

    async with shared.opened(settings) as store:
        up = sorted((await read_model(store, settings.layout)).machines)
        if up:
            raise BadInput(
                f"the agent of {', '.join(up)} is up", hint="end all agents, wait a lease's length, try again"
            )
        newest = await advance(store, revision, lambda done, of: shared.progress(f"revision {done} of {of} …"))
    emit(settings.format, {"terms-begin-above": newest}, lambda: f"the next term's number is greater than {newest}")
