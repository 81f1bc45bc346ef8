"""One seed's world: built, run through eras of faults, healed after each, asked for progress, and told of."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tenure.clock import NS_PER_S
from tenure.errors import Broken
from tenure.simulation.agent import Agent
from tenure.simulation.chaos import Chaos
from tenure.simulation.checks import Checks
from tenure.simulation.hooks import Hooks
from tenure.simulation.host import Host
from tenure.simulation.loop import Loop, Violation
from tenure.simulation.machines import PRODUCTION, Machines
from tenure.simulation.members import EXTEND_NS
from tenure.simulation.network import Network
from tenure.simulation.scenario import CHANGES, EARLY, FAULTS, Scenario
from tenure.simulation.server import Server

HOUR_NS = 3600 * NS_PER_S


@dataclass(slots=True)
class Result:
    """What came of one seed."""

    seed: int
    simulated_ns: int = 0
    events: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    promise: str = ""
    """Of a violation: which promise; empty: none was broken."""
    what: str = ""

    @property
    def faults(self) -> int:
        """How many faults there were; wishes and messages' fates not counted."""
        return sum(
            self.counts[kind]
            for kind in (*FAULTS, *EARLY, *CHANGES, "killed between decisions", "stopped between decisions")
        )


class World:
    """All that there is in one run."""

    def __init__(
        self, scenario: Scenario, machines: Machines = PRODUCTION, log: Callable[[str], None] | None = None
    ) -> None:
        self.scenario, self.machines = scenario, machines
        self.loop = loop = Loop(scenario.seed, log)
        self.network = Network(loop)
        self.server = Server(loop, self.network, scenario)
        self.checks = self.server.checks = Checks(loop, self.server, may_end_early=scenario.may_end_early)
        self.hooks = Hooks(self)
        self.chaos = Chaos(self)
        self.hosts = [
            Host(loop, f"host{number}", machines.clock(scenario.rates[number], loop.between(0, HOUR_NS)))
            for number in range(scenario.hosts)
        ]
        for offices in scenario.offices:
            application = self.server.add(offices[0].split("/")[0], offices)
            for office in application.offices:
                self.checks.watch(office)
        self.agents: list[Agent] = []
        for number in range(scenario.agents):
            agent = Agent(self, f"m{number}", self.hosts[number % scenario.hosts])
            agent.host.agents.append(agent)
            self.agents.append(agent)
            self.checks.agents.append(agent)
            for application in self.server.applications:
                agent.new_unit(application)

    def run(self, until_ns: int) -> None:
        """Era after era. Raises Violation."""
        loop, scenario = self.loop, self.scenario
        for agent in self.agents:
            loop.at(loop.between(0, NS_PER_S), self._start, agent)
        loop.run(min(until_ns, 2 * NS_PER_S))
        while loop.now < until_ns:
            healed_ns = loop.now + scenario.epoch_ns
            self.network.quiet_from_ns = healed_ns
            self.chaos.begin()
            loop.run(min(until_ns, healed_ns))
            if loop.now < healed_ns:
                return
            self.chaos.heal()
            loop.tell("all is healed")
            loop.run(min(until_ns, healed_ns + self.within_ns()))
            if loop.now < healed_ns + self.within_ns():
                return
            self._ask_progress()
            # It must last, too.
            loop.run(min(until_ns, loop.now + scenario.ttl_ns // 2))
            self._ask_progress()

    def within_ns(self) -> int:
        """By when, after all was healed, each office with a live candidate is held: a lease and a round.

        A lease, by the slowest clock: what was promised before, or a lease that nobody keeps, lasts that long at most.
        A round: the wait to a renewal, a request that was lost before the healing, and one for each step from there
        to a term (a release, a claim, an answer), in line. Where a term that has not ended cleanly must be waited
        out, another lease.
        """
        timing = max(self.scenario.timings, key=lambda timing: timing.ttl_ns)
        # What the store adds to a lease of its own will (a late end, a longer answer) is no part of the promise.
        added_ns = 2 * NS_PER_S * self.scenario.ends_late + NS_PER_S * self.scenario.answers_longer
        added_ns += EXTEND_NS * (self.scenario.store != "embedded")
        lease_ns = int(timing.ttl_ns * (1 + 2 * timing.drift)) + added_ns
        round_ns = timing.renew_every_ns + 4 * timing.commit_timeout_ns
        return lease_ns * (2 if self.scenario.may_end_early else 1) + round_ns

    def _start(self, agent: Agent) -> None:
        if not agent.up:
            agent.start()

    def _ask_progress(self) -> None:
        long_ago = self.loop.now - self.within_ns()
        for application in self.server.applications:
            live = any(
                agent.up
                and not agent.closing
                and agent.removing is None
                and application.name in agent.units
                and agent.started_ns <= long_ago + NS_PER_S
                for agent in self.agents
            )
            for office in application.offices:
                if live:
                    self.loop.counts["progress seen"] += 1
                    self.checks.held(office)


def simulate(
    scenario: Scenario, hours: float, machines: Machines = PRODUCTION, log: Callable[[str], None] | None = None
) -> Result:
    """Run one world; what came of it."""
    result = Result(scenario.seed)
    collecting = gc.isenabled()
    gc.disable()
    world = World(scenario, machines, log)
    try:
        world.run(int(hours * HOUR_NS))
    except Violation as violation:
        result.promise, result.what = violation.promise, violation.what
    except Broken as broken:
        result.promise, result.what = "an invariant of the machines", str(broken)
    finally:
        if collecting:
            gc.enable()
    result.simulated_ns, result.events, result.counts = world.loop.now, world.loop.events, world.loop.counts
    return result
