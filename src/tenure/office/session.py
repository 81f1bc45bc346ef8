"""A session: one lease, kept alive, and the instant until which it surely lives. No input or output, no clock.

Events come in as calls, each with the instant at which it is met; decisions come out, to be performed in order.
One call is under way at a time. A call that takes too long is given up, its stream closed, and its answer void.
A renewal counts from the instant before its request left, and only once it is answered.

Confirming, where the store asks for it (etcd: a stalled former leader of its own answers renewals that don't count,
etcd-io/etcd#15247): an answered renewal counts once a linearizable read, sent after the answer, has found the session's
own key with this lease, by the same witness (cluster, member, raft term) as the read before the renewal. A member whose
term stood still from before the renewal until a quorum has confirmed it as the newest was served by that term's leader all
the while. What the renewal's own answer says of its member is filled in before etcd renews, so it stands for the read
before: then a fail-over costs nothing. Without it the read before is the last confirmation; where that came from another
member, or from before a change of etcd's leader, this renewal counts for nothing and another is sent at once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Literal

from tenure.clock import Instant
from tenure.errors import invariant
from tenure.office.decisions import (
    CloseStream,
    Decision,
    LeaseBegun,
    LeaseOver,
    Moved,
    SaveLease,
    SendConfirm,
    SendGrant,
    SendRenew,
    SendRevoke,
)
from tenure.office.timing import Timing

State = Literal["idle", "resuming", "granting", "alive", "closed"]
Kind = Literal["grant", "renew", "confirm"]

NOTHING: Sequence[Decision] = ()
LONG_AGO = Instant(-(1 << 62), -(1 << 62))

AFTER: dict[State, dict[str, State]] = {
    "idle": {"start": "granting", "start saved": "resuming", "close": "closed"},
    "resuming": {"renewed": "alive", "lost": "granting", "close": "closed"},
    "granting": {"granted": "alive", "close": "closed"},
    "alive": {"renewed": "alive", "lost": "granting", "close": "closed"},
    "closed": {},
}
"""What each event makes of each state; an event that has no place here is void in that state."""


class Session:
    """One lease's life on this host.

    Promises: until `sure_until` the store has not ended `lease`, as long as both hosts' clocks differ by the timing's
    drift at most; `lease` is None unless an answer of this process's own has vouched for it.
    """

    __slots__ = (
        "_again_at",
        "_before",
        "_call",
        "_calls",
        "_confirm",
        "_dice",
        "_in_vain",
        "_kind",
        "_out",
        "_renew_every_ns",
        "_renew_sent_at",
        "_retry_ns",
        "_saved",
        "_sent_at",
        "_timeout_ns",
        "_witness",
        "crash_looping",
        "lease",
        "leftovers",
        "lost",
        "resumed",
        "started_at",
        "state",
        "sure_sent_at",
        "sure_until",
        "timing",
    )

    def __init__(
        self, timing: Timing, *, confirm_renewals: bool = False, dice: Callable[[], float] = lambda: 0.5
    ) -> None:
        """`dice`: draws between 0 and 1 for the waits before retries, so that many agents don't retry in step."""
        self.timing = timing
        self.state: State = "idle"
        self.lease: int | None = None
        self.sure_until = LONG_AGO
        self.sure_sent_at = LONG_AGO
        self.started_at = LONG_AGO
        self.resumed = False
        self.crash_looping = False
        self.lost = 0
        self.leftovers: set[tuple[str, str]] = set()
        """Office and unit of each candidacy of this host of whose former term something is still running."""
        self._confirm = confirm_renewals
        self._saved = 0
        self._calls = 0
        self._call = 0
        self._kind: Kind = "grant"
        self._sent_at = LONG_AGO
        self._renew_sent_at = LONG_AGO
        self._again_at = LONG_AGO
        self._witness: Hashable = None
        self._before: Hashable = None
        self._in_vain = 0
        self._dice = dice
        self._out: list[Decision] = []
        self._renew_every_ns = timing.renew_every_ns
        self._timeout_ns = timing.request_timeout_ns
        self._retry_ns = timing.retry_ns

    # ---- what is known

    @property
    def resuming(self) -> bool:
        """A lease was saved by this process's forerunner, and the store has not yet said whether it lives."""
        return self.state == "resuming"

    @property
    def in_flight(self) -> bool:
        """A call is under way."""
        return self._call != 0

    @property
    def calls(self) -> int:
        """How often the store has been asked for something: a session that goes on asks again and again."""
        return self._calls

    @property
    def renewing(self) -> int:
        """The lease that is renewed, vouched for or not; 0: none."""
        return self.lease or self._saved

    def sure_ns(self, now: Instant) -> int:
        """For how much longer the lease surely lives; 0 or less: not at all."""
        return self.sure_until.left_ns(now)

    def retry_in_ns(self) -> int:
        """How long to wait before what failed is tried again: drawn anew each time, so that many agents don't do so in step."""
        return int(self._retry_ns * (0.5 + self._dice()))

    def wake_in_ns(self, now: Instant) -> int | None:
        """In how long `tick` has something to do; None: not before another event."""
        if self.state in ("idle", "closed"):
            return None
        due = self._sent_at.after(self._timeout_ns) if self._call else self._again_at
        return max(0, due.left_ns(now))

    # ---- events

    def start(self, now: Instant, saved: int = 0, *, starts_unfinished: int = 0) -> Sequence[Decision]:
        """Begin, with the lease that a forerunner in this boot has saved (0: none).

        `starts_unfinished`: how many starts, this one included, came within a lease without a hook that finished.
        """
        self.started_at = now
        self.crash_looping = starts_unfinished >= 3
        self._saved = saved
        self.resumed = saved != 0
        self._move("start saved" if saved else "start")
        self._send(now)
        return self._flush()

    def granted(self, now: Instant, call: int, lease: int, ttl_s: int) -> Sequence[Decision]:
        """The store has made a lease."""
        sent_at = self._settle(now, call, "grant")
        if sent_at is None:
            return NOTHING
        invariant(lease > 0, "a lease has a number")
        self._out.append(SaveLease(lease))
        self._vouch(sent_at, lease, ttl_s, "granted")
        return self._flush()

    def renewed(self, now: Instant, call: int, ttl_s: int, witness: Hashable = None) -> Sequence[Decision]:
        """The store has renewed the lease, and gives it `ttl_s` more; 0 or less means that it is gone.

        `witness`: who has answered, as it stood before the renewal was done; None where the store doesn't say.
        """
        sent_at = self._settle(now, call, "renew")
        if sent_at is None:
            return NOTHING
        if ttl_s <= 0:
            self._lose(now)
        elif self._confirm:
            self._renew_sent_at = sent_at
            self._before = self._witness if witness is None else witness
            self._ask(now, "confirm", ttl_s)
        else:
            self._vouch(sent_at, self.renewing, ttl_s, "renewed")
        return self._flush()

    def confirmed(
        self, now: Instant, call: int, lease: int | None, ttl_s: int, witness: Hashable = None
    ) -> Sequence[Decision]:
        """What a read after the renewal found: the lease of the session's own key, and who answered.

        The renewal counts only where the key has this lease and the witness is the one from before. A key that isn't
        found with this lease is put again; a saved lease that it isn't found with is given up, and runs out: else it
        could never be vouched for.
        """
        if self._settle(now, call, "confirm") is None:
            return NOTHING
        self._witness = witness
        current = self.renewing
        if lease == current and witness is not None and witness == self._before:
            self._in_vain = 0
            self._vouch(self._renew_sent_at, current, ttl_s, "renewed")
        elif self.state == "resuming" and lease != current:
            self._lose(now)
        else:
            if lease != current:
                self._out.append(LeaseBegun(current))
            # Once at once: the store's leader or the member that answers has changed. Again and again: with a pause.
            at_once = lease == current and not self._in_vain
            self._in_vain += 1
            self._again_at = now if at_once else now.after(self.retry_in_ns())
            self._tick(now)
        return self._flush()

    def nothing_to_confirm(self, now: Instant, call: int) -> Sequence[Decision]:
        """The session has no key of its own yet, so nobody can be held by it: the lease lives on, and is sure of nothing more.

        Once there is a key, `renew_now`.
        """
        if self._settle(now, call, "confirm") is not None:
            self._live(self._renew_sent_at, self.renewing, "renewed")
        return self._flush()

    def refused(self, now: Instant, call: int) -> Sequence[Decision]:
        """The store says that the lease is gone."""
        if self._settle(now, call, "renew") is None:
            return NOTHING
        self._lose(now)
        return self._flush()

    def failed(self, now: Instant, call: int) -> Sequence[Decision]:
        """The call was not taken, or its answer was lost."""
        if not call or call != self._call:
            return NOTHING
        self._call = 0
        self._again_at = now.after(self.retry_in_ns())
        self._out.append(Moved())
        return self._flush()

    def lease_gone(self, now: Instant, lease: int) -> Sequence[Decision]:
        """Another call (a commit's put) found this lease gone."""
        if self.lease is None or lease != self.lease:
            return NOTHING
        if self._call:
            self._out.append(CloseStream(self._call))
            self._call = 0
        self._lose(now)
        return self._flush()

    def renew_now(self, now: Instant) -> Sequence[Decision]:
        """More is asked for than is sure: renew, unless a call is under way already."""
        if self.state == "alive" and not self._call:
            self._send(now)
        return self._flush()

    def tick(self, now: Instant) -> Sequence[Decision]:
        """Time has passed."""
        self._tick(now)
        return self._flush()

    def close(self, now: Instant) -> Sequence[Decision]:
        """End the lease: nothing is held any more, and no claim may land any more."""
        if self._call:
            self._out.append(CloseStream(self._call))
            self._call = 0
        lease, self.lease = self.lease, None
        self._move("close")
        if lease:
            self._out += (SendRevoke(lease), SaveLease(0))
        self.sure_until = LONG_AGO
        self._out.append(Moved())
        return self._flush()

    # ---- how

    def _move(self, event: str) -> None:
        after = AFTER[self.state].get(event)
        invariant(after is not None, f"a session that is {self.state} can't be met with {event!r}")
        assert after is not None
        self.state = after

    def _tick(self, now: Instant) -> None:
        if self.state in ("idle", "closed"):
            return
        if self._call:
            if not self._sent_at.after(self._timeout_ns).reached(now):
                return
            self._out.append(CloseStream(self._call))
            self._out.append(Moved())
            self._call = 0
            self._again_at = now
        if self._again_at.reached(now):
            self._send(now)

    def _send(self, now: Instant) -> None:
        self._ask(now, "grant" if self.state == "granting" else "renew")

    def _ask(self, now: Instant, kind: Kind, answered_s: int = 0) -> None:
        self._calls += 1
        self._call, self._kind, self._sent_at = self._calls, kind, now
        lease = self.renewing
        if kind == "grant":
            self._out.append(SendGrant(self._call, self.timing.ttl_s))
        elif kind == "renew":
            self._out.append(SendRenew(self._call, lease))
        else:
            self._out.append(SendConfirm(self._call, lease, answered_s))

    def _settle(self, now: Instant, call: int, kind: Kind) -> Instant | None:
        """When the call that is answered was sent; None for an answer that is void."""
        if not call or call != self._call or kind != self._kind:
            return None
        self._call = 0
        return self._sent_at

    def _vouch(self, sent_at: Instant, lease: int, ttl_s: int, event: str) -> None:
        self.sure_sent_at = sent_at
        self.sure_until = self.sure_until.later(self.timing.sure_until(sent_at, ttl_s))
        self._live(sent_at, lease, event)

    def _live(self, sent_at: Instant, lease: int, event: str) -> None:
        begun = self.lease is None
        self._move(event)
        self.lease = lease
        self._again_at = sent_at.after(self._renew_every_ns)
        if begun:
            self._out.append(LeaseBegun(lease))
        self._out.append(Moved())

    def _lose(self, now: Instant) -> None:
        lease, self.lease = self.renewing, None
        self._saved = 0
        self.resumed = False
        self.lost += 1
        self.sure_until = LONG_AGO
        self._witness = None
        self._in_vain = 0
        self._move("lost")
        self._out += (SaveLease(0), LeaseOver(lease), Moved())
        self._send(now)

    def _flush(self) -> Sequence[Decision]:
        if not self._out:
            return NOTHING
        out, self._out = self._out, []
        return out
