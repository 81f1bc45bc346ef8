"""Faults, and operators' wishes: what comes, how long it lasts, and that all of it ends when the world is healed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tenure.simulation.scenario import FINE
from tenure.simulation.server import Application, present_key
from tenure.store.api import Delete

if TYPE_CHECKING:
    from tenure.simulation.agent import Agent
    from tenure.simulation.slots import Disk, Seat
    from tenure.simulation.world import World

LASTS = (0.03, 0.1, 0.3, 0.5, 0.8, 0.95, 1.0, 1.05, 1.3, 2.0)
"""How long a fault lasts, against the lease: much happens around its end."""

SLEWS = (-0.08, -0.04, 0.04, 0.08)


class Chaos:
    """What goes wrong in one world. `calm`: nothing new does, from a healing to the next storm."""

    def __init__(self, world: World) -> None:
        self._world, self._loop = world, world.loop
        self.calm = True
        self._era = 0
        weights = world.scenario.weights
        self._kinds = list(weights)
        self._weights = [weights[kind] for kind in self._kinds]

    # ---- eras

    def begin(self) -> None:
        """Faults come, from now on."""
        self._era += 1
        self.calm = False
        self._world.network.weather = self._world.scenario.weather
        self._plan(self._era)
        self._plan_question(self._era)

    def heal(self) -> None:
        """All faults end: what is dead starts, what stands goes on, what is cut off is joined."""
        world = self._world
        self._era += 1
        self.calm = True
        world.network.weather = FINE
        server = world.server
        server.silent = server.stalled = 0
        server.go_on()
        if server.members is not None:
            server.members.heal()
        for host in world.hosts:
            host.wake(host.boot)
            host.slew(host.boot, 0.0)
        for agent in world.agents:
            agent.link.up = agent.link.down = 0
            world.network.open(agent.link)
            agent.mirror_stalled = 0
            agent.guards.heal()
            while agent.stops:
                agent.go_on(agent.gen)
            for application in server.applications:
                if application.name not in agent.units:
                    agent.new_unit(application)
            if not agent.up:
                agent.start()
            else:
                agent.resync()

    def _plan(self, era: int) -> None:
        self._loop.at(self._loop.now + self._loop.around(self._world.scenario.fault_every_ns), self._strike, era)

    def _strike(self, era: int) -> None:
        if era == self._era:
            self._plan(era)
            self._do(self._loop.rng.choices(self._kinds, self._weights)[0])

    def _do(self, kind: str) -> None:
        _KINDS[kind](self, kind)

    def _plan_question(self, era: int) -> None:
        self._loop.at(self._loop.now + self._loop.around(self._world.scenario.ask_every_ns), self._question, era)

    def _question(self, era: int) -> None:
        if era == self._era:
            self._plan_question(era)
            seat = self._some_holder()
            if seat is not None:
                self._world.hooks.ask_from_outside(seat)

    # ---- whom, how long

    def _some(self) -> Agent:
        agents = self._world.agents
        # The holder, more often than not: there is more to break.
        if self._loop.random() < 0.5:
            seat = self._some_holder()
            if seat is not None:
                return seat.agent
        return agents[int(self._loop.random() * len(agents))]

    def _some_holder(self) -> Seat | None:
        held = [seat for agent in self._world.agents for seat in agent.seats if seat.machine.number]
        return held[int(self._loop.random() * len(held))] if held else None

    def _length(self) -> int:
        loop = self._loop
        return int(self._world.scenario.ttl_ns * loop.rng.choice(LASTS) * (0.9 + 0.2 * loop.random()))

    def _after(self, call: Callable[..., None], *args: object) -> int:
        length = self._length()
        self._loop.at(self._loop.now + length, self._in_era, self._era, call, args)
        return length

    def _in_era(self, era: int, call: Callable[..., None], args: tuple[object, ...]) -> None:
        if era == self._era:
            call(*args)

    # ---- faults

    def _cut(self, kind: str) -> None:
        agent = self._some()
        up, down = kind != "answers cut off", kind != "requests cut off"
        agent.link.up += up
        agent.link.down += down
        length = self._after(self._join, agent, up, down)
        self._loop.fault(kind, agent.name, "for", length)

    def _join(self, agent: Agent, up: bool, down: bool) -> None:
        agent.link.up -= up
        agent.link.down -= down
        self._world.network.open(agent.link)
        agent.resync()

    def _silent(self, kind: str) -> None:
        server = self._world.server
        name = "silent" if kind == "store silent" else "stalled"
        setattr(server, name, getattr(server, name) + 1)
        self._loop.fault(kind, "for", self._after(self._loud, name))

    def _loud(self, name: str) -> None:
        server = self._world.server
        setattr(server, name, getattr(server, name) - 1)
        server.go_on()

    def stop(self, agent: Agent) -> None:
        """An agent stands still for a while."""
        agent.stop()
        self._after(agent.go_on, agent.gen)

    def _stopped(self, kind: str) -> None:
        agent = self._some()
        if agent.up:
            self._loop.fault(kind, agent.name)
            self.stop(agent)

    def kill(self, agent: Agent) -> None:
        """An agent dies, and comes back some time."""
        agent.kill()
        self._after(self._restart, agent)

    def _killed(self, kind: str) -> None:
        agent = self._some()
        if agent.up:
            self._loop.fault(kind, agent.name)
            self.kill(agent)
            if kind == "agent killed thrice":
                for again in range(1, 6):
                    at = self._loop.now + int(again * self._world.scenario.ttl_ns * 0.12)
                    call = self._restart if again % 2 else agent.kill
                    self._loop.at(at, self._in_era, self._era, call, (agent,) if again % 2 else ())

    def _put_back(self, kind: str) -> None:
        agent = self._some()
        if agent.up:
            boot, copy = agent.host.boot, agent.disk.copy()
            self._after(self._killed_and_put_back, agent, boot, copy, kind)

    def _killed_and_put_back(self, agent: Agent, boot: int, copy: Disk, kind: str) -> None:
        if agent.up and boot == agent.host.boot:
            self._loop.fault(kind, agent.name)
            agent.kill()
            agent.disk.put_back(copy)
            self._loop.at(self._loop.now + self._length() // 8, self._in_era, self._era, self._restart, (agent,))

    def _restart(self, agent: Agent) -> None:
        if not agent.up and not agent.host.later(self._restart, agent):
            agent.start()

    def _rebooted(self, kind: str) -> None:
        host = self._some().host
        self._loop.fault(kind, host.name)
        host.reboot()
        for agent in host.agents:
            self._after(self._restart, agent)

    def _asleep(self, kind: str) -> None:
        host = self._some().host
        if not host.clock.asleep:
            self._loop.fault(kind, host.name)
            host.sleep()
            self._after(host.wake, host.boot)

    def _slewed(self, kind: str) -> None:
        host, by = self._some().host, self._loop.rng.choice(SLEWS)
        self._loop.fault(kind, host.name, by)
        host.slew(host.boot, by)
        self._after(host.slew, host.boot, 0.0)

    def _mirror_stalled(self, kind: str) -> None:
        agent = self._some()
        self._loop.fault(kind, agent.name)
        agent.mirror_stalled += 1
        self._after(self._mirror_goes_on, agent)

    def _mirror_goes_on(self, agent: Agent) -> None:
        agent.mirror_stalled -= 1
        agent.resync()

    def _guard_fails(self, kind: str) -> None:
        agent = self._some()
        guard = agent.guards.some(self._loop.random())
        if guard is not None:
            self._loop.fault(kind, agent.name, guard.key, guard.term)
            if kind == "guard killed":
                agent.guards.kill(guard)
            else:
                agent.guards.stop(guard)
                self._after(agent.guards.go_on, guard)

    def _storm(self, kind: str) -> None:
        self._loop.fault(kind)
        for _ in range(3):
            another = self._loop.rng.choices(self._kinds, self._weights)[0]
            if another != "storm":
                self._do(another)

    def _ended_early(self, kind: str) -> None:
        seat = self._some_holder()
        if seat is not None and seat.office.holder is not None:
            self._loop.fault(kind, seat.office.name)
            self._world.server.end_early(seat.office.holder.lease)

    def _leader_changes(self, kind: str) -> None:
        members, loop = self._world.server.members, self._loop
        if members is None:
            return
        frozen = loop.random() < 0.6
        change = members.change([agent.link for agent in self._world.agents], frozen=frozen)
        loop.fault(kind, "to", members.leader, "behind are", sorted(members.behind))
        length = loop.around(self._world.scenario.ttl_ns * 0.4)
        at = loop.now + length
        loop.at(at, self._in_era, self._era, members.wake, (change,))
        loop.at(at + loop.around(300_000_000), self._in_era, self._era, members.rejoin, (change,))

    # ---- wishes

    def _transfer(self, kind: str) -> None:
        seat = self._some_holder()
        if seat is None:
            return
        others = sorted(agent.units.get(seat.application.name, "") for agent in self._world.agents)
        others = [unit for unit in others if unit and unit != seat.unit]
        if others:
            to = self._loop.rng.choice(others)
            self._loop.fault(kind, seat.unit, seat.office.name, "to", to)
            self._wish(seat, seat.agent.gen, kind, to)
            if kind == "transfer to one that goes":
                self._goes(seat, to)

    def _goes(self, seat: Seat, unit: str) -> None:
        """The successor is removed, or its agent ended, while the holder may not see it."""
        loop = self._loop
        successor = next(agent for agent in self._world.agents if unit in agent.units.values())
        if loop.random() < 0.7:
            loop.at(loop.now + loop.around(50_000_000), self._in_era, self._era, self._blind, (seat.agent,))
        at = loop.now + loop.around(self._world.scenario.ttl_ns / 8)
        if loop.random() < 0.5:
            loop.at(at, self._in_era, self._era, successor.sigterm, ())
        else:
            loop.at(at, self._in_era, self._era, successor.remove_unit, (seat.application,))

    def _blind(self, agent: Agent) -> None:
        agent.mirror_stalled += 1
        self._after(self._mirror_goes_on, agent)

    def _release(self, kind: str) -> None:
        seat = self._some_holder()
        if seat is not None:
            self._loop.fault(kind, seat.unit, seat.office.name)
            self._wish(seat, seat.agent.gen, kind, "")

    def _wish(self, seat: Seat, gen: int, kind: str, to: str) -> None:
        agent = seat.agent
        if gen != agent.gen or seat not in agent.seats or agent.later(self._wish, seat, gen, kind, to):
            return
        at_once = kind.endswith("at once")
        if at_once:
            self._world.checks.broken(seat)
        if to:
            agent.feed(seat, seat.machine.transfer(agent.now(), to, at_once=at_once))
        else:
            agent.feed(seat, seat.machine.release(agent.now(), at_once=at_once))

    def _sigterm(self, kind: str) -> None:
        agent = self._some()
        if agent.up and not agent.closing:
            self._loop.fault(kind, agent.name)
            agent.sigterm()

    def ended(self, agent: Agent) -> None:
        """An agent has handed everything over and is gone; it is started again some time."""
        if self.calm:
            self._loop.at(self._loop.now + 1_000_000, self._restart, agent)
        else:
            self._after(self._restart, agent)

    def _unit_removed(self, kind: str) -> None:
        agent = self._some()
        applications = self._world.server.applications
        application = applications[int(self._loop.random() * len(applications))]
        if agent.up and application.name in agent.units:
            self._loop.fault(kind, agent.units[application.name])
            agent.remove_unit(application)

    def removed(self, agent: Agent, unit: str) -> None:
        """A unit has left; its machine gets another, some time."""
        self._world.server.forget_unit(unit)
        application = next(found for found in self._world.server.applications if unit.startswith(f"{found.name}/"))
        if self.calm:
            agent.new_unit(application)
        else:
            self._after(self._new_unit, agent, application)

    def _new_unit(self, agent: Agent, application: Application) -> None:
        if application.name not in agent.units:
            agent.new_unit(application)

    def _by_hand(self, kind: str) -> None:
        seat = self._some_holder()
        if seat is not None:
            self._loop.fault(kind, seat.office.name)
            key = f"{seat.office.name}/holder" if self._loop.random() < 0.7 else present_key(seat.unit)
            self._world.server.by_hand([], [Delete(key)])


_KINDS: dict[str, Callable[[Chaos, str], None]] = {
    "cut off": Chaos._cut,
    "requests cut off": Chaos._cut,
    "answers cut off": Chaos._cut,
    "store silent": Chaos._silent,
    "store stalled": Chaos._silent,
    "agent stopped": Chaos._stopped,
    "agent killed": Chaos._killed,
    "agent killed thrice": Chaos._killed,
    "older folder put back": Chaos._put_back,
    "host rebooted": Chaos._rebooted,
    "host asleep": Chaos._asleep,
    "clock slewed": Chaos._slewed,
    "mirror stalled": Chaos._mirror_stalled,
    "guard killed": Chaos._guard_fails,
    "guard stopped": Chaos._guard_fails,
    "storm": Chaos._storm,
    "lease ended early": Chaos._ended_early,
    "leader of the store changes": Chaos._leader_changes,
    "transfer": Chaos._transfer,
    "transfer at once": Chaos._transfer,
    "transfer to one that goes": Chaos._transfer,
    "release": Chaos._release,
    "release at once": Chaos._release,
    "SIGTERM": Chaos._sigterm,
    "unit removed": Chaos._unit_removed,
    "key deleted by hand": Chaos._by_hand,
}
