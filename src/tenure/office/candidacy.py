"""A candidacy: one unit's part in one office, from the line of succession to the term's end. No input or output, no clock.

Events come in as calls, each with the instant at which it is met; decisions come out, to be performed in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from tenure.clock import Instant
from tenure.office.decisions import (
    Because,
    Decision,
    Purpose,
    ReadOffice,
    TransferFailed,
)
from tenure.office.keys import OfficeView
from tenure.office.tables import ANSWERED, PASSED, SEEN, Outcome, State
from tenure.office.term import Term
from tenure.office.timing import TRANSFER_ANSWER_NS
from tenure.store.api import Item

Move = Callable[[Any, Instant], None]


class Candidacy(Term):
    """One unit, one office, one session's lease.

    Promises: `believes` is true for one unit alone at any instant; a True that was answered stays true for its span,
    but for an end at once that somebody asked for, or a hand that changes keys in the store.
    """

    __slots__ = ()

    _moves_answered: ClassVar[dict[Purpose, dict[Outcome, Move]]]
    _moves_passed: ClassVar[dict[State, Move]]

    @classmethod
    def bind_moves(cls) -> None:
        """Fill the tables with this class's own moves, so that a variant's are met as well."""
        cls._seen = {state: {sight: getattr(cls, move) for sight, move in row.items()} for state, row in SEEN.items()}
        cls._moves_answered = {
            purpose: {outcome: getattr(cls, move) for outcome, move in row.items()} for purpose, row in ANSWERED.items()
        }
        cls._moves_passed = {state: getattr(cls, move) for state, move in PASSED.items()}

    def __init_subclass__(cls) -> None:
        cls.bind_moves()

    def wake_in_ns(self, now: Instant) -> int | None:
        """In how long `tick` has something to do; None: not before another event."""
        due: list[int] = []
        if self.state == "holding":
            due.append(self._sure_ns(now) - self._guarantee_ns + 1)
            if self._transfer_to:
                due.append(self._transfer_by.left_ns(now))
            if self._strike and not self._call:
                due.append(self._retry_at.left_ns(now))
        elif self.state == "in line":
            due.append(self._claim_at.left_ns(now))
        elif self.state == "waiting out":
            if not self._wait_until.surely_passed(now):
                due.append(self._wait_until.raw_ns - now.raw_ns)
        elif self.state == "ending":
            if self.work_term != self.number and not self._call and not self._wants_read:
                due.append(self.debts.left_ns(now))
        elif self.state == "giving up":
            if not self._call and not self._wants_read:
                due.append(self._retry_at.left_ns(now))
        elif self.state == "watching" and not self._retry_at.reached(now):
            due.append(self._retry_at.left_ns(now))
        if self._wants_read and not self._call:
            due.append(self._retry_at.left_ns(now))
        if self._asks:
            due.append(self._asks.left_ns(now))
        return max(0, min(due)) if due else None

    @property
    def handing_to(self) -> str:
        """The unit that is given the office once all that is owed has passed; empty: none."""
        return self._to if self.state == "ending" else ""

    # ---- events: what the world has done

    def saw(self, now: Instant, view: OfficeView) -> Sequence[Decision]:
        """The mirror shows a picture of the keys. One that is older than the newest that is known is not looked at."""
        picture = self.picture
        if view.revision >= picture.revision:
            if not self._first_revision:
                self._first_revision = view.revision
            picture.revision, picture.holder, picture.last = view.revision, view.holder, view.last
            picture.unit_info, picture.candidates, picture.paused = view.unit_info, view.candidates, view.paused
            if self._endings:
                self._forget_endings(view)
            if view.unit_info is not None and not self.unit_created:
                self.unit_created = view.unit_info.create_revision
            self._look(now)
            self._advance(now)
        return self._flush()

    def read(
        self, now: Instant, call: int, revision: int, holder: Item | None, last: Item | None, unit_info: Item | None
    ) -> Sequence[Decision]:
        """A linearizable read has found the keys so."""
        if self._settle(call) == "read":
            self._wants_read = False
            self._left_read = self._present_gone
            self._paint(revision, holder, last, unit_info)
            self._look(now)
            self._advance(now)
        return self._flush()

    def committed(self, now: Instant, call: int, revision: int) -> Sequence[Decision]:
        """The transaction has landed, at this revision."""
        return self._answer(now, call, "committed", revision, None)

    def refused(self, now: Instant, call: int, revision: int, current: Mapping[str, Item | None]) -> Sequence[Decision]:
        """A comparison did not hold: nothing has happened, and the compared keys stand like this."""
        return self._answer(now, call, "refused", revision, current)

    def unsure(self, now: Instant, call: int) -> Sequence[Decision]:
        """The answer was lost, or waited for in vain: it may have landed, or may land yet."""
        return self._answer(now, call, "unsure", 0, None)

    def unreachable(self, now: Instant, call: int) -> Sequence[Decision]:
        """The store did not take the transaction, or the read: nothing has happened, nor will it."""
        return self._answer(now, call, "unreachable", 0, None)

    def lease_gone(self, now: Instant, call: int) -> Sequence[Decision]:
        """A lease that the transaction puts with is gone: nothing has happened."""
        return self._answer(now, call, "lease gone", 0, None)

    def tick(self, now: Instant) -> Sequence[Decision]:
        """Time has passed, or the session has moved."""
        self._advance(now)
        return self._flush()

    def guard_acknowledged(self, now: Instant, term: int, until: Instant) -> Sequence[Decision]:
        """The guard of the term will have ended all work by `until`."""
        if term == self.number:
            self._guard_until = self._guard_until.later(until)
            self._advance(now)
        return self._flush()

    def guard_gone(self, now: Instant, term: int) -> Sequence[Decision]:
        """The guard of the term is dead, or refuses."""
        if term == self.number and self.state in ("waiting out", "holding"):
            self._advance(now)
            if self.state in ("waiting out", "holding"):
                self._end(now, "guard gone")
        return self._flush()

    def work_begun(self, now: Instant, term: int) -> Sequence[Decision]:
        """Something runs that the term must outlast: it isn't given up before `work_gone`. Void unless the term is believed in."""
        if term == self.term:
            self.work_term = term
        return self._flush()

    def work_found(self, now: Instant, term: int) -> Sequence[Decision]:
        """A restarted agent has found work of a forerunner's term, or its guard, before it asked the store for anything.

        Until `work_gone` no unit of this host is a candidate, unless that term lasts and is taken up again.
        """
        self.work_term = term
        self.session.leftovers.add((self.keys.name, self.unit))
        return self._flush()

    def work_gone(self, now: Instant, term: int) -> Sequence[Decision]:
        """leader-deposed has ended, and nothing of the term's workload is left on this host."""
        if term == self.work_term:
            self._work_ends()
            self._advance(now)
        return self._flush()

    # ---- events: what is asked

    def begin(self, now: Instant) -> Sequence[Decision]:
        """Be a candidate."""
        self.candidate = True
        self._present_gone = self._left_read = False
        self._keep()
        self._advance(now)
        return self._flush()

    def prefer(self, now: Instant, priority: int) -> Sequence[Decision]:
        """Stand in line by this priority from now on. Whoever holds the office keeps it."""
        if priority != self.priority:
            self.priority = priority
            if self.candidate:
                self._keep()
        return self._flush()

    def ask(
        self, now: Instant, ask: int, span_ns: int, *, debtor: str | None = None, term: int | None = None
    ) -> Sequence[Decision]:
        """Is this unit surely the holder for `span_ns` more? `Answered` comes out, now or after a renewal.

        A yes is a debt to `debtor`. In any other term than `term`, where one is given, the answer is no.
        """
        self._asks.add(now, ask, span_ns, debtor, term)
        self._advance(now)
        return self._flush()

    def settle(self, now: Instant, debtor: str) -> Sequence[Decision]:
        """The debtor is gone with all its processes, and its flush is settled."""
        self.debts.settle(debtor)
        self._advance(now)
        return self._flush()

    def release(self, now: Instant, *, at_once: bool = False, given_up: bool = False) -> Sequence[Decision]:
        """End the term once nothing is owed; `at_once`: whatever is owed. Nothing happens where there is none.

        `given_up`: because this unit is not fit for it, as the history will say.
        """
        self._advance(now)
        if self.state in ("waiting out", "holding"):
            because: Because = "given up" if given_up else "released at once" if at_once else "released"
            self._end(now, because, at_once=at_once)
        elif self.state == "ending" and at_once:
            self._break_debts(now)
        return self._flush()

    def transfer(self, now: Instant, to: str, *, at_once: bool = False) -> Sequence[Decision]:
        """Hand the office over to `to`, if it answers. `TransferFailed`, or `Over` once the term has ended, comes out.

        `at_once` breaks what is owed, also of a transfer to the same unit that is under way.
        """
        self._advance(now)
        if at_once and self.handing_to == to:
            self._break_debts(now)
        elif at_once and self._transfer_to == to:
            self._transfer_at_once = True
        elif self.state != "holding":
            self._out.append(TransferFailed(to, "not the holder"))
        elif to == self.unit:
            self._out.append(TransferFailed(to, "holds it already"))
        elif to not in self.picture.candidates:
            self._out.append(TransferFailed(to, "not present"))
        else:
            self._fail_transfer("no answer")
            self._transfer_to, self._transfer_at_once = to, at_once
            self._transfer_by = now.after(TRANSFER_ANSWER_NS)
            self._asked_revision = 0
            self._advance(now)
        return self._flush()

    def withdraw(self, now: Instant) -> Sequence[Decision]:
        """Be no candidate any more: a term is released, a claim that lands is given up."""
        self.candidate = False
        self._advance(now)
        if self.state == "in line":
            self.state = "watching"
        elif self.state in ("waiting out", "holding"):
            self._end(now, "withdrawn")
        return self._flush()

    def present_gone(self, now: Instant) -> Sequence[Decision]:
        """The present key is surely gone: no transfer to this unit can land any more. `left` turns true once a read has confirmed it."""
        self._present_gone = True
        self._left_read = False
        self._wants_read = True
        self._advance(now)
        return self._flush()

    # ---- how

    def _answer(
        self, now: Instant, call: int, outcome: Outcome, revision: int, current: Mapping[str, Item | None] | None
    ) -> Sequence[Decision]:
        purpose = self._settle(call)
        if purpose == "read":
            self._back_off(now)
        elif purpose is not None:
            if outcome == "committed":
                self._paint_own(revision)
            elif current is not None:
                self._paint_refused(revision, current)
            self._moves_answered[purpose][outcome](self, now)
            self._advance(now)
        return self._flush()

    def _advance(self, now: Instant) -> None:
        if self._wants_read and not self._call and self._retry_at.reached(now):
            self._calls += 1
            self._call, self._purpose = self._calls, "read"
            self._out.append(ReadOffice(self._call))
        self._moves_passed[self.state](self, now)
        if self._asks:
            session = self.session
            may_learn = session.resuming or (session.resumed and not self._first_revision)
            sure_ns = self._sure_ns(now)
            self._asks.answer(now, self.term, sure_ns, self.debts, may_learn=may_learn, out=self._out)


Candidacy.bind_moves()
