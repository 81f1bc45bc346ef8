"""A world for the machines in a test's hand: one store, hosts with clocks of their own, and nothing happens by itself.

Each step is a method: the store answers a call, loses its answer, answers late; a mirror catches up; time passes; a
process dies and starts again. What a decision makes the world do is done here as `tenure.office` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tenure.clock import NS_PER_S, Instant
from tenure.errors import LeaseLost
from tenure.office import decisions as d
from tenure.office.candidacy import Candidacy
from tenure.office.keys import OfficeKeys, OfficeView
from tenure.office.records import Ending, encode
from tenure.office.session import Session
from tenure.office.timing import Timing
from tenure.store.api import Committed, Item, Put, Refused
from tenure.store.world import MemoryWorld

HOLDER, LAST, TERMS = "office/holder", "office/last", "office/terms/"


Answering = Callable[[Instant], Sequence[d.Decision]]


def keys_of(unit: str) -> OfficeKeys:
    return OfficeKeys("web/leader", HOLDER, LAST, TERMS, f"units/{unit}/info", f"units/{unit}/present")


@dataclass
class Promise:
    """A yes: from the last instant at which it may be printed, in real time, the unit must hold the office for the span."""

    unit: str
    debtor: str | None
    from_ns: int
    until_ns: int


@dataclass
class Disk:
    lease: int = 0
    endings: dict[int, Ending] = field(default_factory=dict)


class Host:
    """One machine with one unit. Its clocks run at `rate`; while it is dead it has no machines."""

    def __init__(self, world: World, unit: str, rate: float) -> None:
        self.world, self.unit, self.rate = world, unit, rate
        self.disk = Disk()
        self.starts = 0
        self.alive = False
        self.session: Session
        self.candidacy: Candidacy
        self.calls: dict[str, d.Decision] = {}
        """What waits for an answer: "session" and "office"."""
        self.view_at = 0
        self.log: list[d.Decision] = []
        self.asks = 0
        self.spans: dict[int, tuple[int, str | None]] = {}

    def now(self) -> Instant:
        reading = int(self.world.now_ns * self.rate)
        return Instant(reading, reading)

    # ---- life and death

    def start(self, *, starts_unfinished: int = 1, guarded: bool = False) -> list[d.Decision]:
        self.alive, self.starts = True, self.starts + 1
        self.calls.clear()
        self.spans.clear()
        self.session = Session(self.world.timing, confirm_renewals=self.world.members)
        self.candidacy = Candidacy(
            self.session,
            keys_of(self.unit),
            self.unit,
            f"m-{self.unit}",
            may_end_early=self.world.may_end_early,
            guarded=guarded,
            endings=self.disk.endings.values(),
        )
        self.view_at = self.world.store.revision
        done = self.perform(self.session.start(self.now(), self.disk.lease, starts_unfinished=starts_unfinished))
        return done + self.perform(self.candidacy.begin(self.now()))

    def die(self) -> None:
        self.alive = False

    # ---- the mirror

    def look(self, behind: int = 0) -> list[d.Decision]:
        """The mirror shows the store as it was `behind` revisions ago, but no older than it has shown."""
        self.view_at = max(self.view_at, self.world.store.revision - behind)
        return self.perform(self.candidacy.saw(self.now(), self.world.view(self.unit, self.view_at)))

    def tick(self) -> list[d.Decision]:
        return self.perform(self.session.tick(self.now())) + self.perform(self.candidacy.tick(self.now()))

    # ---- the store

    def answer(self, what: str) -> list[d.Decision]:
        """What waits for an answer happens now, and is answered at once."""
        call = self.calls.pop(what, None)
        return [] if call is None else self.perform(self.world.happen(self, call)(self.now()))

    def lose(self, what: str, *, landed: bool) -> list[d.Decision]:
        """No answer comes; `landed` says whether the call has happened all the same."""
        call = self.calls.pop(what, None)
        if call is None:
            return []
        if landed:
            self.world.happen(self, call)
        now = self.now()
        match call:
            case d.Commit(call=number):
                return self.perform(self.candidacy.unsure(now, number))
            case d.ReadOffice(call=number):
                return self.perform(self.candidacy.unreachable(now, number))
            case d.SendGrant(call=number) | d.SendRenew(call=number) | d.SendConfirm(call=number):
                return self.perform(self.session.failed(now, number))
        raise AssertionError(call)

    def ask(self, span_s: float, debtor: str | None = None, term: int | None = None) -> list[d.Decision]:
        self.asks += 1
        self.spans[self.asks] = (int(span_s * NS_PER_S), debtor)
        return self.perform(self.candidacy.ask(self.now(), self.asks, int(span_s * NS_PER_S), debtor=debtor, term=term))

    def settle(self, debtor: str) -> list[d.Decision]:
        self.world.promises = [p for p in self.world.promises if (p.unit, p.debtor) != (self.unit, debtor)]
        return self.perform(self.candidacy.settle(self.now(), debtor))

    # ---- decisions

    def perform(self, decisions: Sequence[d.Decision]) -> list[d.Decision]:
        done: list[d.Decision] = []
        for decision in decisions:
            done.append(decision)
            done += self.perform(self._perform(decision))
        return done

    def _perform(self, decision: d.Decision) -> Sequence[d.Decision]:
        self.log.append(decision)
        now = self.now()
        match decision:
            case d.SendGrant() | d.SendRenew() | d.SendConfirm():
                self.calls["session"] = decision
            case d.CloseStream():
                self.calls.pop("session", None)
            case d.Commit() | d.ReadOffice():
                self.calls["office"] = decision
            case d.SaveLease(lease=lease):
                self.disk.lease = lease
            case d.SaveEnding(ending=ending):
                self.disk.endings[ending.term] = ending
            case d.DropEnding(term=term):
                self.disk.endings.pop(term, None)
            case d.Moved():
                return self.candidacy.tick(now)
            case d.RenewFirst():
                return self.session.renew_now(now)
            case d.LeaseGone(lease=lease):
                return self.session.lease_gone(now, lease)
            case d.LeaseBegun():
                self.world.put_present(self)
            case d.Keep(present=present):
                self.world.present[self.unit] = encode(present)
                self.world.put_present(self)
            case d.Answered(ask=ask, answer=answer) if answer.verdict == "yes":
                span_ns, debtor = self.spans[ask]
                assert answer.print_until is not None
                printed_ns = self.world.now_ns + int(answer.print_until.left_ns(now) / self.rate)
                if span_ns:
                    promise = Promise(self.unit, debtor, self.world.now_ns, printed_ns + span_ns)
                    self.world.promises.append(promise)
        return ()


class World:
    def __init__(
        self,
        units: Iterable[str],
        *,
        ttl_s: int = 60,
        rates: Sequence[float] = (),
        may_end_early: bool = False,
        members: bool = False,
    ) -> None:
        """`members`: the store has several, whose leader changes, so that renewals must be confirmed."""
        self.now_ns = 1000 * NS_PER_S
        self.timing = Timing.for_lease(ttl_s)
        self.may_end_early, self.members = may_end_early, members
        self.raft_term = 1
        self.behind: set[str] = set()
        """Units that are connected to a member that has not heard of the newest leader."""
        self.store = MemoryWorld()
        self.pictures: list[dict[str, Item]] = [{}]
        self.store.listeners.append(lambda batch: self._note())
        self.promises: list[Promise] = []
        self.present: dict[str, bytes] = {}
        self.hosts: dict[str, Host] = {}
        for number, unit in enumerate(units):
            self.store.commit([], [Put(keys_of(unit).unit_info, b"{}")])
            self.hosts[unit] = Host(self, unit, rates[number] if number < len(rates) else 1.0)

    def _note(self) -> None:
        self.pictures.append(dict(self.store.read("").items))

    def pass_time(self, seconds: float) -> None:
        self.now_ns += int(seconds * NS_PER_S)
        self.store.expire(self.now_ns)

    def change_leader(self, behind: set[str]) -> None:
        """Each lease begins anew under the next leader; the former one goes on answering those that are `behind`."""
        self.raft_term += 1
        self.behind = behind
        for lease in self.store._leases.values():
            lease.ends_ns = max(lease.ends_ns, self.now_ns + (lease.ttl_s + 1) * NS_PER_S)

    def witness(self, unit: str) -> tuple[str, int] | None:
        """What an answer's header says: the member that the unit is connected to, and the term that it has met."""
        return (unit, self.raft_term - (unit in self.behind)) if self.members else None

    def view(self, unit: str, revision: int) -> OfficeView:
        items = self.pictures[revision]
        present = {
            key.removeprefix("units/").removesuffix("/present"): item
            for key, item in items.items()
            if key.endswith("/present")
        }
        return OfficeView(revision, items.get(HOLDER), items.get(LAST), items.get(keys_of(unit).unit_info), present)

    def put_present(self, host: Host) -> None:
        """At once, and never lost: the present key is a courtesy, but for its lease and its answer."""
        if host.session.lease and host.unit in self.present:
            try:
                key = keys_of(host.unit).present
                self.store.commit([], [Put(key, self.present[host.unit], host.session.lease)])
            except LeaseLost:
                pass

    def happen(self, host: Host, call: d.Decision) -> Answering:
        """Do it in the store; returns what tells its machine the answer."""
        session, candidacy = host.session, host.candidacy
        match call:
            case d.SendGrant(call=number, ttl_s=ttl_s):
                grant = self.store.grant(ttl_s, self.now_ns)
                return lambda now: session.granted(now, number, grant.lease, grant.ttl_s)
            case d.SendRenew(call=number, lease=lease):
                witness = self.witness(host.unit)
                if host.unit in self.behind:
                    return lambda now: session.renewed(now, number, self.timing.ttl_s, witness)
                try:
                    ttl_s = self.store.renew(lease, self.now_ns)
                except LeaseLost:
                    return lambda now: session.refused(now, number)
                return lambda now: session.renewed(now, number, ttl_s, witness)
            case d.SendConfirm(call=number, ttl_s=ttl_s):
                # Whoever answers a linearizable read has heard of the leader.
                self.behind.discard(host.unit)
                item, seen_by = self.store.get(keys_of(host.unit).present), self.witness(host.unit)
                on_lease = item.lease if item is not None else None
                return lambda now: session.confirmed(now, number, on_lease, ttl_s, seen_by)
            case d.ReadOffice(call=number):
                at, items = self.store.revision, self.pictures[-1]
                found = items.get(HOLDER), items.get(LAST), items.get(keys_of(host.unit).unit_info)
                return lambda now: candidacy.read(now, number, at, *found)
            case d.Commit(call=number, when=when, then=then):
                try:
                    outcome = self.store.commit(when, then)
                except LeaseLost:
                    return lambda now: candidacy.lease_gone(now, number)
                if isinstance(outcome, Committed):
                    return lambda now: candidacy.committed(now, number, outcome.revision)
                assert isinstance(outcome, Refused)
                return lambda now: candidacy.refused(now, number, outcome.revision, outcome.current)
        raise AssertionError(call)

    def answered_again(self, host: Host, call: d.Decision) -> list[d.Decision]:
        """The answer to a call comes a second time: what it leads to, news of the lease's sureness aside."""
        session, candidacy, now = host.session, host.candidacy, host.now()
        match call:
            case d.SendGrant(call=number, ttl_s=ttl_s):
                return host.perform(session.granted(now, number, 1 << 40, ttl_s))
            case d.SendRenew(call=number):
                return host.perform(session.renewed(now, number, 1 << 20))
            case d.SendConfirm(call=number, lease=lease):
                return host.perform(session.confirmed(now, number, lease, 1 << 20, self.witness(host.unit)))
            case d.Commit(call=number):
                return host.perform(candidacy.committed(now, number, self.store.revision))
        raise AssertionError(call)

    def believers(self) -> list[str]:
        """The units that hold the office at this instant, by their own clocks; a dead process believes nothing."""
        return [unit for unit, host in self.hosts.items() if host.alive and host.candidacy.believes(host.now())]

    def broken_promises(self) -> list[Promise]:
        """Promises that last, while the key says that another unit holds the office, or none."""
        self.promises = [promise for promise in self.promises if promise.until_ns > self.now_ns]
        item = self.pictures[-1].get(HOLDER)
        return [p for p in self.promises if item is None or f'"unit":"{p.unit}"'.encode() not in item.value]
