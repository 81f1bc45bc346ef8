"""The store: one host with a clock of its own, every transaction at one instant. What the mirrors are told comes from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tenure.errors import LeaseLost
from tenure.office.keys import OfficeKeys
from tenure.office.timing import Timing
from tenure.simulation.loop import Loop
from tenure.simulation.members import Members
from tenure.simulation.network import Network
from tenure.store.api import Batch, Committed, Compare, Delete, Item, Put, Refused, Write
from tenure.store.world import LeaseRules, MemoryWorld

if TYPE_CHECKING:
    from tenure.simulation.agent import Agent
    from tenure.simulation.checks import Checks
    from tenure.simulation.scenario import Scenario


class Picture(NamedTuple):
    """An office's keys at one revision."""

    revision: int
    holder: Item | None
    last: Item | None
    infos: Mapping[str, Item]
    presents: Mapping[str, Item]


class Office:
    """One office, as it stands in the store, and as it stood at each revision that touched it."""

    __slots__ = ("application", "holder", "last", "name", "pictures", "settings")

    def __init__(self, name: str, application: Application) -> None:
        self.name = name
        self.application = application
        self.settings = f"{name}/settings"
        self.holder: Item | None = None
        self.last: Item | None = None
        self.pictures: list[Picture] = []

    def keys(self, unit: str) -> OfficeKeys:
        """The keys that a unit's candidacy meets."""
        name = self.name
        return OfficeKeys(name, f"{name}/holder", f"{name}/last", f"{name}/terms/", info_key(unit), present_key(unit))


class Application:
    """An application: its units, as the store has them, and its offices."""

    __slots__ = ("infos", "name", "offices", "presents", "timing", "units")

    def __init__(self, name: str, timing: Timing) -> None:
        self.name, self.timing = name, timing
        self.offices: list[Office] = []
        self.infos: dict[str, Item] = {}
        self.presents: dict[str, Item] = {}
        self.units = 0


class Cause(NamedTuple):
    """Who has brought a revision about: an agent, by a request sent on this lease; or a hand, or the end of a lease."""

    what: str
    lease: int = 0
    write: tuple[Office, int, int] | None = None
    """Of a write made as leader: the office, its term, its place among the writes of the term."""


def info_key(unit: str) -> str:
    """A unit's record."""
    return f"units/{unit}/info"


def present_key(unit: str) -> str:
    """A unit's present key."""
    return f"units/{unit}/present"


LEASE_ENDED = Cause("the lease's end")
HAND = Cause("a hand")


class Server:
    """The store's process. While it is `silent` requests are lost, while it is `stalled` they wait."""

    def __init__(self, loop: Loop, network: Network, scenario: Scenario) -> None:
        self.loop, self.network = loop, network
        self.rate = scenario.rates[-1]
        self._timings = scenario.timings
        self.silent = 0
        self.stalled = 0
        self.checks: Checks
        self.world = MemoryWorld(
            keep_revisions=8,
            leases=LeaseRules(
                answered_ttl_s=lambda asked_s: asked_s + (1 if scenario.answers_longer else 0),
                ends_late_by_ns=self._late if scenario.ends_late else lambda: 0,
            ),
        )
        self.world.listeners.append(self._landed)
        self.members = None if scenario.store == "embedded" else Members(self, ends_early=scenario.may_end_early)
        self.applications: list[Application] = []
        self.subscribers: list[Agent] = []
        self._routes: dict[str, tuple[str, Any, str]] = {}
        self._waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._cause = HAND
        self._expiry_at = 0
        self._member = 0

    # ---- what there is

    def add(self, name: str, offices: Sequence[str]) -> Application:
        """A new application."""
        application = Application(name, self._timings[len(self.applications)])
        for office_name in offices:
            office = Office(office_name, application)
            application.offices.append(office)
            self._routes[f"{office_name}/holder"] = ("holder", office, "")
            self._routes[f"{office_name}/last"] = ("last", office, "")
            self._routes[office.settings] = ("settings", office, "")
        self.applications.append(application)
        return application

    def add_unit(self, application: Application) -> str:
        """A new unit, as an operator adds it: a number that was never used."""
        unit = f"{application.name}/{application.units}"
        application.units += 1
        self._routes[info_key(unit)] = ("info", application, unit)
        self._routes[present_key(unit)] = ("present", application, unit)
        self.by_hand([], [Put(info_key(unit), b"alive")])
        return unit

    def forget_unit(self, unit: str) -> None:
        """The unit has left: its record goes, and its number is never used again."""
        self.by_hand([], [Delete(info_key(unit))])

    def by_hand(self, when: Sequence[Compare], then: Sequence[Write], cause: Cause = HAND) -> Committed | Refused:
        """A transaction that needs no network."""
        self._cause = cause
        return self.world.commit(when, then)

    def now_ns(self) -> int:
        """The store's own clock."""
        return int(self.loop.now * self.rate)

    def lease_end_ns(self, lease: int) -> int:
        """When, in real time, a lease will end that isn't renewed; 0: it has ended."""
        state = self.world._leases.get(lease)
        return int(state.ends_ns / self.rate) if state is not None else 0

    # ---- requests

    def renew(self, agent: Agent, gen: int, slot: Any, stream: int, call: int, lease: int) -> None:
        """A renewal has arrived."""
        if self.silent or self.stalled:
            self._wait(self.renew, agent, gen, slot, stream, call, lease)
            return
        witness = None
        members = self.members
        if members is not None:
            member = members.met_by(agent.link, stream=True)
            if members.stands(member):
                members.wait(self.renew, agent, gen, slot, stream, call, lease)
                return
            witness = members.witness(member)
            if member in members.behind:
                ttl_s = members.renewed(lease)
                self.network.answer(agent.link, agent.on_renewed, gen, slot, stream, call, ttl_s, witness)
                return
        self._cause = LEASE_ENDED
        try:
            ttl_s = self.world.renew(lease, int(self.loop.now * self.rate))
        except LeaseLost:
            self.network.answer(agent.link, agent.on_refused, gen, slot, stream, call)
        else:
            self.network.answer(agent.link, agent.on_renewed, gen, slot, stream, call, ttl_s, witness)

    def confirm(self, agent: Agent, key: str, gen: int, slot: Any, call: int, ttl_s: int) -> None:
        """A linearizable read of a session's own key has arrived."""
        if self._unserved(agent, self.confirm, agent, key, gen, slot, call, ttl_s):
            return
        assert self.members is not None
        self.expire()
        item = self.world.get(key)
        # Whoever was behind and answers all the same has heard of the leader by now.
        witness = self.members.witness(self._member)
        self.network.answer(agent.link, agent.on_confirmed, item, witness, gen, slot, call, ttl_s)

    def _unserved(self, agent: Agent, call: Callable[..., None], *args: Any) -> bool:
        """Whether a request must wait: for the process to go on, or for its member to hear of the leader."""
        if self.silent or self.stalled:
            self._wait(call, *args)
            return True
        if self.members is not None:
            self._member = self.members.met_by(agent.link)
            if self._member in self.members.behind:
                self.members.wait(call, *args)
                return True
        return False

    def grant(self, agent: Agent, gen: int, slot: Any, stream: int, call: int, ttl_s: int) -> None:
        """A wish for a lease has arrived."""
        if self._unserved(agent, self.grant, agent, gen, slot, stream, call, ttl_s):
            return
        self._cause = LEASE_ENDED
        grant = self.world.grant(ttl_s, self.now_ns())
        self.expire()
        self.network.answer(agent.link, agent.on_granted, gen, slot, stream, call, grant.lease, grant.ttl_s)

    def revoke(self, lease: int) -> None:
        """The end of a lease is asked for."""
        if self.silent or self.stalled:
            self._wait(self.revoke, lease)
            return
        self._cause = Cause("a revocation", lease)
        self.world.revoke(lease)

    def commit(
        self,
        agent: Agent,
        cause: Cause,
        when: Sequence[Compare],
        then: Sequence[Write],
        answer: Callable[..., None],
        *args: Any,
    ) -> None:
        """A transaction has arrived; `answer(outcome, *args)` goes back, with None for a lease that is gone."""
        if self._unserved(agent, self.commit, agent, cause, when, then, answer, *args):
            return
        self.expire()
        self._cause = cause
        outcome: Committed | Refused | None
        try:
            outcome = self.world.commit(when, then)
        except LeaseLost:
            outcome = None
        self.network.answer(agent.link, answer, outcome, *args)

    def read(self, agent: Agent, keys: Sequence[str], answer: Callable[..., None], *args: Any) -> None:
        """A read has arrived: `answer(revision, items, *args)` goes back."""
        if self._unserved(agent, self.read, agent, keys, answer, *args):
            return
        self.expire()
        get = self.world.get
        self.network.answer(agent.link, answer, self.world.revision, [get(key) for key in keys], *args)

    def subscribe(self, agent: Agent, gen: int) -> None:
        """A mirror begins: a snapshot, then what changes."""
        if self.silent or self.stalled:
            self._wait(self.subscribe, agent, gen)
            return
        if gen == agent.gen:
            self.expire()
            if agent not in self.subscribers:
                self.subscribers.append(agent)
            agent.mirror_subscribed = True
            agent.resync()

    # ---- time

    def expire(self) -> None:
        """End what is due, unless the process stands still; be here again when the next is."""
        if self.stalled:
            return
        self._cause = LEASE_ENDED
        self.world.expire(self.now_ns())
        ends_ns = self.world.earliest_end_ns()
        if ends_ns is not None:
            at = max(self.loop.now + 1_000, int(ends_ns / self.rate) + 2)
            if not self.loop.now < self._expiry_at <= at:
                self._expiry_at = at
                self.loop.at(at, self._expire_at, at)

    def end_early(self, lease: int) -> None:
        """A former leader of the store's own ends a lease before its time."""
        self._cause = LEASE_ENDED
        self.world.revoke(lease)

    def go_on(self) -> None:
        """After a stall: what waited is done now, late as it is."""
        if not self.silent and not self.stalled:
            self.expire()
            waiting, self._waiting = self._waiting, []
            for call, args in waiting:
                self.loop.at(self.loop.now + int(self.loop.random() * 5_000_000), call, *args)

    def _expire_at(self, at: int) -> None:
        if at == self._expiry_at:
            self._expiry_at = 0
            self.expire()

    def _wait(self, call: Callable[..., None], *args: Any) -> None:
        if self.stalled or self.loop.random() < 0.3:
            self._waiting.append((call, args))
        else:
            self.loop.counts["request lost"] += 1

    def _late(self) -> int:
        return int(self.loop.random() ** 2 * 2_000_000_000)

    # ---- what has changed

    def _landed(self, batch: Batch) -> None:
        touched: dict[Office, None] = {}
        for key, item in ((change.key, change.item) for change in batch.changes):
            route = self._routes.get(key)
            if route is None:
                continue
            kind, where, unit = route
            if kind == "holder":
                old, where.holder = where.holder, item
                self.checks.holder_changed(where, old, item, self._cause)
                touched[where] = None
            elif kind == "last":
                where.last = item
                touched[where] = None
            elif kind == "settings":
                self.checks.settings_written(where, batch.revision, self._cause)
            else:
                name = "infos" if kind == "info" else "presents"
                found = dict(getattr(where, name))
                if item is None:
                    found.pop(unit, None)
                else:
                    found[unit] = item
                setattr(where, name, found)
                touched.update(dict.fromkeys(where.offices))
        if not touched:
            return
        news = []
        for office in touched:
            application = office.application
            picture = Picture(batch.revision, office.holder, office.last, application.infos, application.presents)
            office.pictures.append(picture)
            news.append((office, len(office.pictures) - 1))
        for agent in self.subscribers:
            agent.tell_mirror(news)
