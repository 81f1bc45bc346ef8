"""tenure store …: look after the store itself: back it up, restore it, say who may use it."""

from __future__ import annotations

import click

from tenure.cli.shared import CONTEXT
from tenure.cli.store import backup, init, raise_terms, restore, user

command = click.Group(
    "store",
    commands={
        "backup": backup.command,
        "restore": restore.command,
        "raise-terms": raise_terms.command,
        "init": init.command,
        "user": user.command,
    },
    context_settings=dict(CONTEXT),
    help="""Look after the store itself: back it up, restore it, say who may use it.

\b
Examples:
  tenure store backup monday.tenure
  tenure --store etcd://h1:2379,h2:2379,h3:2379/ store restore monday.tenure
  tenure store user m0 --password-file m0.pw --machine m0 --application web
""",
)
