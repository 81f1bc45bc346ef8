"""The promises, asked in real time, with knowledge that the machines don't have. Each check costs the same however long the run.

1. At most one believer: whenever a term begins to be believed, or its key goes, and after every event while more than
   one process says that it holds an office. A belief's key is its term's as long as it lasts.
2. A printed True: until its span has passed on the printer's host, nobody gives the office up; and the lease that it
   rests on has been kept for that long by then already.
3. A leader's write: it lands in its own term, and in the order in which the writes of the term were made.
And: a term that is over is never believed in again, numbers grow, only the holder's own session takes an office away,
an end on purpose waits for what runs on the term, a hook sees one term.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure.clock import NS_PER_S
from tenure.office.records import Holder, decode
from tenure.simulation.loop import Loop, Violation
from tenure.simulation.server import LEASE_ENDED, Cause, Office
from tenure.store.api import Item

if TYPE_CHECKING:
    from tenure.simulation.agent import Agent
    from tenure.simulation.hooks import Hook
    from tenure.simulation.server import Server
    from tenure.simulation.slots import Seat

ONE_HOLDER = "promise 1, at most one holder"
A_DEBT = "promise 2, a True is a debt"
FENCED = "promise 3, fenced writes"
SCOPE = "promise 5, what runs on a term is gone before it ends"
OWN_SESSION = "promise 7, nobody but the holder's session takes an office away"
FINAL = "a term that is over is never believed in again"
GROWS = "a term's number never goes back"
DEPOSED = "promise 4, leader-deposed on time"
CLEAN = "promise 5, no unit of a host is a candidate while anything of a former term is left there"
PRESENT = "a transfer is to a unit that is present"
PROGRESS = "progress"

BELIEF = Cause("another's belief")


class _Watch:
    """What is watched of one office."""

    __slots__ = (
        "believers",
        "debt_term",
        "ended",
        "excused",
        "greatest",
        "hooks",
        "outside",
        "work",
        "write",
        "write_term",
    )

    def __init__(self) -> None:
        self.believers: dict[Seat, int] = {}
        self.ended: set[int] = set()
        self.excused: set[int] = set()
        """Terms that somebody has broken on purpose: a hand in the store, an end at once."""
        self.greatest = 0
        self.debt_term = 0
        self.outside = 0
        self.hooks: dict[str, int] = {}
        self.work = 0
        self.write_term = 0
        self.write = 0


class Checks:
    """One for each run. Raises Violation."""

    def __init__(self, loop: Loop, server: Server, *, may_end_early: bool) -> None:
        self._loop, self._server = loop, server
        self._early = may_end_early
        self._watches: dict[Office, _Watch] = {}
        self._writes = 0
        self.agents: list[Agent] = []

    def watch(self, office: Office) -> None:
        """Look after this office."""
        self._watches[office] = _Watch()

    # ---- promise 1

    def elected(self, seat: Seat, term: int) -> None:
        """A unit begins to believe."""
        office, watch = seat.office, self._watches[seat.office]
        if term in watch.ended:
            raise Violation(FINAL, f"{seat.unit} believes in term {term} of {office.name} again")
        holder = office.holder
        over = holder is None or holder.mod_revision != term
        # A process that stood still between its decision and this has no belief any more, by its own clocks.
        if over and not self._early and term not in watch.excused and seat.believes():
            raise Violation(ONE_HOLDER, f"{seat.unit} believes in term {term} of {office.name}, which is over")
        if seat.believes():
            self._no_work_left(office, term)
        self._clean(seat.agent, office, term)
        if self._early and watch.debt_term not in (term, *watch.excused) and seat.believes():
            self._paid(office, watch, watch.debt_term, BELIEF)
        watch.believers[seat] = term
        if len(watch.believers) > 1:
            self._loop.crowded[office] = lambda: self._one_believer(office)

    def disbelieved(self, seat: Seat, term: int) -> None:
        """A unit believes no more, finally."""
        watch = self._watches[seat.office]
        watch.ended.add(term)
        self._leave(seat, watch)

    def process_gone(self, seat: Seat) -> None:
        """A process has ended: it believes nothing."""
        watch = self._watches[seat.office]
        if watch.work == seat.machine.number:
            watch.work = 0
        self._leave(seat, watch)

    def _leave(self, seat: Seat, watch: _Watch) -> None:
        watch.believers.pop(seat, None)
        self._thin(seat.office, watch)

    def _thin(self, office: Office, watch: _Watch) -> None:
        if len(watch.believers) < 2:
            self._loop.crowded.pop(office, None)

    def _one_believer(self, office: Office) -> None:
        watch = self._watches[office]
        believers = [seat for seat, term in watch.believers.items() if term not in watch.excused and seat.believes()]
        if len(believers) > 1:
            units = " and ".join(f"{seat.unit} (term {watch.believers[seat]})" for seat in believers)
            raise Violation(ONE_HOLDER, f"{units} believe that they hold {office.name}")

    # ---- the holder key

    def holder_changed(self, office: Office, old: Item | None, new: Item | None, cause: Cause) -> None:
        """The key has changed, and the world knows by whom."""
        watch = self._watches[office]
        loop = self._loop
        if loop.log is not None:
            was = f"term {old.mod_revision}" if old else "vacant"
            now = f"term {new.mod_revision} {new.value.decode()}" if new else "vacant"
            loop.tell(office.name, "was", was, "is", now, "by", cause.what)
        if new is not None:
            loop.counts["term"] += 1
            if new.mod_revision <= watch.greatest:
                raise Violation(GROWS, f"{office.name}: term {new.mod_revision} after {watch.greatest}")
            watch.greatest = new.mod_revision
            if not self._early:
                self._no_work_left(office, new.mod_revision)
        if old is None:
            if new is not None:
                self._claimed(office, new)
            return
        if new is not None:
            self._there(office, new)
        term = old.mod_revision
        ended_early = self._early and cause is LEASE_ENDED
        if cause.what == "a hand":
            watch.excused.add(term)
        elif cause is not LEASE_ENDED and cause.lease != old.lease:
            raise Violation(OWN_SESSION, f"{cause.what} takes {office.name} from term {term} with another lease")
        if term in watch.excused or ended_early:
            return
        if cause is LEASE_ENDED:
            self._deposed_in_time(office, term)
        if watch.debt_term == term:
            self._paid(office, watch, term, cause)
        for seat, believed in watch.believers.items():
            if believed == term and seat.machine.term == term and seat.believes():
                raise Violation(
                    ONE_HOLDER, f"{seat.unit} believes in term {term} of {office.name}, ended by {cause.what}"
                )
        if watch.work == term and cause is not LEASE_ENDED:
            raise Violation(SCOPE, f"term {term} of {office.name} is given up while its work runs")

    def _there(self, office: Office, new: Item) -> None:
        """A transfer is to a unit that is there, on its own lease."""
        unit = decode(Holder, new).unit
        present = office.application.presents.get(unit)
        if present is None or present.lease != new.lease:
            raise Violation(PRESENT, f"{office.name} is handed to {unit}, which isn't there")

    # ---- promise 2

    def true_printed(self, seat: Seat, hook: Hook | None, term: int, span_ns: int) -> None:
        """A tool has printed True."""
        office, watch, now = seat.office, self._watches[seat.office], self._loop.now
        if hook is not None:
            if hook.printed is None:
                hook.printed = term
            elif hook.printed != term:
                raise Violation(A_DEBT, f"{hook.context} was told True in term {hook.printed} and in term {term}")
        if term in watch.excused:
            return
        holder = office.holder
        until = now + seat.agent.host.clock.real_ns(span_ns)
        if not self._early:
            # A lease that ends before its time is nobody's to know of: there the next holder must wait, see `elected`.
            if holder is None or holder.mod_revision != term:
                raise Violation(
                    A_DEBT, f"True is printed for {seat.unit} in term {term} of {office.name}, which is over"
                )
            kept_ns = self._server.lease_end_ns(holder.lease)
            if kept_ns < until:
                missing_s = (until - kept_ns) / NS_PER_S
                raise Violation(
                    A_DEBT, f"a True for term {term} of {office.name} outlives its lease by {missing_s:.6f} s"
                )
        if watch.debt_term != term:
            watch.debt_term, watch.outside = term, 0
            watch.hooks.clear()
        if hook is None:
            watch.outside = max(watch.outside, until)
        else:
            watch.hooks[hook.context] = max(watch.hooks.get(hook.context, 0), until)

    def hook_gone(self, hook: Hook) -> None:
        """Nobody is left of it."""
        for seat in hook.seats:
            self._watches[seat.office].hooks.pop(hook.context, None)

    def broken(self, seat: Seat) -> None:
        """Somebody ends the term at once: its debts are void."""
        holder = seat.office.holder
        if holder is not None:
            self._watches[seat.office].excused.add(holder.mod_revision)
        if seat.machine.number:
            self._watches[seat.office].excused.add(seat.machine.number)

    def _paid(self, office: Office, watch: _Watch, term: int, cause: Cause) -> None:
        owed, to = watch.outside, "those who asked from outside"
        for context, until in watch.hooks.items():
            if until > owed:
                owed, to = until, context
        if owed > self._loop.now:
            left_s = (owed - self._loop.now) / NS_PER_S
            raise Violation(
                A_DEBT, f"term {term} of {office.name} is ended by {cause.what}, owed to {to} for {left_s:.6f} s more"
            )

    # ---- promise 3

    def next_write(self) -> int:
        """The place of a write made as leader among all that were made."""
        self._writes += 1
        return self._writes

    def settings_written(self, office: Office, revision: int, cause: Cause) -> None:
        """A write made as leader has landed."""
        if cause.write is None:
            return
        _, term, place = cause.write
        watch, holder = self._watches[office], office.holder
        self._loop.counts["settings written"] += 1
        if holder is None or holder.mod_revision != term:
            now = f"term {holder.mod_revision}" if holder else "none"
            raise Violation(FENCED, f"a write of term {term} of {office.name} lands in {now}")
        if watch.write_term == term and place < watch.write:
            raise Violation(FENCED, f"write {place} of term {term} of {office.name} lands over write {watch.write}")
        watch.write_term, watch.write = term, place

    # ---- promise 4

    def _deposed_in_time(self, office: Office, term: int) -> None:
        """The lease has run out by itself: leader-deposed had the guarantee less a renewal's interval, wherever there was a guard."""
        for agent in self.agents:
            guard = agent.guards.of(office.name, term)
            if guard is None or not guard.worked or not guard.whole or agent.host.clock.asleep:
                continue
            timing = office.application.timing
            due_ns = int((timing.guarantee_ns - timing.renew_every_ns) * (1 - timing.drift))
            had_ns = self._loop.now - guard.began_ns if guard.began_ns else 0
            if had_ns < due_ns:
                raise Violation(
                    DEPOSED,
                    f"leader-deposed of term {term} of {office.name} had {had_ns / NS_PER_S:.3f} s before the lease's end, "
                    f"not {due_ns / NS_PER_S:.3f} s",
                )

    # ---- promise 5

    def _claimed(self, office: Office, new: Item) -> None:
        unit = decode(Holder, new).unit
        for agent in self.agents:
            if agent.units.get(office.application.name) == unit:
                self._clean(agent, office, new.mod_revision)

    def _clean(self, agent: Agent, office: Office, term: int) -> None:
        guard = agent.guards.working(office.name, term)
        if guard is not None:
            raise Violation(
                CLEAN, f"{agent.name} begins term {term} of {office.name}, and term {guard.term} is worked for there"
            )

    def work_begun(self, seat: Seat, term: int) -> None:
        """Something runs for the length of the term."""
        self._watches[seat.office].work = term

    def _no_work_left(self, office: Office, term: int) -> None:
        """What runs on a former term is gone before the next begins, wherever hosts are awake."""
        for agent in self.agents:
            guard = agent.guards.working(office.name, term)
            if guard is not None and guard.term not in self._watches[office].excused and not agent.host.clock.asleep:
                raise Violation(
                    SCOPE, f"term {guard.term} of {office.name} is worked for on {agent.name} in term {term}"
                )

    def work_gone(self, seat: Seat, term: int) -> None:
        """Nothing of it is left."""
        watch = self._watches[seat.office]
        if watch.work == term:
            watch.work = 0

    # ---- progress

    def held(self, office: Office) -> None:
        """After all was healed: somebody holds the office, and says so."""
        believers = [seat for seat in self._watches[office].believers if seat.believes()]
        holder = office.holder
        if holder is None or len(believers) != 1 or believers[0].machine.term != holder.mod_revision:
            raise Violation(
                PROGRESS,
                f"{office.name} is {'vacant' if holder is None else holder.value.decode()}"
                f", believed in by {[seat.unit for seat in believers]}, a lease and a round after all was healed",
            )
