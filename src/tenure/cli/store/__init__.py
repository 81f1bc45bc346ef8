"""tenure store …: look after the store itself: back it up, restore it, move it to another engine."""

from __future__ import annotations

import click

from tenure.cli.shared import CONTEXT
from tenure.cli.store import backup, raise_terms, restore

command = click.Group(
    "store",
    commands={"backup": backup.command, "restore": restore.command, "raise-terms": raise_terms.command},
    context_settings=dict(CONTEXT),
    help="""Look after the store itself: back it up, restore it, move it to another engine.

\b
Examples:
  tenure store backup monday.tenure
  tenure --store etcd://h1:2379,h2:2379,h3:2379/ store restore monday.tenure
""",
)
