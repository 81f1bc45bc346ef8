"""A host: its clocks, the agents on it, and what else runs there. Nothing of it runs while it sleeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tenure.simulation.clocks import HostClock

if TYPE_CHECKING:
    from tenure.simulation.agent import Agent
    from tenure.simulation.loop import Loop


class Host:
    """One kernel. `boot` counts its boots: what was planned in an earlier one is void."""

    __slots__ = ("_loop", "_waiting", "agents", "boot", "clock", "name")

    def __init__(self, loop: Loop, name: str, clock: HostClock) -> None:
        self._loop, self.name, self.clock = loop, name, clock
        self.agents: list[Agent] = []
        self.boot = 0
        self._waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def later(self, call: Callable[..., None], *args: Any) -> bool:
        """Whether the host sleeps, so that this must wait until it wakes."""
        if self.clock.asleep:
            self._waiting.append((call, args))
            return True
        return False

    def sleep(self) -> None:
        """Suspended."""
        if not self.clock.asleep:
            self.clock.sleep(self._loop.now)
            for agent in self.agents:
                agent.guards.slept()
                agent.stop()

    def wake(self, boot: int) -> None:
        """Resumed: all goes on where it stood."""
        if boot != self.boot or not self.clock.asleep:
            return
        self.clock.wake(self._loop.now)
        waiting, self._waiting = self._waiting, []
        for call, args in waiting:
            call(*args)
        for agent in self.agents:
            agent.go_on(agent.gen)

    def slew(self, boot: int, by: float) -> None:
        """The time daemon slews the clock, or ends doing so."""
        if boot == self.boot:
            self.clock.slew(self._loop.now, by)
            for agent in self.agents:
                slots: list[Any] = [*agent.slots, *agent.seats]
                for slot in slots:
                    slot.timer = 0
                    agent.arm(slot)

    def reboot(self) -> None:
        """Power lost, and back: no process is left, and what the folders hold is of another boot."""
        self.boot += 1
        self._waiting = []
        for agent in self.agents:
            agent.kill()
            if agent.hook is not None:
                agent.hook.die()
            agent.guards.reboot()
            agent.disk.clear()
        self.clock.reboot(self._loop.now)
