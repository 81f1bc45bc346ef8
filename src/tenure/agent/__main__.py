"""The agent's process: `tenure agent` becomes it once it has read its command line. Not for people: nothing is parsed here."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tenure.agent.machine import Options, serve
from tenure.errors import TenureError, Unsure


def main(arguments: list[str]) -> int:
    """Run the agent: store, model, machine, state folder, verbosity, HTTP address. Returns the exit code."""
    store, model, machine, state_dir, verbosity, *http = arguments
    options = Options(store, model, machine, Path(state_dir), int(verbosity), "".join(http))
    try:
        return asyncio.run(serve(options))
    except TenureError as known:
        error = known
    except OSError as unsaved:
        error = Unsure(
            f"the state folder {state_dir} doesn't take what the agent must remember: {unsaved}",
            hint="is the disk full, or something there that isn't the agent's?",
        )
    except MemoryError:
        error = Unsure(
            "there is no memory left for the agent", hint="what its units hold is free when their leases end"
        )
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
