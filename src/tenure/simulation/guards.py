"""Guards: processes beside the agent that end what runs on a term in time, though the agent be killed, stopped or silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tenure.clock import Instant

if TYPE_CHECKING:
    from tenure.simulation.agent import Agent
    from tenure.simulation.slots import Seat
    from tenure.simulation.world import World

START_NS = 40_000_000
ANSWER_NS = 1_000_000
KILL_NS = 5_000_000

Key = tuple[str, str]


class Guard:
    """One term's guard. `armed` until it begins to end the term, and `gone` once nothing of the term is left.

    `began_ns`: when leader-deposed has begun; `whole`: nothing has happened to it, nor has its host slept.
    """

    __slots__ = (
        "began_ns",
        "boot",
        "ending",
        "gone",
        "held",
        "key",
        "stopped",
        "term",
        "timer",
        "until",
        "whole",
        "worked",
        "working",
    )

    def __init__(self, key: Key, term: int, until: Instant, boot: int) -> None:
        self.key, self.term, self.until, self.boot = key, term, until, boot
        self.ending = self.gone = self.working = self.worked = False
        self.whole = True
        self.began_ns = 0
        self.stopped = 0
        self.timer = 0
        self.held: list[Callable[[], None]] = []


class Guards:
    """All guards of one agent's machine; they outlive its processes."""

    def __init__(self, world: World, agent: Agent) -> None:
        self._world, self._agent, self._loop = world, agent, world.loop
        self._guards: dict[Key, Guard] = {}
        self._followed: list[Guard] = []
        """Those whose unit has another by now, though something of their term is left."""

    # ---- what the agent asks for

    def find(self, seat: Seat) -> int:
        """A restarted agent looks for its guards before it asks the store: the term of what is left; 0: nothing is."""
        guard = self._guards.get((seat.unit, seat.office.name))
        if guard is None or guard.gone:
            return 0
        if guard.stopped:
            # Killed first, and followed by a second one, which runs leader-deposed.
            self._kill(guard)
            guard.whole = False
            guard.gone = False
            guard.ending = True
            self._end(guard, 0)
        return guard.term

    def arm(self, seat: Seat, term: int, until: Instant) -> None:
        """Have a guard for the term, or let it go on for longer."""
        key = (seat.unit, seat.office.name)
        guard = self._guards.get(key)
        if guard is None or guard.term < term:
            if guard is not None and guard.working:
                self._followed.append(guard)
            guard = self._guards[key] = Guard(key, term, until, self._agent.host.boot)
            self._plan(guard)
            self._tell(key, START_NS, "guard_acknowledged", term, until)
        elif guard.gone or guard.term > term:
            self._tell(key, ANSWER_NS, "guard_gone", term)
        elif guard.stopped:
            guard.held.append(lambda: self._extend(guard, until))
        else:
            self._loop.at(self._loop.now + ANSWER_NS, self._extend, guard, until)

    def elected(self, seat: Seat, term: int) -> None:
        """The workload begins, if the guard is there to end it."""
        guard = self._guards.get((seat.unit, seat.office.name))
        if guard is not None and guard.term == term and not guard.ending and not guard.gone:
            guard.working = guard.worked = True

    def end_work(self, seat: Seat, term: int, deadline: Instant | None) -> None:
        """leader-deposed, and the end of the workload; no later than the deadline, and `work_gone` is said."""
        key = (seat.unit, seat.office.name)
        guard = self._guards.get(key)
        if guard is None or guard.term != term or guard.gone:
            self._tell(key, START_NS, "work_gone", term)
        elif guard.stopped:
            guard.held.append(lambda: self.end_work(seat, term, deadline))
        else:
            self._end(guard, KILL_NS if deadline is None else 0)

    def over(self, seat: Seat, term: int) -> None:
        """The key is gone: what is left has no time."""
        guard = self._guards.get((seat.unit, seat.office.name))
        if guard is not None and guard.term == term and not guard.gone:
            self._end(guard, KILL_NS)

    # ---- faults

    def some(self, dice: float) -> Guard | None:
        """One that is alive, if there is one."""
        alive = [guard for guard in self._guards.values() if not guard.gone]
        return alive[int(dice * len(alive))] if alive else None

    def kill(self, guard: Guard) -> None:
        """SIGKILL: the workload's init dies with its guard, and the agent sees it."""
        self._kill(guard)
        guard.whole = False
        self._tell(guard.key, ANSWER_NS, "guard_gone", guard.term)
        # A second one runs leader-deposed, and says when nothing is left.
        self._tell(guard.key, START_NS, "work_gone", guard.term)

    def stop(self, guard: Guard) -> None:
        """SIGSTOP; the kernel's own timer goes on."""
        guard.stopped += 1
        guard.whole = False

    def go_on(self, guard: Guard) -> None:
        """SIGCONT."""
        guard.stopped = max(0, guard.stopped - 1)
        if not guard.stopped and not guard.gone:
            held, guard.held = guard.held, []
            for call in held:
                call()
            self._look(guard, 0)

    def heal(self) -> None:
        """All go on."""
        for guard in self._guards.values():
            while guard.stopped:
                self.go_on(guard)

    def reboot(self) -> None:
        """Nothing is left."""
        self._guards.clear()
        self._followed.clear()

    def slept(self) -> None:
        """The host is suspended."""
        for guard in self._guards.values():
            guard.whole = False

    def working(self, office: str, but: int) -> Guard | None:
        """Something that runs on a term of this office other than `but`."""
        for guard in (*self._guards.values(), *self._followed):
            if guard.working and guard.key[1] == office and guard.term != but:
                return guard
        return None

    def of(self, office: str, term: int) -> Guard | None:
        """The guard of this term, if it is one of this machine's."""
        for guard in self._guards.values():
            if guard.key[1] == office and guard.term == term:
                return guard
        return None

    # ---- how

    def _extend(self, guard: Guard, until: Instant) -> None:
        if guard.boot != self._agent.host.boot or self._agent.host.later(self._extend, guard, until):
            return
        if guard.ending or guard.gone:
            self._tell(guard.key, 0, "guard_gone", guard.term)
            return
        guard.until = guard.until.later(until)
        self._plan(guard)
        self._tell(guard.key, ANSWER_NS, "guard_acknowledged", guard.term, guard.until)

    def _plan(self, guard: Guard) -> None:
        """Look again when the term must begin to end by itself, and when the kernel's timer ends all."""
        host, loop = self._agent.host, self._loop
        left_ns = guard.until.left_ns(host.clock.now(loop.now))
        begins_ns = left_ns - self._guarantee_ns(guard)
        wait_ns = left_ns if guard.ending or guard.stopped or begins_ns <= 0 else begins_ns
        at = loop.now + max(0, int(wait_ns / host.clock.fastest)) + 1
        if not loop.now < guard.timer <= at:
            guard.timer = at
            loop.at(at, self._look, guard, at)

    def _look(self, guard: Guard, at: int) -> None:
        host, loop = self._agent.host, self._loop
        if guard.gone or guard.boot != host.boot or (at and at != guard.timer):
            return
        if host.later(self._look, guard, at):
            return
        guard.timer = 0
        now = host.clock.now(loop.now)
        if guard.until.reached(now):
            self._kill(guard)
            self._tell(guard.key, START_NS, "work_gone", guard.term)
            return
        if not guard.stopped and not guard.ending and guard.until.left_ns(now) <= self._guarantee_ns(guard):
            loop.counts["guard ends a term"] += 1
            self._end(guard, 0)
        self._plan(guard)

    def _end(self, guard: Guard, within_ns: int) -> None:
        """leader-deposed begins, and the workload is told to end: all is gone some time, or at once."""
        guard.ending = True
        guard.began_ns = guard.began_ns or self._loop.now
        takes_ns = within_ns or self._loop.around(400_000_000)
        self._loop.at(self._loop.now + takes_ns, self._ended, guard)
        self._plan(guard)

    def _ended(self, guard: Guard) -> None:
        if guard.gone or guard.boot != self._agent.host.boot or self._agent.host.later(self._ended, guard):
            return
        if guard.stopped:
            guard.held.append(lambda: self._ended(guard))
            return
        self._kill(guard)
        self._tell(guard.key, 0, "work_gone", guard.term)

    def _kill(self, guard: Guard) -> None:
        guard.gone, guard.working, guard.held = True, False, []

    def _guarantee_ns(self, guard: Guard) -> int:
        # A little later than the agent would see to it itself.
        for application in self._world.server.applications:
            if guard.key[0].startswith(f"{application.name}/"):
                return int(application.timing.guarantee_ns * self._world.machines.deposes_at)
        return 0

    def _tell(self, key: Key, after_ns: int, what: str, *args: object) -> None:
        self._loop.at(self._loop.now + after_ns, self._told, self._agent.gen, key, what, args)

    def _told(self, gen: int, key: Key, what: str, args: tuple[object, ...]) -> None:
        agent = self._agent
        if what != "work_gone":
            if gen != agent.gen:
                return
        elif gen != agent.gen:
            # Whoever has found the guard since is told.
            gen = agent.gen
        if not agent.up or agent.later(self._told, gen, key, what, args):
            return
        for seat in tuple(agent.seats):
            if (seat.unit, seat.office.name) == key:
                agent.feed(seat, getattr(seat.machine, what)(agent.now(), *args))
                return
