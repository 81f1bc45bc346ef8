"""What the machines decide, as values: compared in tests, performed by the driver and by the simulation.

What the world must do for each is said on each. Decisions of one answer are performed in their order, and the process
may die between any two: what is to be saved is on disk before the next is begun.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tenure.clock import Instant
from tenure.office.records import Ending, Present
from tenure.store.api import Compare, Write


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Base of all decisions."""


# ---- a session's


class SendGrant(Decision, frozen=True, gc=False):
    """Ask the store for a lease: `granted` or `failed` comes back with `call`."""

    call: int
    ttl_s: int


class SendRenew(Decision, frozen=True, gc=False):
    """Renew the lease: `renewed`, `refused` (LeaseLost) or `failed` comes back with `call`."""

    call: int
    lease: int


class SendConfirm(Decision, frozen=True, gc=False):
    """Read the session's own key, linearizably, now that the renewal was answered: `confirmed` or `failed` comes back.

    `ttl_s`, what the renewal was answered with, goes back with it.
    """

    call: int
    lease: int
    ttl_s: int


class CloseStream(Decision, frozen=True, gc=False):
    """The call took too long: cancel it, with the connection that it was sent on. An answer that comes all the same is void."""

    call: int


class SendRevoke(Decision, frozen=True, gc=False):
    """End the lease: nothing is held any more. No answer is wanted; a lease that isn't revoked ends by itself."""

    lease: int


class SaveLease(Decision, frozen=True, gc=False):
    """Durable before the next decision: the lease that a successor of this process may take up; 0: none."""

    lease: int


class LeaseBegun(Decision, frozen=True, gc=False):
    """A lease that keys may be put with: put what the session keeps, also what was put with it before and may be gone."""

    lease: int


class LeaseOver(Decision, frozen=True, gc=False):
    """The lease is gone, and all keys that were put with it."""

    lease: int


class Moved(Decision, frozen=True, gc=False):
    """What the session is sure of has changed, or what runs on this host: call `tick` of each of the session's candidacies."""


# ---- a candidacy's


Purpose = Literal["claim", "release", "transfer", "strike off", "ask successor"]


class Commit(Decision, frozen=True, gc=False):
    """One transaction: `committed`, `refused`, `unsure`, `unreachable` or `lease_gone` comes back with `call`.

    A commit that was given up waiting for is `unsure`; what its answer says later may be passed on, and is void.
    """

    call: int
    purpose: Purpose
    when: tuple[Compare, ...]
    then: tuple[Write, ...]


class ReadOffice(Decision, frozen=True, gc=False):
    """Read holder, last and the unit's info at one revision, linearizably: `read` or `unreachable` comes back with `call`."""

    call: int


class SaveEnding(Decision, frozen=True, gc=False):
    """Durable before the next decision: the verdict that a term is over."""

    ending: Ending


class DropEnding(Decision, frozen=True, gc=False):
    """The verdict isn't needed any more. Need not be durable."""

    term: int


class RenewFirst(Decision, frozen=True, gc=False):
    """More is asked for than is sure: call the session's `renew_now`."""


class LeaseGone(Decision, frozen=True, gc=False):
    """A commit found the session's lease gone: call the session's `lease_gone`."""

    lease: int


class Keep(Decision, frozen=True, gc=False):
    """Put the candidate's present key, with this value and the session's lease, now and with each later lease."""

    present: Present


class Arm(Decision, frozen=True, gc=False):
    """Have a guard for the term, which ends all work by `until`: `guard_acknowledged` or `guard_gone` comes back.

    Given again with each extension.
    """

    term: int
    until: Instant


Because = Literal[
    "renewal overdue",
    "guard silent",
    "guard gone",
    "lease lost",
    "key gone",
    "released",
    "transferred",
    "withdrawn",
    "crash loop",
    "agent restarted",
    "given up",
    "released at once",
    "transferred at once",
]


class EndWork(Decision, frozen=True, gc=False):
    """Run leader-deposed and stop the workload of the term, all gone by `deadline` (None: its time is past): `work_gone` comes back."""

    term: int
    deadline: Instant | None
    because: Because


class Elected(Decision, frozen=True, gc=False):
    """The term is believed in from now on."""

    term: int


class Disbelieved(Decision, frozen=True, gc=False):
    """The term is believed in no longer, finally. Its key may still be there."""

    term: int
    because: Because


class Over(Decision, frozen=True, gc=False):
    """The term's key is surely gone or changed; `how` as the history has it, or as far as it is known here."""

    term: int
    how: str


class TransferFailed(Decision, frozen=True, gc=False):
    """A transfer that was asked for isn't begun; nothing changed."""

    to: str
    why: Literal["not the holder", "holds it already", "not present", "no answer", "term ended", "store unsure"]


Verdict = Literal["yes", "no", "unknown"]


class Answer(Decision, frozen=True, gc=False):
    """What is-leader says."""

    verdict: Verdict
    term: int | None = None
    """When yes: the term."""
    print_until: Instant | None = None
    """When yes: it may be printed until then, and must be asked again later."""
    surely_left_s: float = 0.0
    """What the lease still gives; a hand-over may cut it short."""
    owed_s: float = 0.0
    """What no hand-over cuts short; 0 when nothing is owed."""


class Answered(Decision, frozen=True, gc=False):
    """The answer to the ask of this number."""

    ask: int
    answer: Answer
