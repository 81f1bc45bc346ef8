"""An office, as programs hold it: who holds it, holding it for the length of a block, handing it over."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.api.blocks import Blocks
from tenure.api.candidacies import Standing, sure_answer
from tenure.clock import NS_PER_S
from tenure.errors import NotLeader
from tenure.model.application import OfficeState
from tenure.model.offices import office_keys, office_state, office_view
from tenure.model.snapshot import MirrorSnapshot
from tenure.office.timing import Timing

if TYPE_CHECKING:
    from tenure.api.connection import Connection
    from tenure.api.workings import Workings


@dataclass(frozen=True, slots=True)
class Holding:
    """Who holds an office, as the store's keys show it: for people and for finding the leader, not for acting as one.

    Fields: `unit`, `machine`, `term`, and `since`, a time for people.
    """

    unit: str
    machine: str
    term: int
    since: str
    """Wall-clock time, ISO 8601 in UTC; for people."""


@dataclass(frozen=True, slots=True)
class PastTerm:
    """A term that is over. Fields: `number`, `unit`, `machine`, `began`, `ended`, `how`; times are text for people."""

    number: int
    unit: str
    machine: str
    began: str
    ended: str
    how: str
    """released, transferred, expired, …"""


class Term:
    """One uninterrupted holding of an office, as the body of `hold` sees it. All of it can be asked from any thread."""

    def __init__(self, workings: Workings, standing: Standing, number: int) -> None:
        self._workings, self._candidate = workings, standing.candidate
        self._over = False
        self.number = number
        """The term's number: the fencing token. It grows with each term of the office and never repeats."""

    def __repr__(self) -> str:
        return f"<term {self.number} of {self.office}, {self.left_s:.1f} s surely left>"

    @property
    def office(self) -> str:
        """The office's name; of an application's: `web/leader`."""
        return self._candidate.keys.name

    @property
    def unit(self) -> str:
        """Who holds it here: a unit's name, or a candidate's, `<machine>/<id>`."""
        return self._candidate.unit

    @property
    def left_s(self) -> float:
        """How many seconds the lease surely gives from now; 0 when the term is over.

        Promises: nobody else holds the office for so long, unless this term is ended on purpose, which waits for the
        block. It is computed from this host's clocks alone, so it is right also while the event loop hangs.
        """
        now = self._workings.now()
        machine = self._candidate.machine
        if self._over or machine.term != self.number or not machine.believes(now):
            self._over = True
            return 0.0
        return max(0, self._candidate.session.sure_until.left_ns(now)) / NS_PER_S

    @property
    def over(self) -> bool:
        """Whether it isn't sure any more that the office is held. Once true it stays true."""
        return self.left_s <= 0

    def check(self) -> None:
        """Raise NotLeader when the term is over; nothing happens while it lasts."""
        if self.over:
            raise NotLeader(
                f"term {self.number} of {self.office} is over", hint="what is done now must not be done for it"
            )


class BaseOffice(ABC):
    """What an office of its own and an application's "leader" have in common."""

    def __init__(self, connection: Connection, name: str, ttl_s: int) -> None:
        self._connection, self._workings = connection, connection.workings
        self.name = name
        self._blocks = Blocks(connection.workings, name, ttl_s, self._begin)

    @property
    def connection(self) -> Connection:
        """The connection that it belongs to."""
        return self._connection

    @property
    def holder(self) -> Holding | None:
        """Who holds it, as the newest snapshot shows; None: vacant.

        Promises: nothing about the next instant. To act as the holder, be it: `hold`, or `is_leader`.
        """
        return holding(self._state(self._workings.snapshot))

    @property
    def history(self) -> list[PastTerm]:
        """The terms that are over, oldest first; the last hundred."""
        return [
            PastTerm(record.number, record.unit, record.machine, record.began, record.ended, record.how)
            for record in self._state(self._workings.snapshot).history
        ]

    async def changes(self) -> AsyncGenerator[Holding | None, None]:
        """Who holds it now, then again whenever that changes; None: vacant. Ends when the connection is closed.

        Promises: the newest where several changes came while nobody looked. Cancelling: at any time. Raises: nothing.
        """
        shown: list[Holding | None] = []
        async with aclosing(self._workings.mirror.after(-1)) as snapshots:
            async for snapshot in snapshots:
                now = holding(self._state(snapshot))
                if shown != [now]:
                    shown = [now]
                    yield now

    async def is_leader(self, for_s: float | None = None) -> bool:
        """Whether this program surely holds the office for `for_s` seconds more (None: the guarantee, half the lease).

        False, too, while it isn't a candidate: who is in no `hold` is none, but for a unit that has joined as one.
        Promises: a True is a debt. For so long, from the return, nobody else holds the office: no release and no
        transfer comes before; only `--now`, or a hand in the store, breaks it. A False promises nothing.
        Times: seconds of this host's clocks; answers within two requests' time-outs, 2 s at most. `for_s=0`: now, and
        nothing is owed. Cancelling: something may be owed that nobody has heard.
        Raises: BadInput for more than a lease can give. Unsure when it can't be known: act as for False.
        """
        standing = self._standing
        while standing is not None:
            answer = await sure_answer(standing, for_s)
            if answer.verdict != "yes":
                break
            if answer.print_until is not None and not answer.print_until.reached(self._workings.now()):
                return True
        return False

    async def transfer(self, to: str) -> bool:
        """Hand the office to `to`, the name of one who waits for it, without a gap. True: `to` holds it now.

        Promises: not before all that `is_leader` has promised has run out; then the body of `hold` is cancelled (its
        NotLeader comes when it has ended), and no moment passes in which nobody holds the office.
        Times: as long as something is owed, and the body takes to end. Cancelling: it may happen all the same.
        Raises: NotLeader when this program doesn't hold it. StoreUnreachable when the connection is closed meanwhile.
        """
        standing = self._standing
        if standing is None or standing.candidate.term is None:
            raise NotLeader(f"this program does not hold {self.name}")
        return await standing.candidate.transfer(to)

    @property
    def _standing(self) -> Standing | None:
        """The candidacy; None: this program isn't a candidate."""
        return self._blocks.standing

    @abstractmethod
    async def _begin(self) -> Standing: ...

    @abstractmethod
    def _state(self, snapshot: MirrorSnapshot) -> OfficeState: ...


class Office(BaseOffice):
    """An office without an application: what a lock is used for, with a term. One object for each name and connection."""

    def __init__(self, connection: Connection, name: str, timing: Timing, priority: int) -> None:
        super().__init__(connection, name, timing.ttl_s)
        self._timing, self._priority = timing, priority

    @asynccontextmanager
    async def hold(self, timeout_s: float | None = None) -> AsyncIterator[Term]:
        """Hold the office for the length of the block; wait for it first: `async with office.hold() as term`.

        Promises: nobody else holds it while the block runs. The block is cancelled as soon as the term is not sure for
        the guarantee (half the lease) any more: it has so long to end. What is read in it is no older than the term.
        Two blocks of one connection share the term.
        Times: waits for `timeout_s` seconds, without end if None. Leaving gives the office up, once all that is owed has
        run out, and returns when it is free for others; of a silent store it waits no longer than the lease lasts.
        Cancelling: leaves at once; what is held is given up behind it.
        Raises: NotLeader when the term has ended before the block, which was cancelled. TimedOut: it is held by others.
        """
        async with self._blocks.hold(timeout_s) as (standing, number):
            yield Term(self._workings, standing, number)

    async def _begin(self) -> Standing:
        workings, me = self._workings, self._workings.new_candidate()
        session = await workings.desk.session(f"offices of {self._timing.ttl_s} s", self._timing)
        keys = office_keys(workings.layout, self.name, me)
        return workings.begin(
            session,
            keys,
            me,
            lambda snapshot: office_view(snapshot, workings.layout, self.name),
            self._priority,
            folder=workings.layout.free_office(self.name),
        )

    def _state(self, snapshot: MirrorSnapshot) -> OfficeState:
        return office_state(snapshot, self._workings.layout, self.name)


def holding(state: OfficeState) -> Holding | None:
    """Who holds the office."""
    holder, term = state.holder, state.term
    return None if holder is None or term is None else Holding(holder.unit, holder.machine, term, holder.began)
