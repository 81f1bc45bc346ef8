"""What a candidacy knows: the newest picture of its office's keys, the call that is under way, the verdicts on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from tenure.clock import Instant
from tenure.errors import invariant
from tenure.office.asks import Asks
from tenure.office.debts import Debts
from tenure.office.decisions import (
    Because,
    Commit,
    Decision,
    Keep,
    Moved,
    Purpose,
)
from tenure.office.keys import OfficeKeys
from tenure.office.records import Ending, Holder, Present
from tenure.office.restored import went_back
from tenure.office.session import LONG_AGO, NOTHING, Session
from tenure.office.tables import Sight, State
from tenure.office.writes import Picture, Transaction, read
from tenure.store.api import Item, Put, Write


class Conduct:
    """The state of a candidacy, and the few ways in which it is changed by whatever is learnt of the store."""

    _seen: ClassVar[dict[State, dict[Sight, Callable[[Any, Instant], None]]]]

    __slots__ = (
        "_answered",
        "_armed_until",
        "_asked_revision",
        "_asked_to",
        "_asks",
        "_behind",
        "_call",
        "_calls",
        "_claim_at",
        "_endings",
        "_first_revision",
        "_gone_at",
        "_guarantee_ns",
        "_guard_until",
        "_how",
        "_known_here",
        "_known_term",
        "_landed",
        "_left_read",
        "_out",
        "_present_gone",
        "_purpose",
        "_retry_at",
        "_strike",
        "_then",
        "_to",
        "_transfer_at_once",
        "_transfer_by",
        "_transfer_to",
        "_wait_until",
        "_wall",
        "_wants_read",
        "because",
        "candidate",
        "debts",
        "guarded",
        "held_since",
        "keys",
        "lease",
        "machine",
        "may_end_early",
        "number",
        "picture",
        "priority",
        "promises",
        "session",
        "state",
        "term",
        "unit",
        "unit_created",
        "work_term",
    )

    def __init__(
        self,
        session: Session,
        keys: OfficeKeys,
        unit: str,
        machine: str,
        *,
        priority: int = 0,
        may_end_early: bool = False,
        guarded: bool = False,
        promises: bool = True,
        endings: Iterable[Ending] = (),
        known_term: int = 0,
        known_here: int = 0,
        wall: Callable[[], str] = lambda: "",
    ) -> None:
        """`endings`: the verdicts of this boot that the state folder has. `known_term`: the greatest number of a term that
        former processes knew of, `known_here`: of this office's. `wall`: the time of day as text, for people.

        `promises`: whether a forerunner of this process may have answered a question with True.
        """
        self.session, self.keys, self.unit, self.machine = session, keys, unit, machine
        self.priority, self.guarded, self.promises = priority, guarded, promises
        self.state: State = "watching"
        self.term: int | None = None
        self.number = 0
        self.lease = 0
        self.held_since: Instant | None = None
        self.because: Because | None = None
        self.candidate = False
        self.debts = Debts()
        self.picture = Picture(keys)
        self.work_term = 0
        self._wall = wall
        self._known_term, self._known_here = known_term, known_here
        self.may_end_early = may_end_early
        self._guarantee_ns = session.timing.guarantee_ns
        self._endings: dict[int, Ending] = {ending.term: ending for ending in endings}
        self._gone_at: dict[int, int] = {}
        self._first_revision = 0
        self.unit_created = 0
        self._behind = 0
        self._answered = 0
        self._calls = 0
        self._call = 0
        self._purpose: Purpose | Literal["read"] = "read"
        self._wants_read = False
        self._retry_at = LONG_AGO
        self._claim_at = LONG_AGO
        self._wait_until = LONG_AGO
        self._guard_until = LONG_AGO
        self._armed_until = LONG_AGO
        self._strike = False
        self._how = ""
        self._to = ""
        self._transfer_to = ""
        self._transfer_at_once = False
        self._transfer_by = LONG_AGO
        self._asked_revision = 0
        self._asked_to = ""
        self._present_gone = False
        self._left_read = False
        self._asks = Asks(session)
        self._then: tuple[Write, ...] = ()
        self._landed = 0
        self._out: list[Decision] = []

    # ---- what is known

    def believes(self, now: Instant) -> bool:
        """Whether the office is held, surely, at this instant."""
        return self.term is not None and self.lease == self.session.lease and self._sure_ns(now) > 0

    @property
    def left(self) -> bool:
        """Nothing is held, nothing is under way, and a read no older than the present key's end has found no key of this unit's.

        Not while a forerunner's lease is being taken up again: a key that lives on it isn't told from a foreign one yet.
        """
        idle = self._left_read and self.state == "watching" and not self._call and not self._wants_read
        return idle and not self.session.resuming and self._sight() != "mine"

    @property
    def store_went_back(self) -> int:
        """The number of a term that this host knows of and the store doesn't: it was put back to an older state. 0: it was not."""
        return went_back(self.picture.revision, (self._known_term,)) if self.picture.revision else 0

    def owed_ns(self, now: Instant) -> int:
        """For how much longer the term can't end."""
        return max(0, self.debts.left_ns(now))

    # ---- what is seen

    def _sure_ns(self, now: Instant) -> int:
        sure = self.session.sure_ns(now)
        return min(sure, self._guard_until.left_ns(now)) if self.guarded else sure

    def _sight(self) -> Sight:
        holder = self.picture.holder
        if holder is None:
            return "vacant"
        number = holder.mod_revision
        if self.number:
            return "mine" if number == self.number else "foreign"
        if number in self._endings:
            return "ended"
        if holder.lease and holder.lease == self.session.lease:
            said = read(Holder, holder)
            if said is not None and said.unit == self.unit:
                return "mine"
        return "foreign"

    def _look(self, now: Instant) -> None:
        """What follows from the newest picture."""
        if self.picture.revision:
            self._seen[self.state][self._sight()](self, now)

    # ---- transactions and their answers

    def _commit(self, purpose: Purpose, transaction: Transaction) -> None:
        invariant(not self._call, "one write to a key is under way at a time")
        self._calls += 1
        self._call, self._purpose = self._calls, purpose
        self._retry_at = LONG_AGO
        when, self._then = transaction
        self._out.append(Commit(self._call, purpose, when, self._then))

    def _settle(self, call: int) -> Purpose | Literal["read"] | None:
        if not call or call != self._call:
            return None
        self._call = 0
        return self._purpose

    # ---- what runs for a term

    def _work_ends(self) -> None:
        self.work_term = 0
        self.session.leftovers.discard((self.keys.name, self.unit))
        # Another unit of this host may have waited for it.
        self._out.append(Moved())

    def _host_is_clean(self) -> bool:
        return not any(office == self.keys.name for office, _ in self.session.leftovers)

    # ---- the newest picture

    def _paint(self, revision: int, holder: Item | None, last: Item | None, unit_info: Item | None) -> None:
        picture = self.picture
        if revision >= picture.revision:
            if not self._first_revision:
                self._first_revision = revision
            picture.revision, picture.holder, picture.last, picture.unit_info = revision, holder, last, unit_info

    def _paint_refused(self, revision: int, current: Mapping[str, Item | None]) -> None:
        picture, keys = self.picture, self.keys
        if revision >= picture.revision:
            picture.revision = revision
            picture.holder = current.get(keys.holder, picture.holder)
            picture.last = current.get(keys.last, picture.last)
            picture.unit_info = current.get(keys.unit_info, picture.unit_info)
            picture.paused = current.get(keys.paused, picture.paused)

    def _paint_own(self, revision: int) -> None:
        self._landed = revision
        picture, keys = self.picture, self.keys
        if revision <= picture.revision:
            return
        picture.revision = revision
        for write in self._then:
            if isinstance(write, Put):
                item = Item(write.key, write.value, revision, revision, 1, write.lease)
                if write.key == keys.holder:
                    picture.holder = item
                elif write.key == keys.last:
                    picture.last = item
            elif write.key == keys.holder:  # type: ignore[union-attr]
                picture.holder = None

    def _keep(self) -> None:
        ttl_s = self.session.timing.ttl_s
        self._out.append(
            Keep(Present(machine=self.machine, ttl_s=ttl_s, priority=self.priority, answers=self._answered))
        )

    def _flush(self) -> Sequence[Decision]:
        if not self._out:
            return NOTHING
        out, self._out = self._out, []
        return out
