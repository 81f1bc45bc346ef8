"""What is asked when commands are to run in a unit's context, and how a relation's part of it is found out.

Rules and messages of the relation's part are Juju's (its uniter infers a remote unit so, and `juju-exec` says so).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tenure.agent.hook import Hook
from tenure.errors import BadInput
from tenure.model.view import ModelView
from tenure.names import UnitName

_UNIT = re.compile(r"[a-z][a-z0-9-]*/(?:0|[1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands for a unit's context, and where their output goes: two named pipes that the caller reads."""

    text: str
    """What /bin/bash reads."""
    stdout: str
    stderr: str
    timeout_s: float | None = None
    """How long they may wait and run, together."""
    operator: bool = False
    """Asked by `tenure exec`, not by a script on the unit's host: tells the context's name, and Juju's action variables."""
    relation: int | None = None
    remote_unit: str = ""
    remote_application: str = ""
    force_remote_unit: bool = False

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Commands:
        """From what came over the agent's socket. Raises BadInput."""
        try:
            known = {name: request[name] for name in cls.__dataclass_fields__ if name in request}
            return cls(**known)
        except TypeError as error:
            raise BadInput(f"commands can't be asked for so: {error}") from None


def relation_of(commands: Commands, unit: UnitName, view: ModelView, told: Mapping[int, Iterable[str]]) -> Hook | None:
    """What the hook tools take their relation from: as in the hook of that relation; None: the commands have none.

    Raises BadInput in Juju's words.
    """
    remote = commands.remote_unit
    if remote and not _UNIT.fullmatch(remote):
        raise BadInput(f"invalid remote unit: {remote}")
    if commands.relation is None:
        if remote:
            raise BadInput(f"remote unit provided without a relation: {remote}")
        return None
    found = view.relations.get(commands.relation)
    ends = found.info.endpoints if found is not None else ()
    own = next((end for end in ends if end.application == unit.application), None)
    if own is None or commands.relation not in told:
        raise BadInput(f"unknown relation id: {commands.relation}")
    if not commands.force_remote_unit:
        remote = _infer(commands, remote, sorted(told[commands.relation]))
    other = next((end.application for end in ends if end is not own), own.application)
    application = commands.remote_application or remote.partition("/")[0] or other
    return Hook(
        kind="relation-changed",
        relation=commands.relation,
        endpoint=own.name,
        remote_unit=remote,
        remote_application=application,
    )


def _infer(commands: Commands, remote: str, possible: list[str]) -> str:
    listed = f"[{' '.join(possible)}]"
    if remote:
        if remote not in possible:
            raise BadInput(f"unknown remote unit {remote}; possibilities are {listed}")
        return remote
    if commands.remote_application:
        return ""
    if not possible:
        raise BadInput(f"cannot infer remote unit in empty relation {commands.relation}")
    if len(possible) > 1:
        raise BadInput(f"ambiguous remote unit; possibilities are {listed}")
    return possible[0]
