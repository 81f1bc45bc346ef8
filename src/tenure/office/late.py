"""What an answer of is-leader is still worth when it comes from another host, through the store, and so comes late.

Two clocks differ by at most `drift` in rate. The agent answers, at an instant of its own, that nobody else holds the office for
`L` more on its clock. That instant is after the asker has sent its question, for it answers that very question. When the
answer arrives the asker's clock has counted `e` since the sending, so the agent's has counted at most `e / (1 - drift)` since
its answer, and at least `L - e / (1 - drift)` of the promise is left on it; which lasts, on the asker's clock, at least
`(L - e / (1 - drift)) * (1 - drift) = L * (1 - drift) - e`. No reading of one host's clock is compared with another's.

It holds for both parts of an answer: what the lease surely gives, and what is owed, before which no hand-over comes; only
where something is owed can a late yes be relied on at all.
"""

from __future__ import annotations

from tenure.clock import NS_PER_S, Instant
from tenure.defaults import DRIFT
from tenure.errors import BadInput
from tenure.office.timing import Timing

ANSWER_WITHIN_S = 2.0
"""How long an answer may take through the store; it is asked for as much longer, and that is owed, too."""


def asked_for_s(timing: Timing, span_s: float | None) -> tuple[float, float]:
    """What to ask the agent for, so that `span_s` (None: the guarantee) are left on arrival, and how long the answer may take.

    On a lease that is too short for both it may take less. Raises BadInput if no lease of this length can give the span.
    """
    wanted_s = timing.span_ns(span_s) / NS_PER_S
    most_s = timing.sure_ns(timing.ttl_s) / NS_PER_S * (1 - timing.drift)
    if wanted_s >= most_s:
        raise BadInput(
            f"a lease of {timing.ttl_s} s can't vouch for {wanted_s:g} s to another host",
            hint=f"ask for less than {most_s:g} s, or on the unit's own host",
        )
    within_s = min(ANSWER_WITHIN_S, (most_s - wanted_s) / 2)
    return (wanted_s + within_s) / (1 - timing.drift), within_s


def left_on_arrival_s(promised_s: float, sent: Instant, arrived: Instant, drift: float = DRIFT) -> float:
    """How much of `promised_s` is surely left, on the asker's clock; 0: nothing. `sent` was read before the question left."""
    elapsed_ns = max(arrived.boot_ns - sent.boot_ns, arrived.raw_ns - sent.raw_ns)
    return max(0.0, promised_s * (1 - drift) - elapsed_ns / NS_PER_S)
