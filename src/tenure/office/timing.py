"""All the arithmetic of leases, in one place: how long something is sure, when to renew, how long to wait.

Lengths are whole nanoseconds (`_ns`) of a clock that differs from any other by at most `drift` in rate. What is
*believed* is counted short, what is *waited for* is counted long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tenure.clock import NS_PER_S, Instant, ns
from tenure.defaults import (
    DRIFT,
    KILL_MARGIN_S,
    PRINT_WITHIN_S,
    RENEWALS_PER_TTL,
    STOP_TIMEOUT_S,
    TRANSFER_ANSWER_S,
)
from tenure.errors import BadInput

PRINT_WITHIN_NS = ns(PRINT_WITHIN_S)
TRANSFER_ANSWER_NS = ns(TRANSFER_ANSWER_S)

STAGGER_NS = 10_000_000
"""How much later the next in line claims: several times what a commit takes to be seen by another process."""

STAGGER_MOST = 25
"""Places in line beyond this one claim no later, so that a long line of silent units delays nobody by more than 0.25 s."""

REQUEST_TIMEOUT_MOST_NS = NS_PER_S


@dataclass(frozen=True, slots=True)
class Timing:
    """The lengths that follow from a lease's ttl and the guarantee. Raises BadInput where they don't fit each other."""

    ttl_s: int
    guarantee_s: float
    drift: float = DRIFT

    def __post_init__(self) -> None:
        if not isinstance(self.ttl_s, int):
            raise BadInput(f"a lease is a whole number of seconds, not {self.ttl_s}")
        if self.ttl_s < 1 or not 0 <= self.drift < 0.1:
            raise BadInput(f"a lease of {self.ttl_s} s with a drift of {self.drift} can't be kept", hint="--lease 60s")
        if not self.renew_every_ns < self.guarantee_ns < self.sure_ns(self.ttl_s) - self.renew_every_ns:
            least, most = self.renew_every_ns / NS_PER_S, (self.sure_ns(self.ttl_s) - self.renew_every_ns) / NS_PER_S
            raise BadInput(
                f"a guarantee of {self.guarantee_s:g} s does not fit a lease of {self.ttl_s} s",
                hint=f"it must be more than {least:.2f} s and less than {most:.2f} s; half the lease always fits",
            )

    @classmethod
    def for_lease(cls, ttl_s: int, guarantee_s: float | None = None, drift: float = DRIFT) -> Timing:
        """The timing of a lease; the guarantee is half of it unless given."""
        return cls(ttl_s, ttl_s / 2 if guarantee_s is None else guarantee_s, drift)

    @property
    def ttl_ns(self) -> int:
        """The lease's length as asked for."""
        return self.ttl_s * NS_PER_S

    @property
    def guarantee_ns(self) -> int:
        """How long a True stays true at the least."""
        return ns(self.guarantee_s)

    @property
    def renew_every_ns(self) -> int:
        """From one renewal's sending to the next one's."""
        return self.ttl_ns // RENEWALS_PER_TTL

    @property
    def request_timeout_ns(self) -> int:
        """How long an answer of the store may take, reconnecting included: an eighth of `outage_ns`, a second at most."""
        return min(REQUEST_TIMEOUT_MOST_NS, self._spare_ns // 9)

    @property
    def commit_timeout_ns(self) -> int:
        """How long a transaction may take before it counts as unsure. Nothing is believed meanwhile, so it need not be short."""
        return REQUEST_TIMEOUT_MOST_NS

    @property
    def retry_ns(self) -> int:
        """How long to wait after a request that failed at once."""
        return self.request_timeout_ns // 4

    @property
    def outage_ns(self) -> int:
        """How long the store may be silent before a holder is deposed."""
        return self._spare_ns - self.request_timeout_ns

    @property
    def print_within_ns(self) -> int:
        """How long a True should have to be printed: a second, less on a short lease, whose holder would renew for each question."""
        return min(PRINT_WITHIN_NS, self.outage_ns // 2)

    @property
    def ask_within_ns(self) -> int:
        """How long is-leader may wait for a renewal: one that is under way, and one of its own."""
        return 2 * self.request_timeout_ns

    @property
    def _spare_ns(self) -> int:
        return self.sure_ns(self.ttl_s) - self.guarantee_ns - self.renew_every_ns

    def sure_ns(self, answered_s: int) -> int:
        """For how long, from its request's sending, a lease is surely there that the store says has `answered_s`."""
        return int(min(self.ttl_s, answered_s) * NS_PER_S * (1 - self.drift))

    def sure_until(self, sent_at: Instant, answered_s: int) -> Instant:
        """Until when the lease surely lives. The store starts to count after `sent_at`, so it ends later."""
        return sent_at.after(self.sure_ns(answered_s))

    def waited_out(self, since: Instant, ttl_s: int) -> Instant:
        """When a term with a lease of `ttl_s` is surely over that nobody has renewed since `since`."""
        return since.waited_after(int(ttl_s * NS_PER_S * (1 + self.drift)), self.drift)

    def owed_after_restart(self, started_at: Instant) -> Instant:
        """Until when a restarted agent owes what its forerunner may have promised: no promise outlives the lease."""
        return started_at.waited_after(self.ttl_ns, self.drift)

    def span_ns(self, span_s: float | None) -> int:
        """A length that is-leader is asked for; None: the guarantee. Raises BadInput if no lease of this length can give it."""
        if span_s is None:
            return self.guarantee_ns
        if not 0 <= span_s < self.sure_ns(self.ttl_s) / NS_PER_S:
            raise BadInput(
                f"a lease of {self.ttl_s} s can't vouch for {span_s:g} s",
                hint=f"ask for less than {self.sure_ns(self.ttl_s) / NS_PER_S:g} s",
            )
        return ns(span_s)

    def stop_timeout_s(self, wanted_s: float | None, *, spelled: str) -> float:
        """How long what runs for an office has to stop before it is killed; None: the default, or what the lease allows.

        Raises BadInput, with the arithmetic, where `wanted_s` is more; `spelled` is how a lease of {} is asked for.
        """
        most_s = self.guarantee_s - KILL_MARGIN_S
        if wanted_s is None:
            return min(STOP_TIMEOUT_S, most_s)
        if wanted_s > most_s:
            needed_s = math.ceil(2 * (wanted_s + KILL_MARGIN_S))
            raise BadInput(
                f"a lease of {self.ttl_s} s leaves {most_s:g} s to stop in: its guarantee is {self.guarantee_s:g} s, less "
                f"{KILL_MARGIN_S:g} s for the kill; the stop time-out is {wanted_s:g} s",
                hint=f"{spelled.format(needed_s)} would do",
            )
        return wanted_s
