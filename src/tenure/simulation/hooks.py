"""Hooks, the tools that they call, those who ask from outside, and what runs for the length of a term."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure.office.decisions import Answer
from tenure.simulation.loop import Loop

if TYPE_CHECKING:
    from tenure.simulation.agent import Agent
    from tenure.simulation.slots import Seat
    from tenure.simulation.world import World

ASK_AGAIN_MOST = 2


class Asker:
    """A tool that asks whether a unit leads, and prints what it is told, if its own clocks still allow it."""

    __slots__ = ("_asked", "_hook", "_host", "_seat", "_span_ns", "_world", "boot")

    def __init__(self, world: World, seat: Seat, hook: Hook | None, span_ns: int) -> None:
        self._world, self._seat, self._hook, self._span_ns = world, seat, hook, span_ns
        self._host = seat.agent.host
        self.boot = self._host.boot
        self._asked = 0

    def ask(self) -> None:
        """The question goes to the agent, over its socket."""
        agent, seat = self._seat.agent, self._seat
        self._asked += 1
        if seat not in agent.seats:
            return
        gen = agent.gen
        if agent.later(self._ask_in, gen):
            return
        self._ask_in(gen)

    def _ask_in(self, gen: int) -> None:
        agent, seat, hook = self._seat.agent, self._seat, self._hook
        if gen != agent.gen or seat not in agent.seats or agent.later(self._ask_in, gen):
            return
        if hook is not None and not hook.alive:
            return
        agent.asks += 1
        agent.asked[agent.asks] = self
        debtor = hook.context if hook is not None else None
        term = hook.term if hook is not None and self._world.machines.bound_asks else None
        agent.feed(seat, seat.machine.ask(agent.now(), agent.asks, self._span_ns, debtor=debtor, term=term))

    def answered(self, answer: Answer) -> None:
        """What the agent says. A hook is bound by it, whether the tool lives to print it or not."""
        loop = self._world.loop
        loop.counts[f"asked: {answer.verdict}"] += 1
        if answer.verdict != "yes":
            return
        if self._hook is not None and self._hook.term is None:
            self._hook.term = answer.term
        delay = int(loop.random() ** 4 * 60_000_000)
        if not self._world.chaos.calm and loop.random() < 0.05:
            loop.counts["tool late"] += 1
            delay = int(loop.random() * 3 * 1_000_000_000)
            if loop.random() < 0.3:
                delay += int(loop.random() * self._world.scenario.ttl_ns)
        loop.at(loop.now + delay, self._print, self.boot, answer)

    def _print(self, boot: int, answer: Answer) -> None:
        host, hook, loop = self._host, self._hook, self._world.loop
        if boot != host.boot or (hook is not None and not hook.alive) or host.later(self._print, boot, answer):
            return
        assert answer.print_until is not None
        assert answer.term is not None
        if self._world.machines.checked_print and answer.print_until.reached(host.clock.now(loop.now)):
            loop.counts["not printed, too late"] += 1
            if self._asked <= ASK_AGAIN_MOST:
                self.ask()
            return
        if loop.log is not None:
            who = hook.context if hook is not None else "an asker"
            loop.tell(who, "prints True for", self._seat.unit, self._seat.office.name, "term", answer.term)
        loop.counts["True printed"] += 1
        self._world.checks.true_printed(self._seat, hook, answer.term, self._span_ns)


class Hook:
    """A hook of one unit: processes that ask and write, end, hang, or leave children behind."""

    __slots__ = ("_boot", "_steps", "_world", "agent", "alive", "context", "gen", "orphan", "printed", "seats", "term")

    def __init__(self, world: World, agent: Agent, seats: list[Seat], context: str) -> None:
        self._world, self.agent, self.seats, self.context = world, agent, seats, context
        self._boot, self.gen = agent.host.boot, agent.gen
        self.alive = True
        self.term: int | None = None
        self.printed: int | None = None
        """The term of the first True that it has printed."""
        loop = world.loop
        self.orphan = loop.random() < 0.08
        self._steps = 1 + int(loop.random() * 4)
        self._next(loop)

    def _next(self, loop: Loop) -> None:
        gap = loop.around(400_000_000)
        if loop.random() < 0.03 and not self._world.chaos.calm:
            loop.counts["hook hangs"] += 1
            gap = int(self._world.scenario.ttl_ns * (0.3 + 1.5 * loop.random()))
        loop.at(loop.now + gap, self._step, self._boot)

    def _step(self, boot: int) -> None:
        if not self.alive or boot != self.agent.host.boot or self.agent.host.later(self._step, boot):
            return
        loop, agent = self._world.loop, self.agent
        if not self._steps:
            self._end()
            return
        self._steps -= 1
        if agent.gen == self.gen:
            seat = self.seats[0]
            if self.term is not None and loop.random() < 0.45:
                if not agent.later(self._write, seat, self.term):
                    self._write(seat, self.term)
            else:
                Asker(self._world, seat, self, seat.machine.session.timing.guarantee_ns).ask()
        self._next(loop)

    def _write(self, seat: Seat, term: int) -> None:
        if seat in self.agent.seats and self.agent.gen == self.gen and not self.agent.later(self._write, seat, term):
            self._world.loop.counts["leader's write"] += 1
            seat.writer.write(term, self._written)

    def _written(self, landed: bool) -> None:
        self._world.loop.counts["leader's write landed" if landed else "leader's write refused or unsure"] += 1

    def _end(self) -> None:
        """The hook has ended by itself: what it wrote is flushed, then its debt ends, unless children are left."""
        agent = self.agent
        if not self.orphan:
            self.die()
        self.alive = False
        if agent.hook is self:
            agent.hook = None
        if agent.gen == self.gen and not agent.later(self._flush, self.gen):
            self._flush(self.gen)

    def _flush(self, gen: int) -> None:
        agent = self.agent
        if gen != agent.gen or agent.later(self._flush, gen):
            return
        agent.disk.starts.clear()
        seat = self.seats[0]
        if self.term is not None and seat in agent.seats and self._world.loop.random() < 0.3:
            seat.writer.write(self.term, lambda landed: self._settle(gen))
        else:
            self._settle(gen)

    def _settle(self, gen: int) -> None:
        agent = self.agent
        self._world.hooks.plan(agent)
        if self.orphan and self._world.machines.counts_orphans:
            return
        for seat in self.seats:
            if gen == agent.gen and seat in agent.seats:
                agent.feed(seat, seat.machine.settle(agent.now(), self.context))

    def die(self) -> None:
        """All of its processes are gone."""
        self.alive = False
        if self.agent.hook is self:
            self.agent.hook = None
        self._world.checks.hook_gone(self)


class Hooks:
    """When hooks start and questions come from outside; and what each office without hooks runs while it is held."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._contexts = 0

    def plan(self, agent: Agent) -> None:
        """The agent's next hook comes some time."""
        loop = self._world.loop
        loop.at(loop.now + loop.around(self._world.scenario.hook_every_ns), self._start, agent, agent.gen)

    def _start(self, agent: Agent, gen: int) -> None:
        if gen != agent.gen or agent.closing or agent.hook is not None:
            return
        if agent.later(self._start, agent, gen):
            return
        leaders = [seat for seat in agent.seats if seat.office is seat.application.offices[0]]
        if not leaders:
            self.plan(agent)
            return
        loop = self._world.loop
        chosen = leaders[int(loop.random() * len(leaders))]
        self._contexts += 1
        loop.counts["hook"] += 1
        agent.hook = Hook(self._world, agent, [chosen], f"{chosen.unit}-hook-{self._contexts}")

    def ask_from_outside(self, seat: Seat) -> None:
        """Somebody asks on the command line, with a length of his own at times."""
        loop = self._world.loop
        timing = seat.machine.session.timing
        span_ns = timing.guarantee_ns
        if loop.random() < 0.4:
            span_ns = int(loop.random() * timing.sure_ns(timing.ttl_s))
        Asker(self._world, seat, None, span_ns).ask()

    def elected(self, seat: Seat, term: int) -> None:
        """An office that isn't a leader's runs something for the length of its term."""
        agent = seat.agent
        if seat.machine.guarded:
            agent.guards.elected(seat, term)
        elif seat.office is not seat.application.offices[0] and seat.machine.term == term:
            gen = agent.gen
            if self._world.machines.scope_outlasts:
                agent.feed(seat, seat.machine.work_begun(agent.now(), term))
            if gen == agent.gen:
                self._world.checks.work_begun(seat, term)

    def disbelieved(self, seat: Seat, term: int) -> None:
        """It is told to end, and takes its time."""
        agent, loop = seat.agent, self._world.loop
        if seat.office is not seat.application.offices[0] and not seat.machine.guarded:
            loop.at(loop.now + loop.around(500_000_000), self._work_gone, agent, agent.gen, seat, term)

    def _work_gone(self, agent: Agent, gen: int, seat: Seat, term: int) -> None:
        if gen != agent.gen or seat not in agent.seats or agent.later(self._work_gone, agent, gen, seat, term):
            return
        self._world.checks.work_gone(seat, term)
        agent.feed(seat, seat.machine.work_gone(agent.now(), term))
