"""One machine's agent: a process that starts with what its folder has, dies between any two decisions, and comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tenure.office.timing import Timing
from tenure.simulation.calls import Kept
from tenure.simulation.driving import Driving
from tenure.simulation.guards import Guards
from tenure.simulation.server import Application
from tenure.simulation.slots import Seat, SessionSlot

if TYPE_CHECKING:
    from tenure.simulation.host import Host
    from tenure.simulation.world import World


class Agent(Driving):
    """A machine's agent, through all its processes."""

    def __init__(self, world: World, name: str, host: Host) -> None:
        super().__init__(world, name, host)
        self.guards = Guards(world, self)
        self.closing = False
        self.removing: str | None = None
        self.started_ns = 0
        self.units: dict[str, str] = {}
        """The unit of each application that this machine runs."""

    # ---- the process

    def start(self) -> None:
        """A new process, with what the folder has."""
        world, loop = self.world, self.loop
        self.gen += 1
        self.up, self.stops = True, 1 if self.host.clock.asleep else 0
        self.closing, self.removing, self.leaving = False, None, False
        self.started_ns = loop.now
        self.mirror_subscribed = False
        self.backlog.clear()
        if self.hook is not None:
            self.hook.die()
        now = self.now()
        disk, machines = self.disk, world.machines
        if disk.serial != disk.newest and machines.vouches_for_folder:
            loop.counts["older folder noticed"] += 1
            disk.clear()
        disk.saved()
        self.slots, self.seats, self.asked = [], [], {}
        for index, application in enumerate(self.server.applications):
            timing = world.scenario.timings[index]
            if machines.drift != timing.drift:
                timing = Timing(timing.ttl_s, timing.guarantee_s, machines.drift)
            disk.starts = [start for start in disk.starts if now.raw_ns - start < timing.ttl_ns]
            slot = SessionSlot(
                machines.session(timing, confirm_renewals=world.scenario.confirm_renewals, dice=loop.random),
                application,
            )
            self.slots.append(slot)
            self._seat(slot)
        disk.starts.append(now.raw_ns)
        if loop.log is not None:
            loop.tell(self.name, "starts", dict(disk.leases))
        gen = self.gen
        for seat in self.seats:
            if seat.machine.guarded and (found := self.guards.find(seat)):
                self.feed(seat, seat.machine.work_found(now, found))
        for slot in self.slots:
            saved = disk.leases.get(slot.application.name, 0)
            if saved and machines.revokes_at_start:
                self.network.send(self.link, self.server.revoke, saved)
                saved = 0
            self.feed(slot, slot.machine.start(now, saved, starts_unfinished=len(disk.starts)))
            for seat in tuple(slot.seats):
                if self.gen == gen:
                    self.feed(seat, seat.machine.begin(now))
        if self.gen == gen:
            self.subscribe(gen)
            self.world.hooks.plan(self)

    def _seat(self, slot: SessionSlot) -> None:
        """The unit's candidacies on this session."""
        world, application = self.world, slot.application
        unit = self.units.get(application.name)
        slot.kept = None
        if unit is None:
            return
        slot.kept = Kept(self, slot, unit)
        for office in application.offices:
            endings = tuple(self.disk.endings.get((unit, office.name), {}).values())
            machine = world.machines.candidacy(
                slot.machine,
                office.keys(unit),
                unit,
                self.name,
                may_end_early=world.scenario.may_end_early and world.machines.waits_out,
                endings=endings,
                guarded=world.scenario.guarded and office is not application.offices[0],
            )
            seat = Seat(self, machine, office, slot, unit)
            slot.seats.append(seat)
            self.seats.append(seat)

    def new_unit(self, application: Application) -> None:
        """An operator has added a unit to this machine."""
        self.units[application.name] = self.server.add_unit(application)
        if not self.up or self.closing:
            return
        for slot in self.slots:
            if slot.application is application:
                self._seat(slot)
                gen = self.gen
                for seat in tuple(slot.seats):
                    if self.gen == gen:
                        self.feed(seat, seat.machine.begin(self.now()))
        self.resync()

    def kill(self) -> None:
        """SIGKILL. Hooks outlive it."""
        if self.up:
            if self.loop.log is not None:
                self.loop.tell(self.name, "is killed")
            self._end()

    def _end(self) -> None:
        self.gen += 1
        self.up = self.closing = self.leaving = False
        self.removing = None
        self.stops = 0
        self.mirror_subscribed = False
        self.backlog.clear()
        for seat in self.seats:
            self.world.checks.process_gone(seat)
        self.slots, self.seats, self.asked = [], [], {}

    def die(self) -> None:
        """As the dice have it, between two decisions."""
        self.world.chaos.kill(self)

    def stand_still(self) -> None:
        """As the dice have it, between two decisions."""
        self.world.chaos.stop(self)

    def stop(self) -> None:
        """SIGSTOP, or the host asleep: nothing runs until as many `go_on`."""
        self.stops += 1

    def go_on(self, gen: int) -> None:
        """SIGCONT: all that has come meanwhile is met now, and all that is due."""
        if gen != self.gen or not self.stops:
            return
        self.stops -= 1
        backlog = self.backlog
        while backlog and not self.stops and gen == self.gen:
            call, args = backlog.popleft()
            call(*args)
        slots: list[Any] = [*self.slots, *self.seats]
        for slot in slots:
            if gen == self.gen and not self.stops:
                slot.timer = 0
                self.feed(slot, slot.machine.tick(self.now()))

    def sigterm(self) -> None:
        """Hand everything over, then end."""
        if self.up and not self.closing:
            self.closing = self.leaving = True
            self.or_later(self._leave, self.gen, None)

    def remove_unit(self, application: Application) -> None:
        """An operator removes the machine's unit of this application."""
        if self.up and not self.closing and self.removing is None and application.name in self.units:
            self.removing, self.leaving = application.name, True
            self.or_later(self._leave, self.gen, application)

    def _leave(self, gen: int, application: Application | None) -> None:
        for slot in tuple(self.slots):
            if application is None or slot.application is application:
                for seat in tuple(slot.seats):
                    if gen == self.gen:
                        seat.leaving = True
                        self.feed(seat, seat.machine.withdraw(self.now()))
                if gen == self.gen and slot.kept is not None:
                    slot.kept.drop()
        if gen == self.gen and application is None and not self.world.machines.waits_to_leave:
            self.leave_at_last()

    def present_gone(self, slot: SessionSlot) -> None:
        """The unit's present key is gone."""
        gen = self.gen
        for seat in tuple(slot.seats):
            if gen == self.gen:
                self.feed(seat, seat.machine.present_gone(self.now()))

    def leave_at_last(self) -> None:
        """What is left to do once candidacies have left."""
        patient = self.world.machines.waits_to_leave
        for slot in self.slots:
            concerned = self.closing or slot.application.name == self.removing
            if patient and concerned and not all(seat.machine.left for seat in slot.seats):
                return
        if self.closing:
            for slot in self.slots:
                self.perform(slot.machine.close(self.now()), slot)
            self.loop.fault("agent ended", self.name)
            self._end()
            self.world.chaos.ended(self)
            return
        name = self.removing
        self.removing, self.leaving = None, False
        unit = self.units.pop(str(name))
        for slot in self.slots:
            if slot.application.name == name:
                for seat in slot.seats:
                    self.seats.remove(seat)
                    self.world.checks.process_gone(seat)
                slot.seats, slot.kept = [], None
        self.world.chaos.removed(self, unit)
