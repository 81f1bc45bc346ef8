"""What a candidate asks of whoever guards its terms' work. Its answers are `Candidate.guard_acknowledged` and its kin."""

from __future__ import annotations

from typing import Protocol

from tenure.clock import Instant
from tenure.office.decisions import Because


class Guarding(Protocol):
    """Has a guard for each term. Nothing is awaited, and nothing may be raised: what fails is `guard_gone`."""

    def arm(self, term: int, until: Instant) -> None:
        """Have a guard that ends all work by `until`; asked again with each extension."""
        ...

    def elected(self, term: int) -> None:
        """The term is believed in: its work may begin."""
        ...

    def end(self, term: int, deadline: Instant | None, because: Because) -> None:
        """End the term's work; None: there is no time left. `work_gone` is owed once nothing is left."""
        ...

    def over(self, term: int) -> None:
        """The term's key is surely not the unit's any more: whatever is left of its work has no time."""
        ...
