"""Rules of the protocol, each switched off: what the simulation must find, to show that it can.

`python -m tenure.simulation --bug NAME` runs with one of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from tenure.clock import Instant
from tenure.office.candidacy import Candidacy
from tenure.office.debts import Debts
from tenure.office.decisions import Decision, Elected, Purpose
from tenure.office.keys import OfficeView
from tenure.office.session import Kind, Session
from tenure.office.writes import Transaction
from tenure.simulation.clocks import HostClock
from tenure.simulation.machines import PRODUCTION, Machines
from tenure.simulation.scenario import StoreKind


@dataclass(frozen=True, slots=True)
class Bug:
    """One planted bug. `rule`: what it breaks, in a sentence of the design's."""

    name: str
    rule: str
    machines: Machines
    store: StoreKind = "embedded"
    """The kind of store on which it shows."""


# ---- sessions


class _FromTheAnswer(Session):
    __slots__ = ()

    def _settle(self, now: Instant, call: int, kind: Kind) -> Instant | None:
        return None if super()._settle(now, call, kind) is None else now


class _UnderWayIsDone(Session):
    __slots__ = ()

    def _ask(self, now: Instant, kind: Kind, answered_s: int = 0) -> None:
        super()._ask(now, kind, answered_s)
        if kind == "renew" and self.lease:
            self.sure_until = self.sure_until.later(self.timing.sure_until(now, self.timing.ttl_s))


class _BelievesTheSaved(Session):
    __slots__ = ()

    def start(self, now: Instant, saved: int = 0, *, starts_unfinished: int = 0) -> Sequence[Decision]:
        out = super().start(now, saved, starts_unfinished=starts_unfinished)
        if saved:
            self.state, self.lease = "alive", saved
            self.sure_until = self.timing.sure_until(now, self.timing.ttl_s)
        return out


class _Unconfirmed(Session):
    __slots__ = ()

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._confirm = False


class _AnyWitness(Session):
    __slots__ = ()

    def confirmed(
        self, now: Instant, call: int, lease: int | None, ttl_s: int, witness: Hashable = None
    ) -> Sequence[Decision]:
        return super().confirmed(now, call, lease, ttl_s, self._before)

    def renewed(self, now: Instant, call: int, ttl_s: int, witness: Hashable = None) -> Sequence[Decision]:
        return super().renewed(now, call, ttl_s, "whoever")


class _AskedOfAnother(Session):
    __slots__ = ()

    def renewed(self, now: Instant, call: int, ttl_s: int, witness: Hashable = None) -> Sequence[Decision]:
        return super().renewed(now, call, ttl_s)


# ---- candidacies


class _DeposedIsNotFinal(Candidacy):
    __slots__ = ()

    def _depose_when_due(self, now: Instant) -> None:
        if self.lease == self.session.lease and self._sure_ns(now) < self._guarantee_ns:
            self._disbelieve("renewal overdue")
            self.state = "waiting out"
        else:
            super()._depose_when_due(now)


class _ForgetsADebt(Candidacy):
    __slots__ = ()

    def _give_up_when_free(self, now: Instant) -> None:
        self.debts.forget()
        super()._give_up_when_free(now)


class _LastDebtOnly(Debts):
    __slots__ = ()

    def owe(self, debtor: str | None, until: Instant) -> None:
        self._owed[debtor] = until


class _SlewedDebts(Debts):
    __slots__ = ()

    def left_ns(self, now: Instant) -> int:
        return max((owed.boot_ns for owed in self._owed.values()), default=now.boot_ns) - now.boot_ns


class _OwesFromTheAnswer(Debts):
    __slots__ = ()

    def owe(self, debtor: str | None, until: Instant) -> None:
        super().owe(debtor, until.after(-1_000_000_000))


def _with_debts(kind: type[Debts]) -> Any:
    class WithDebts(Candidacy):
        __slots__ = ()

        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self.debts = kind()

    return WithDebts


class _ForgetsTheForerunner(Candidacy):
    __slots__ = ()

    def _take_up(self, now: Instant) -> None:
        resumed, self.session.resumed = self.session.resumed, False
        super()._take_up(now)
        self.session.resumed = resumed


class _ForgetsWhatTheVerdictOwes(Candidacy):
    __slots__ = ()

    def _resume_ending(self, now: Instant) -> None:
        assert self.picture.holder is not None
        number = self.picture.holder.mod_revision
        if number in self._endings:
            ending = self._endings[number]
            self._endings[number] = msgspec.structs.replace(ending, owed_until=(now.boot_ns, now.raw_ns))
        super()._resume_ending(now)


class _AnyLease(Candidacy):
    __slots__ = ()

    def _elect_when_due(self, now: Instant) -> None:
        if self.session.lease is not None:
            self.lease = self.session.lease
            super()._elect_when_due(now)

    def _depose_when_due(self, now: Instant) -> None:
        if self.session.lease is None:
            self.state = "waiting out"
        else:
            self.lease = self.session.lease
            super()._depose_when_due(now)


class _LooksBack(Candidacy):
    __slots__ = ()

    def saw(self, now: Instant, view: OfficeView) -> Sequence[Decision]:
        self.picture.revision = min(self.picture.revision, view.revision)
        return super().saw(now, view)


class _Blindly(Candidacy):
    __slots__ = ()
    _purpose_without: Purpose = "transfer"
    _kept = slice(0, 0)

    def _commit(self, purpose: Purpose, transaction: Transaction) -> None:
        when, then = transaction
        super()._commit(purpose, (when[self._kept], then) if purpose == self._purpose_without else transaction)


class _TransfersBlindly(_Blindly):
    __slots__ = ()
    _kept = slice(0, 3, 2)


class _ReleasesBlindly(_Blindly):
    __slots__ = ()
    _purpose_without: Purpose = "release"


class _SuccessorTrustsTheHolder(Candidacy):
    __slots__ = ()

    def _take_up(self, now: Instant) -> None:
        session = self.session
        if session.lease:
            session.sure_until = session.sure_until.later(session.timing.sure_until(now, session.timing.ttl_s))
        super()._take_up(now)


class _TakesBack(Candidacy):
    __slots__ = ()

    def _read(self, now: Instant) -> None:
        super()._read(now)
        if self.state == "giving up" and self.lease == self.session.lease:
            self._endings.pop(self.number, None)
            self.state, self.term = "holding", self.number
            self._out.append(Elected(self.number))


class _BelievesWhileGivingUp(Candidacy):
    __slots__ = ()

    def _disbelieve(self, because: Any) -> None:
        """Later, once the key is gone."""
        if because in ("lease lost", "key gone"):
            super()._disbelieve(because)

    def _over(self, now: Instant, how: str) -> None:
        super()._disbelieve("released")
        super()._over(now, how)


class _GivesUpOverWork(Candidacy):
    __slots__ = ()

    def _give_up_when_free(self, now: Instant) -> None:
        self.work_term = 0
        super()._give_up_when_free(now)


class _ClaimsOverWork(Candidacy):
    __slots__ = ()

    def _host_is_clean(self) -> bool:
        return True

    def _rest_when_clean(self, now: Instant) -> None:
        self.state = "watching"
        self._look(now)


class _NeverClaims(Candidacy):
    __slots__ = ()

    def _queue(self, now: Instant) -> None:
        """Somebody else will."""


class _AnswersForLess(Candidacy):
    __slots__ = ()

    def _advance(self, now: Instant) -> None:
        for ask in self._asks._pending:
            ask.span_ns = min(ask.span_ns, self._guarantee_ns // 2)
        super()._advance(now)


# ---- clocks


class _SlewedAlone(HostClock):
    __slots__ = ()

    def now(self, real_ns: int) -> Instant:
        boot, _, _ = self.readings(real_ns)
        return Instant(boot, boot)


class _StandsStillAsleep(HostClock):
    __slots__ = ()

    def now(self, real_ns: int) -> Instant:
        _, _, raw = self.readings(real_ns)
        return Instant(raw, raw)


def _bug(name: str, rule: str, *, store: StoreKind = "embedded", **changes: Any) -> Bug:
    return Bug(name, rule, replace(PRODUCTION, **changes), store)


BUGS = {
    bug.name: bug
    for bug in (
        _bug("deadline-from-answer", "`sent_at` is read before the request leaves", session=_FromTheAnswer),
        _bug("unfenced-write", "a leader's write compares the term", fenced=False),
        _bug("uncompared-write", "a leader's write compares the key's own mod revision", compared=False),
        _bug("renewal-under-way-counts", "a renewal under way counts for nothing", session=_UnderWayIsDone),
        _bug("deposed-not-final", "deposed is final for that term", candidacy=_DeposedIsNotFinal),
        _bug("debt-forgotten", "a hand-over waits until each debt has run out", candidacy=_ForgetsADebt),
        _bug("restart-revokes", "a restarted agent never revokes its old lease", revokes_at_start=True),
        _bug(
            "forerunner-forgotten",
            "a restarted agent takes itself to owe its guarantee until start + ttl",
            candidacy=_ForgetsTheForerunner,
        ),
        _bug(
            "write-in-next-term",
            "what a hook wrote as leader is refused also when the same unit has won the next term",
            bound_writes=False,
        ),
        _bug("any-lease", "a term lives on the lease that its key was put with", candidacy=_AnyLease),
        _bug(
            "verdict-debt-forgotten",
            "a term that is on disk as ending keeps what it owes",
            candidacy=_ForgetsWhatTheVerdictOwes,
        ),
        _bug("last-debt-only", "each debt is waited for, not the latest", candidacy=_with_debts(_LastDebtOnly)),
        _bug("debt-on-slewed-clock", "a debt is waited for on the unslewed clock", candidacy=_with_debts(_SlewedDebts)),
        _bug(
            "owed-from-answer",
            "a True is owed from the last instant at which it may print",
            candidacy=_with_debts(_OwesFromTheAnswer),
        ),
        _bug("orphan-not-counted", "an orphan counts for the hook that has left it", counts_orphans=False),
        _bug("print-unchecked", "is-leader is checked by the tool itself as it prints", checked_print=False),
        _bug("hook-unbound", "a hook is bound to the term of its first True", bound_asks=False),
        _bug("answers-for-less", "holds(now, span) is asked for the span that is promised", candidacy=_AnswersForLess),
        _bug("late-answer-counts", "what comes from a closed stream is void", closes_streams=False),
        _bug("saved-lease-believed", "a restarted agent believes nothing before the answer", session=_BelievesTheSaved),
        _bug("slewed-clock-alone", "elapsed time is the larger of the two lines", clock=_SlewedAlone),
        _bug("stands-still-asleep", "elapsed time counts what the host slept", clock=_StandsStillAsleep),
        _bug("no-drift", "sure_until is less by the drift", drift=0.0),
        _bug("looks-back", "a mirror older than one's own commit is not looked at", candidacy=_LooksBack),
        _bug(
            "older-folder-taken-up",
            "a verdict stands, also when an older copy of the state folder is put back",
            vouches_for_folder=False,
        ),
        _bug("verdict-not-on-disk", "the verdict is on disk before what follows from it", durable_endings=False),
        _bug("transfer-uncompared", "a transfer compares the successor's present key", candidacy=_TransfersBlindly),
        _bug("release-uncompared", "a release compares the term", candidacy=_ReleasesBlindly),
        _bug(
            "successor-trusts",
            "a successor believes no longer than its own session's sure_until",
            candidacy=_SuccessorTrustsTheHolder,
        ),
        _bug("unsure-release-taken-back", "refused or unsure, it never takes the term back", candidacy=_TakesBack),
        _bug(
            "believes-while-giving-up",
            "from the moment it sends that, it believes nothing",
            candidacy=_BelievesWhileGivingUp,
        ),
        _bug("leaves-too-soon", "a lease is revoked last, with nothing held", waits_to_leave=False),
        _bug("work-not-waited-for", "an end on purpose waits for what runs on the term", scope_outlasts=False),
        _bug(
            "gives-up-over-work",
            "a guarded term ends once its guard has seen everything gone",
            candidacy=_GivesUpOverWork,
        ),
        _bug(
            "deposes-too-late",
            "leader-deposed starts at least `guarantee - renew_every` before anyone else can hold the office",
            deposes_at=0.5,
        ),
        _bug(
            "claims-over-work",
            "while anything of a former term is left on a host, no unit of it is a candidate",
            candidacy=_ClaimsOverWork,
        ),
        _bug(
            "never-claims",
            "once all is healed, an office with a live candidate is held within a lease and a round",
            candidacy=_NeverClaims,
        ),
        _bug(
            "renewal-unconfirmed",
            "where the store asks for it, a renewal counts once a read sent after it has confirmed it",
            store="etcd",
            session=_Unconfirmed,
        ),
        _bug(
            "confirmed-by-anyone",
            "a renewal counts by the witness (cluster, member, raft term) of the read before it alone",
            store="etcd",
            session=_AnyWitness,
        ),
        _bug(
            "confirmed-by-another-member",
            "the read before a renewal was answered by the member that has renewed",
            store="etcd",
            session=_AskedOfAnother,
        ),
        _bug(
            "unclean-not-waited-out",
            "where leases may end early, whoever takes the office up waits an unclean term out",
            store="early etcd",
            waits_out=False,
        ),
    )
}
