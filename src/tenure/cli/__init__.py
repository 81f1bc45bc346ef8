"""The command line: what people touch, a file for each command.

Nothing is imported here that a command might not need: `tenure --help` is answered before click is there.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """The `tenure` command: does what the arguments say and exits."""
    _open_standard_streams()
    arguments = sys.argv[1:]
    if arguments in (["--help"], ["-h"]):
        from tenure.cli.table import overview

        try:
            sys.stdout.write(overview())
            sys.stdout.flush()
        except OSError as error:
            from tenure.cli.root import failed

            sys.exit(failed(error))
        return
    from tenure.cli.root import run

    sys.exit(run(arguments))


def _open_standard_streams() -> None:
    """Have something behind each of them: what was started without would open its store as standard output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for as long as we live
