"""The command line: what people touch, a file for each command.

Nothing is imported here that a command might not need: `tenure --help` is answered before click is there.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The `tenure` command: does what the arguments say and exits."""
    arguments = sys.argv[1:]
    if arguments in (["--help"], ["-h"]):
        from tenure.cli.table import overview

        sys.stdout.write(overview())
        return
    from tenure.cli.root import run

    sys.exit(run(arguments))
