"""Which commands run in a unit's context, on this host's disk: what is left of them when the agent dies is ended by the next."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from tenure.agent.processes import end_what_is_left
from tenure.clock import boot_id

_NAME = "commands"


class ExecNote:
    """A file in the unit's folder, there while commands run. It need outlive the agent only, not the host."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME

    def begin(self, context_id: str, pid: int = 0, ticks: int = 0) -> None:
        """Commands are about to be started, or were under this pid. Raises OSError."""
        beside = self._path.with_name(f"{_NAME}.new")
        beside.write_text(json.dumps([boot_id(), context_id, pid, ticks]))
        beside.replace(self._path)

    def end(self) -> None:
        """They have ended."""
        with contextlib.suppress(OSError):
            self._path.unlink()

    def end_what_is_left(self) -> int:
        """Kill what a dead agent's commands have left. Returns how many processes there were."""
        try:
            boot, context_id, pid, ticks = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return 0
        # In another boot its pid and its session are somebody else's.
        killed = end_what_is_left(str(context_id), int(pid), int(ticks)) if boot == boot_id() else 0
        self.end()
        return killed
