"""The environment of a hook: exactly Juju's variables, and nothing of the agent's own but its PATH."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tenure.agent.hook import Hook
from tenure.defaults import JUJU_VERSION

_EMPTY = (
    "JUJU_PRINCIPAL_UNIT",
    "JUJU_AVAILABILITY_ZONE",
    "CLOUD_API_VERSION",
    "JUJU_CHARM_HTTP_PROXY",
    "JUJU_CHARM_HTTPS_PROXY",
    "JUJU_CHARM_FTP_PROXY",
    "JUJU_CHARM_NO_PROXY",
)
"""Set, and empty: charms tell that from not being set."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What doesn't change from one hook of a unit to the next."""

    unit: str
    charm: Path
    tools: Path
    model: str
    model_uuid: str
    machine: str
    api_address: str
    socket: Mapping[str, str]
    """How tools reach the agent, as its server says it."""


def hook_environment(around: Surroundings, hook: Hook, context_id: str, term: int | None) -> dict[str, str]:
    """All that `hook` sees; `term`: the one in which the unit is the leader as it starts."""
    environment = {
        **dict.fromkeys(_EMPTY, ""),
        **_of_the_system(),
        **around.socket,
        "PATH": f"{around.tools}:{os.environ.get('PATH', os.defpath)}",
        "CHARM_DIR": str(around.charm),
        "JUJU_CHARM_DIR": str(around.charm),
        "JUJU_CONTEXT_ID": context_id,
        "JUJU_HOOK_NAME": hook.name,
        "JUJU_DISPATCH_PATH": f"hooks/{hook.name}",
        "JUJU_UNIT_NAME": around.unit,
        "JUJU_MODEL_NAME": around.model,
        "JUJU_MODEL_UUID": around.model_uuid,
        "JUJU_API_ADDRESSES": around.api_address,
        "JUJU_MACHINE_ID": around.machine,
        "JUJU_VERSION": JUJU_VERSION,
        "JUJU_SLA": "unsupported",
    }
    if hook.relation is not None:
        environment |= {
            "JUJU_RELATION": hook.endpoint,
            "JUJU_RELATION_ID": hook.relation_id,
            "JUJU_REMOTE_UNIT": hook.remote_unit,
            "JUJU_REMOTE_APP": hook.remote_application,
        }
    if hook.departing_unit:
        environment["JUJU_DEPARTING_UNIT"] = hook.departing_unit
    if term is not None:
        environment["TENURE_TERM"] = str(term)
    return environment


@cache
def _of_the_system() -> Mapping[str, str]:
    if "\nID=ubuntu\n" in f"\n{_os_release()}\n":
        return {
            "APT_LISTCHANGES_FRONTEND": "none",
            "DEBIAN_FRONTEND": "noninteractive",
            "LANG": "C.UTF-8",
            "TERM": "tmux-256color",
        }
    return {"LANG": "C.UTF-8", "TERM": "screen"}


def _os_release() -> str:
    try:
        return Path("/etc/os-release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
