"""What all units of one machine's agent share."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tenure.agent.bags import LastBags
from tenure.agent.counters import Counters
from tenure.agent.losses import Losses
from tenure.agent.processes import Processes
from tenure.agent.state_dir import StateDir
from tenure.agent.toolserver import ToolServer
from tenure.alarm import Alarm
from tenure.clock import Clock
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.model.view import ModelView
from tenure.names import UnitName
from tenure.office.driver import Desk
from tenure.store.api import Store

if TYPE_CHECKING:
    from tenure.agent.guarding import UnitGuard


@dataclass(slots=True)
class Host:
    """One agent's store, model, processes and doors."""

    machine: str
    boot_id: str
    model_uuid: str
    addresses: tuple[str, ...]
    state: StateDir
    store: Store
    layout: Layout
    mirror: Mirror
    clock: Clock
    alarm: Alarm
    processes: Processes
    server: ToolServer
    desk: Desk
    hook_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One hook at a time for each machine, as in Juju."""
    counters: Counters = field(default_factory=Counters)
    bags: LastBags = field(default_factory=LastBags)
    losses: Losses = field(default_factory=Losses)
    guards: dict[UnitName, UnitGuard] = field(default_factory=dict)
    """Of the units whose charm has a hook leader-deposed."""
    _view: ModelView | None = None

    def view(self) -> ModelView:
        """The model as the mirror shows it now; the same object for as long as that is the same."""
        snapshot = self.mirror.current
        if self._view is None or self._view.snapshot is not snapshot:
            self._view = ModelView(snapshot, self.layout)
        return self._view


def own_addresses() -> tuple[str, ...]:
    """This host's addresses, the one that others reach it by first: the source of a packet that is never sent."""
    found: list[str] = []
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((far, 9))
                found.append(probe.getsockname()[0])
        except OSError:
            continue  # no route by this family
    return tuple(found) or ("127.0.0.1",)
