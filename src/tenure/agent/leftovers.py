"""What units have left in the state folder that went from the model while their agent was away."""

from __future__ import annotations

import logging
import shutil

from tenure.agent.host import Host
from tenure.agent.journal import JournalFile
from tenure.errors import BadInput

_log = logging.getLogger("tenure.agent")


def clear_leftovers(host: Host) -> None:
    """End what a dead agent's hooks have left of such units, and remove their folders: a unit's number is never used twice."""
    here = {unit.name.tag for unit in host.view().units_on(host.machine)}
    for tag in host.state.units():
        if tag in here:
            continue
        folder = host.state.path / "agents" / tag
        file = JournalFile(folder)
        try:
            journal = file.load()
            interrupted = file.interrupted(journal) if journal else None
        except BadInput as error:
            _log.warning("%s", error.message)
            interrupted = None
        if interrupted is not None:
            interrupted.end_what_is_left(host.boot_id)
        _log.info("%s is gone from the model: its folder is removed", tag)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(host.state.path / "tools" / tag, ignore_errors=True)
