"""How an agent drives its machines: what it does for each decision, as `office/__init__.py` asks of a driver."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tenure.clock import Instant
from tenure.office import decisions as d
from tenure.office.keys import OfficeView
from tenure.simulation.members import MEMBERS
from tenure.simulation.network import Link
from tenure.simulation.server import Cause, Office
from tenure.simulation.slots import Disk, Seat, SessionSlot
from tenure.store.api import Committed

if TYPE_CHECKING:
    from tenure.simulation.guards import Guards
    from tenure.simulation.hooks import Asker, Hook
    from tenure.simulation.host import Host
    from tenure.simulation.world import World

AT_ONCE_NS = 1_000_000
"""How soon a request that isn't taken is known not to be."""


class Driving:
    """Sessions and candidacies, the events that they meet, and the decisions that are performed.

    `gen` counts the agent's processes; what was planned for an earlier one is void.
    """

    def __init__(self, world: World, name: str, host: Host) -> None:
        self.world, self.name, self.host = world, name, host
        self.loop, self.network, self.server = world.loop, world.network, world.server
        self.link = Link()
        self.disk = Disk()
        self.gen = 0
        self.up = False
        self.leaving = False
        """Something is being handed over."""
        self.stops = 0
        self.slots: list[SessionSlot] = []
        self.seats: list[Seat] = []
        self.backlog: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.asked: dict[int, Asker] = {}
        self.asks = 0
        self.hook: Hook | None = None
        self.guards: Guards
        self.mirror_at = 0
        self.mirror_stalled = 0
        self.mirror_subscribed = False

    def leave_at_last(self) -> None:
        """What is left to do once candidacies have left."""
        raise NotImplementedError

    def die(self) -> None:
        """Be killed, and come back some time."""
        raise NotImplementedError

    def stand_still(self) -> None:
        """Be stopped, for a while."""
        raise NotImplementedError

    # ---- time

    def now(self) -> Instant:
        """The host's clocks, read at this instant."""
        return self.host.clock.now(self.loop.now)

    def arm(self, slot: Any) -> None:
        """Plan the wake-up that the machine wants, unless one comes before it anyhow."""
        host = self.host
        now_ns = self.loop.now
        wake_in_ns = slot.machine.wake_in_ns(host.clock.now(now_ns))
        if wake_in_ns is None:
            return
        at = now_ns + int(wake_in_ns / host.clock.fastest) + 1
        if not slot.timer or at < slot.timer:
            slot.timer = at
            self.loop.at(at, self._wake, self.gen, slot, at)

    def _wake(self, gen: int, slot: Any, at: int) -> None:
        if gen != self.gen or slot.timer != at:
            return
        slot.timer = 0
        if not self.stops:
            self.feed(slot, slot.machine.tick(self.host.clock.now(self.loop.now)))

    def later(self, call: Callable[..., None], *args: Any) -> bool:
        """Whether the process is stopped, so that this must wait for it to go on."""
        if self.stops:
            self.backlog.append((call, args))
            return True
        return False

    def or_later(self, call: Callable[..., None], *args: Any) -> None:
        """Now, or once the process goes on."""
        if not self.later(call, *args):
            call(*args)

    # ---- what is met

    def on_renewed(self, gen: int, slot: SessionSlot, stream: int, call: int, ttl_s: int, witness: Any) -> None:
        """The store's answer to a renewal."""
        if gen != self.gen or self.later(self.on_renewed, gen, slot, stream, call, ttl_s, witness):
            return
        machine = slot.machine
        if stream != slot.stream:
            if self.world.machines.closes_streams:
                return
            call = machine._call
        self.feed(slot, machine.renewed(self.host.clock.now(self.loop.now), call, ttl_s, witness))

    def on_refused(self, gen: int, slot: SessionSlot, stream: int, call: int) -> None:
        """The store says that the lease is gone."""
        if gen != self.gen or self.later(self.on_refused, gen, slot, stream, call) or stream != slot.stream:
            return
        self.feed(slot, slot.machine.refused(self.now(), call))

    def on_granted(self, gen: int, slot: SessionSlot, stream: int, call: int, lease: int, ttl_s: int) -> None:
        """The store has made a lease."""
        if gen != self.gen or self.later(self.on_granted, gen, slot, stream, call, lease, ttl_s):
            return
        self.feed(slot, slot.machine.granted(self.now(), call, lease, ttl_s))

    def on_confirmed(self, item: Any, witness: Any, gen: int, slot: SessionSlot, call: int, ttl_s: int) -> None:
        """A read that follows a renewal."""
        if gen != self.gen or self.later(self.on_confirmed, item, witness, gen, slot, call, ttl_s):
            return
        lease = item.lease if item is not None else None
        self.feed(slot, slot.machine.confirmed(self.now(), call, lease, ttl_s, witness))

    def on_failed(self, gen: int, slot: SessionSlot, call: int) -> None:
        """A request of the session's was not taken."""
        if gen != self.gen or self.later(self.on_failed, gen, slot, call):
            return
        self.feed(slot, slot.machine.failed(self.now(), call))

    # ---- the mirror

    def tell_mirror(self, news: list[tuple[Office, int]]) -> None:
        """The store has changed: the mirror will show it, in order, sooner or later."""
        if self.mirror_subscribed and not self.mirror_stalled and not self.link.down:
            self._show(news)

    def resync(self) -> None:
        """A snapshot: the mirror jumps to what stands."""
        if self.mirror_subscribed and not self.mirror_stalled and not self.link.down:
            self._show(
                [(office, len(office.pictures) - 1) for slot in self.slots for office in slot.application.offices]
            )

    def _show(self, news: list[tuple[Office, int]]) -> None:
        loop, network = self.loop, self.network
        lag = 100_000 + int(loop.random() * 4_000_000)
        if network.weather.mirror_late and loop.random() < network.weather.mirror_late:
            loop.counts["mirror late"] += 1
            lag += min(network.late_ns(), 20_000_000_000)
        self.mirror_at = max(self.mirror_at + 1, loop.now + lag)
        loop.at(self.mirror_at, self._saw, self.gen, news)

    def subscribe(self, gen: int) -> None:
        """Begin the mirror, and again until it has begun."""
        if gen == self.gen and not self.mirror_subscribed:
            self.network.send(self.link, self.server.subscribe, self, gen)
            self.loop.at(self.loop.now + 1_500_000_000, self.subscribe, gen)

    def _saw(self, gen: int, news: list[tuple[Office, int]]) -> None:
        if gen != self.gen or self.later(self._saw, gen, news):
            return
        if self.mirror_stalled or self.link.down:
            return
        now = self.now()
        for office, index in news:
            if index < 0:
                continue
            for seat in tuple(self.seats):
                if seat.office is office and index > seat.greatest:
                    seat.greatest = index
                    picture = office.pictures[index]
                    view = OfficeView(
                        picture.revision, picture.holder, picture.last, picture.infos.get(seat.unit), picture.presents
                    )
                    self.feed(seat, seat.machine.saw(now, view))
                    if gen != self.gen:
                        return

    # ---- decisions

    def feed(self, slot: Any, decisions: Sequence[d.Decision]) -> None:
        """Do what was decided, in order, and see when to ask again."""
        gen = self.gen
        if decisions:
            self.perform(decisions, slot)
            if gen != self.gen:
                return
        self.arm(slot)
        if self.leaving:
            self.leave_at_last()

    def perform(self, decisions: Sequence[d.Decision], slot: Any) -> None:
        """Each in its turn; the process may end, or stand still, between any two."""
        gen = self.gen
        for index, decision in enumerate(decisions):
            if self.stops:
                self.backlog.append((self._perform_rest, (gen, decisions[index:], slot)))
                return
            _DO[decision.__class__](self, decision, slot)
            if gen != self.gen:
                return

    def _perform_rest(self, gen: int, decisions: Sequence[d.Decision], slot: Any) -> None:
        if gen == self.gen:
            self.feed(slot, decisions)

    def _may_die(self) -> None:
        scenario, loop = self.world.scenario, self.loop
        if self.world.chaos.calm:
            return
        if scenario.dies and loop.random() < scenario.dies:
            loop.fault("killed between decisions", self.name)
            self.die()
        elif scenario.freezes and loop.random() < scenario.freezes:
            loop.fault("stopped between decisions", self.name)
            self.stand_still()

    def _moved(self, decision: d.Decision, slot: SessionSlot | Seat) -> None:
        gen = self.gen
        if isinstance(slot, Seat):
            slot = slot.session
        now = self.host.clock.now(self.loop.now)
        for seat in slot.seats if len(slot.seats) < 2 else tuple(slot.seats):
            out = seat.machine.tick(now)
            if out:
                self.perform(out, seat)
                if gen != self.gen:
                    return
            self.arm(seat)

    def _send_renew(self, decision: d.SendRenew, slot: SessionSlot) -> None:
        if not self.network.send(
            self.link, self.server.renew, self, self.gen, slot, slot.stream, decision.call, decision.lease
        ):
            self.loop.at(self.loop.now + AT_ONCE_NS, self.on_failed, self.gen, slot, decision.call)

    def _send_grant(self, decision: d.SendGrant, slot: SessionSlot) -> None:
        if not self.network.send(
            self.link, self.server.grant, self, self.gen, slot, slot.stream, decision.call, decision.ttl_s
        ):
            self.loop.at(self.loop.now + AT_ONCE_NS, self.on_failed, self.gen, slot, decision.call)

    def _send_confirm(self, decision: d.SendConfirm, slot: SessionSlot) -> None:
        if slot.kept is None or not slot.kept.value:
            self.feed(slot, slot.machine.nothing_to_confirm(self.now(), decision.call))
            return
        if not self.network.send(
            self.link, self.server.confirm, self, slot.kept.key, self.gen, slot, decision.call, decision.ttl_s
        ):
            self.loop.at(self.loop.now + AT_ONCE_NS, self.on_failed, self.gen, slot, decision.call)

    def _close_stream(self, decision: d.CloseStream, slot: SessionSlot) -> None:
        slot.stream += 1
        # Fail-over: all of the agent's requests go to the next of the store's members from now on.
        self.link.member = (self.link.member + 1) % MEMBERS

    def _send_revoke(self, decision: d.SendRevoke, slot: SessionSlot) -> None:
        self.network.send(self.link, self.server.revoke, decision.lease)

    def _save_lease(self, decision: d.SaveLease, slot: SessionSlot) -> None:
        self.disk.leases[slot.application.name] = decision.lease
        self.disk.saved()
        self._may_die()

    def _lease_begun(self, decision: d.LeaseBegun, slot: SessionSlot) -> None:
        if slot.kept is not None:
            slot.kept.begin()

    def _lease_over(self, decision: d.LeaseOver, slot: SessionSlot) -> None:
        self.loop.counts["lease lost"] += 1

    def _commit(self, decision: d.Commit, seat: Seat) -> None:
        loop, gen, call = self.loop, self.gen, decision.call
        if loop.log is not None:
            loop.tell(seat.unit, seat.office.name, "sends", decision.purpose)
        lease = seat.machine.lease or seat.session.machine.lease or 0
        cause = Cause(self.name, lease)
        sent = self.network.send(
            self.link, self.server.commit, self, cause, decision.when, decision.then, self._on_commit, gen, seat, call
        )
        if sent:
            limit = int(seat.session.machine.timing.commit_timeout_ns / self.host.clock.rate)
            loop.at(loop.now + limit, self._on_late, gen, seat, call)
        else:
            loop.at(loop.now + AT_ONCE_NS, self._on_unreachable, gen, seat, call)
        self._may_die()

    def _on_commit(self, outcome: Any, gen: int, seat: Seat, call: int) -> None:
        if gen != self.gen or self.later(self._on_commit, outcome, gen, seat, call):
            return
        machine, now = seat.machine, self.now()
        if outcome is None:
            self.feed(seat, machine.lease_gone(now, call))
        elif isinstance(outcome, Committed):
            self.feed(seat, machine.committed(now, call, outcome.revision))
        else:
            self.feed(seat, machine.refused(now, call, outcome.revision, outcome.current))

    def _on_late(self, gen: int, seat: Seat, call: int) -> None:
        if gen != self.gen or self.later(self._on_late, gen, seat, call):
            return
        self.feed(seat, seat.machine.unsure(self.now(), call))

    def _on_unreachable(self, gen: int, seat: Seat, call: int) -> None:
        if gen != self.gen or self.later(self._on_unreachable, gen, seat, call):
            return
        self.feed(seat, seat.machine.unreachable(self.now(), call))

    def _read_office(self, decision: d.ReadOffice, seat: Seat) -> None:
        loop, gen, call, keys = self.loop, self.gen, decision.call, seat.machine.keys
        sent = self.network.send(
            self.link, self.server.read, self, (keys.holder, keys.last, keys.unit_info), self._on_read, gen, seat, call
        )
        limit = int(seat.session.machine.timing.commit_timeout_ns / self.host.clock.rate) if sent else AT_ONCE_NS
        loop.at(loop.now + limit, self._on_unreachable, gen, seat, call)

    def _on_read(self, revision: int, items: Sequence[Any], gen: int, seat: Seat, call: int) -> None:
        if gen != self.gen or self.later(self._on_read, revision, items, gen, seat, call):
            return
        self.feed(seat, seat.machine.read(self.now(), call, revision, *items))

    def _save_ending(self, decision: d.SaveEnding, seat: Seat) -> None:
        if self.world.machines.durable_endings:
            self.disk.endings.setdefault((seat.unit, seat.office.name), {})[decision.ending.term] = decision.ending
            self.disk.saved()
        self._may_die()

    def _drop_ending(self, decision: d.DropEnding, seat: Seat) -> None:
        self.disk.endings.get((seat.unit, seat.office.name), {}).pop(decision.term, None)
        self.disk.saved()

    def _renew_first(self, decision: d.RenewFirst, seat: Seat) -> None:
        self.feed(seat.session, seat.session.machine.renew_now(self.now()))

    def _lease_gone(self, decision: d.LeaseGone, seat: Seat) -> None:
        self.feed(seat.session, seat.session.machine.lease_gone(self.now(), decision.lease))

    def _keep(self, decision: d.Keep, seat: Seat) -> None:
        if seat.session.kept is not None and not seat.leaving:
            seat.session.kept.keep(decision.present)

    def _elected(self, decision: d.Elected, seat: Seat) -> None:
        loop, term = self.loop, decision.term
        loop.counts["elected"] += 1
        if loop.log is not None:
            loop.tell(seat.unit, "is elected", seat.office.name, "term", term)
        self.world.checks.elected(seat, term)
        self.world.hooks.elected(seat, term)
        self._may_die()

    def _disbelieved(self, decision: d.Disbelieved, seat: Seat) -> None:
        if self.loop.log is not None:
            self.loop.tell(seat.unit, "believes no more", seat.office.name, "term", decision.term, decision.because)
        self.loop.counts[f"term ends: {decision.because}"] += 1
        self.world.checks.disbelieved(seat, decision.term)
        self.world.hooks.disbelieved(seat, decision.term)

    def _over(self, decision: d.Over, seat: Seat) -> None:
        if self.loop.log is not None:
            self.loop.tell(seat.unit, seat.office.name, "term", decision.term, "is over:", decision.how)
        if seat.machine.guarded:
            self.guards.over(seat, decision.term)

    def _transfer_failed(self, decision: d.TransferFailed, seat: Seat) -> None:
        self.loop.counts[f"transfer not begun: {decision.why}"] += 1

    def _answered(self, decision: d.Answered, seat: Seat) -> None:
        asker = self.asked.pop(decision.ask, None)
        if asker is not None:
            asker.answered(decision.answer)

    def _arm_guard(self, decision: d.Arm, seat: Seat) -> None:
        self.guards.arm(seat, decision.term, decision.until)

    def _end_work(self, decision: d.EndWork, seat: Seat) -> None:
        if seat.machine.guarded:
            self.guards.end_work(seat, decision.term, decision.deadline)


_DO: dict[type, Callable[[Any, Any, Any], None]] = {
    d.Moved: Driving._moved,
    d.SendRenew: Driving._send_renew,
    d.SendGrant: Driving._send_grant,
    d.SendConfirm: Driving._send_confirm,
    d.CloseStream: Driving._close_stream,
    d.SendRevoke: Driving._send_revoke,
    d.SaveLease: Driving._save_lease,
    d.LeaseBegun: Driving._lease_begun,
    d.LeaseOver: Driving._lease_over,
    d.Commit: Driving._commit,
    d.ReadOffice: Driving._read_office,
    d.SaveEnding: Driving._save_ending,
    d.DropEnding: Driving._drop_ending,
    d.RenewFirst: Driving._renew_first,
    d.LeaseGone: Driving._lease_gone,
    d.Keep: Driving._keep,
    d.Elected: Driving._elected,
    d.Disbelieved: Driving._disbelieved,
    d.Over: Driving._over,
    d.TransferFailed: Driving._transfer_failed,
    d.Answered: Driving._answered,
    d.Arm: Driving._arm_guard,
    d.EndWork: Driving._end_work,
}
