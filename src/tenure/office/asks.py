"""Questions of is-leader that wait for a renewal, and how each is answered."""

from __future__ import annotations

from tenure.clock import NS_PER_S, Instant
from tenure.office.debts import Debts
from tenure.office.decisions import Answer, Answered, Decision, RenewFirst
from tenure.office.session import Session
from tenure.office.timing import PRINT_WITHIN_NS


class _Ask:
    __slots__ = ("deadline", "debtor", "number", "renewing", "since", "span_ns", "term")

    def __init__(
        self, number: int, span_ns: int, debtor: str | None, term: int | None, since: Instant, deadline: Instant
    ) -> None:
        self.number, self.span_ns, self.debtor, self.term = number, span_ns, debtor, term
        self.since, self.deadline, self.renewing = since, deadline, False


class Asks:
    """The questions of one candidacy.

    Promises: a yes is given only where the lease surely outlasts the printing and the span, and is a debt from the
    last instant at which it may be printed. What can't be vouched for is renewed first; then it is "unknown".
    """

    __slots__ = ("_pending", "_print_ns", "_session", "_within_ns")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._print_ns = session.timing.print_within_ns
        self._within_ns = session.timing.ask_within_ns
        self._pending: list[_Ask] = []

    def __bool__(self) -> bool:
        return bool(self._pending)

    def add(self, now: Instant, number: int, span_ns: int, debtor: str | None, term: int | None) -> None:
        """One more question, to be answered within `ask_within_ns`."""
        self._pending.append(_Ask(number, span_ns, debtor, term, now, now.after(self._within_ns)))

    def left_ns(self, now: Instant) -> int:
        """When the first of them must be answered."""
        return min(ask.deadline.left_ns(now) for ask in self._pending)

    def answer(
        self, now: Instant, term: int | None, sure_ns: int, debts: Debts, *, may_learn: bool, out: list[Decision]
    ) -> None:
        """Answer all that can be answered. `term`: the one believed in, sure for `sure_ns`; `may_learn`: a term of a
        forerunner's may turn out to be held yet.
        """
        waiting: list[_Ask] = []
        for ask in self._pending:
            answer = self._reply(now, ask, term, sure_ns, debts, may_learn, out)
            if answer is None:
                waiting.append(ask)
            else:
                out.append(Answered(ask.number, answer))
        self._pending = waiting

    def _reply(
        self,
        now: Instant,
        ask: _Ask,
        term: int | None,
        sure_ns: int,
        debts: Debts,
        may_learn: bool,
        out: list[Decision],
    ) -> Answer | None:
        late = ask.deadline.reached(now)
        if term is None:
            if not may_learn:
                return Answer("no")
            return Answer("unknown") if late else None
        surely_left_s = max(0.0, sure_ns / NS_PER_S)
        if ask.term is not None and ask.term != term:
            return Answer("no", surely_left_s=surely_left_s)
        spare_ns = sure_ns - ask.span_ns
        renewed = self._session.sure_sent_at.boot_ns >= ask.since.boot_ns
        if spare_ns >= self._print_ns or (spare_ns > 0 and (renewed or late)):
            return self._yes(now, ask, term, spare_ns, surely_left_s, debts)
        if renewed or late:
            return Answer("unknown", surely_left_s=surely_left_s)
        if not ask.renewing and not self._session.in_flight:
            ask.renewing = True
            out.append(RenewFirst())
        return None

    def _yes(self, now: Instant, ask: _Ask, term: int, spare_ns: int, surely_left_s: float, debts: Debts) -> Answer:
        print_ns = min(PRINT_WITHIN_NS, spare_ns)
        owed_ns = 0
        if ask.span_ns:
            owed_ns = print_ns + ask.span_ns
            debts.owe(ask.debtor, now.waited_after(owed_ns, self._session.timing.drift))
        return Answer("yes", term, now.after(print_ns), surely_left_s, owed_ns / NS_PER_S)
