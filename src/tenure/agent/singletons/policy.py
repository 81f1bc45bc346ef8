"""What follows when a singleton's process ends: run again here, after a while; be given up to another unit; rest.

A process fails when it ends with another status than 0, by a signal, by its health command's word, or, where it is to
run always, at all. Failures are counted in a row: one that has run for `within_s` begins a new row. After the first the
process is run again in `RUN_AGAIN_FIRST_S`, each further wait is twice the last, up to `RUN_AGAIN_MOST_S`. With each
`failures` of them the unit gives the office up, and goes last in line for it. Where no other unit wants it, or all have
failed, it comes back, and the row with its wait goes on where it stood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tenure.defaults import RUN_AGAIN_FIRST_S, RUN_AGAIN_MOST_S
from tenure.model.records import Restart


@dataclass(frozen=True, slots=True)
class Again:
    """Run it again here, in the same term, after so many seconds."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Let another unit have it: it has failed so often in a row."""

    failures: int


@dataclass(frozen=True, slots=True)
class Rest:
    """Keep the office, and run nothing for it in this term."""

    how: Literal["done", "failed"]


Next = Again | GiveUp | Rest


class Row:
    """One unit's failures in a row at one singleton. Kept in memory: an agent's restart begins a new row."""

    def __init__(self, restart: Restart, failures: int, within_s: float) -> None:
        self._restart = restart
        self._most = failures
        self._within_s = within_s
        self.failures = 0

    @property
    def wait_s(self) -> float:
        """How long to wait before the next run."""
        if not self.failures:
            return 0.0
        return float(min(RUN_AGAIN_FIRST_S * 2 ** (self.failures - 1), RUN_AGAIN_MOST_S))

    def ended(self, *, well: bool, ran_s: float) -> Next:
        """A run has ended after so many seconds, well (with 0, by itself) or not."""
        if self._restart == "never" or (well and self._restart == "on-failure"):
            return Rest("done" if well else "failed")
        if ran_s >= self._within_s:
            self.failures = 0
        self.failures = min(self.failures + 1, 1000 * self._most)
        if self.failures % self._most == 0:
            return GiveUp(self.failures)
        return Again(self.wait_s)
