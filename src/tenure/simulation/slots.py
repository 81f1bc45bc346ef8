"""What an agent has of each session and candidacy beside the machine, and what its folder holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tenure.office.records import Ending
from tenure.simulation.calls import Kept, SettingsWriter
from tenure.simulation.server import Application, Office

if TYPE_CHECKING:
    from tenure.simulation.agent import Agent


class SessionSlot:
    """A session, with what its driver knows. `stream` counts the connections; `timer`: its next wake-up, 0 for none."""

    __slots__ = ("application", "kept", "machine", "seats", "stream", "timer")

    def __init__(self, machine: Any, application: Application) -> None:
        self.machine = machine
        self.application = application
        self.seats: list[Seat] = []
        self.kept: Kept | None = None
        self.stream = 0
        self.timer = 0


class Seat:
    """A candidacy, with what its driver knows."""

    __slots__ = (
        "agent",
        "application",
        "greatest",
        "leaving",
        "machine",
        "office",
        "session",
        "timer",
        "unit",
        "writer",
    )

    def __init__(self, agent: Agent, machine: Any, office: Office, session: SessionSlot, unit: str) -> None:
        self.agent, self.machine, self.office, self.session, self.unit = agent, machine, office, session, unit
        self.application = office.application
        self.timer = 0
        self.greatest = -1
        self.leaving = False
        self.writer = SettingsWriter(agent, self)

    def believes(self) -> bool:
        """Whether the unit would say, at this instant and by its own clocks, that it holds the office."""
        agent = self.agent
        return bool(self.machine.believes(agent.host.clock.now(agent.loop.now)))


class Disk:
    """What outlives the process: valid in the boot in which it was written."""

    __slots__ = ("endings", "leases", "newest", "serial", "starts")

    def __init__(self) -> None:
        self.leases: dict[str, int] = {}
        self.endings: dict[tuple[str, str], dict[int, Ending]] = {}
        self.starts: list[int] = []
        self.serial = self.newest = 0
        """How many states there were, as the folder itself says, and as is said beside it."""

    def saved(self) -> None:
        """Another state is on the disk."""
        self.newest += 1
        self.serial = self.newest

    def copy(self) -> Disk:
        """The folder as it is, for somebody who will put it back."""
        copy = Disk()
        copy.leases, copy.serial = dict(self.leases), self.serial
        copy.endings = {key: dict(endings) for key, endings in self.endings.items()}
        return copy

    def put_back(self, copy: Disk) -> None:
        """An older folder is in the newer one's place; what is beside it stays."""
        self.leases, self.endings, self.serial = copy.leases, copy.endings, copy.serial

    def clear(self) -> None:
        """As good as none."""
        self.leases.clear()
        self.endings.clear()
        self.starts.clear()
