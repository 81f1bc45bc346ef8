"""Whether a hook may act as the leader: Juju's rule of the first False, and Tenure's of the first True's term."""

from __future__ import annotations

from typing import Protocol

from tenure.clock import Instant
from tenure.office.decisions import Answer
from tenure.store.api import Compare


class Leadership(Protocol):
    """A unit's candidacy for the office "leader", as a hook needs it."""

    async def is_leader(self, span_s: float | None = None, *, debtor: str | None, term: int | None = None) -> Answer:
        """Ask whether the unit holds the office for `span_s` more (None: the guarantee). A yes is a debt to `debtor`."""
        ...

    def fence(self, term: int) -> Compare:
        """What each write made as leader in `term` compares."""
        ...


class LeadershipChecker:
    """One hook's question whether its unit is the leader.

    Promises: the first False is the answer until the hook ends; a True is for the term of the first True alone, so
    what a hook does as leader is done in one term. What can't be vouched for is False.
    """

    def __init__(self, leadership: Leadership, context_id: str, term: int | None = None) -> None:
        """`term`: the one that the hook is bound to from its start, as leader-elected is."""
        self._leadership = leadership
        self._context_id = context_id
        self._said_no = False
        self.term = term
        """The term that the hook is bound to; None before its first True."""

    @property
    def said_no(self) -> bool:
        """Whether False is the answer from now on."""
        return self._said_no

    async def ask(self) -> tuple[bool, Instant | None]:
        """Whether the unit is the leader, and until when a True may be printed. A True is a debt of the unit's."""
        if self._said_no:
            return False, None
        answer = await self._leadership.is_leader(debtor=self._context_id, term=self.term)
        # Looked at again, for the hook may have ended, or been told no, while the lease was renewed.
        if self.said_no or answer.verdict != "yes" or self.term not in (None, answer.term):
            self._said_no = True
            return False, None
        self.term = answer.term
        return True, answer.print_until

    def say_no(self) -> None:
        """From now on the answer is False: the hook has ended, or a write of its term was refused."""
        self._said_no = True

    @property
    def fence(self) -> Compare:
        """What is compared in each write that the hook makes as leader. Only after a True."""
        assert self.term is not None
        return self._leadership.fence(self.term)
