"""The hook tools: a module for each family, and `client.py`, which is what a hook calls by each tool's name.

- Exit codes: 0 done; 1 it failed; 2 the arguments are wrong. Errors are one line on standard error, beginning `ERROR `.
- `--format json|smart|yaml` and `-o FILE` where there is output. JSON is always one line, keys sorted. Files are opened by
  the tool, as its caller sees them; standard input is read only for `--file -`.
- Values are text: newlines and quotes are kept as they are. What isn't UTF-8 is refused, and NUL too: encode it, as base64
  for one. (`juju-log` shows stray bytes as escapes.) An argument may have 131,071 bytes, all of a databag or of the leader
  settings 4 MiB: give what is longer through `--file`, where scalars keep their text (`true`, `1.0`, `010`).
- Reads are of the model as it stood when the hook began, with what the hook itself has written. A new leader reads the
  settings no older than its own term.
- At once, whatever becomes of the hook: `leader-set`, `status-set`, `application-version-set`, `juju-log`. When the hook
  has succeeded, all in one transaction or nothing: `relation-set`, `state-set`, `state-delete`. Made as leader, only in the
  term of the hook's first True.
- A tool works while its hook runs. Outside of a hook, in what a hook has left behind, and without the agent it says so and
  exits with 1.
"""

from __future__ import annotations

from collections.abc import Mapping

from tenure.agent.tools import config, goal, leadership, log, network, relations, state, status
from tenure.agent.tools.base import Tool

TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for family in (leadership, relations, status, config, state, network, goal, log)
    for tool in family.TOOLS
}
"""Every hook tool, by its name."""
