"""The heap of events, in simulated real time (whole nanoseconds), and the seed's dice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from tenure.clock import NS_PER_S

SPIN_EVENTS = 20_000
"""So many events within a millisecond: something spins."""


class Violation(Exception):
    """A promise did not hold; `promise` says which."""

    def __init__(self, promise: str, what: str) -> None:
        super().__init__(f"{promise}: {what}")
        self.promise, self.what = promise, what


class Loop:
    """What happens when. Events at one instant happen in the order in which they were planned."""

    __slots__ = ("_count", "_heap", "counts", "crowded", "events", "log", "now", "random", "rng")

    def __init__(self, seed: int, log: Callable[[str], None] | None = None) -> None:
        self.now = 0
        self.events = 0
        self.counts: Counter[str] = Counter()
        self.crowded: dict[Any, Callable[[], None]] = {}
        """What must be asked after every event, while it is there."""
        self.log = log
        self.rng = random.Random(seed)
        self.random = self.rng.random
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def at(self, when_ns: int, call: Callable[..., None], *args: Any) -> None:
        """`call(*args)` happens at `when_ns`."""
        self._count += 1
        heappush(self._heap, (when_ns, self._count, call, args))

    def run(self, until_ns: int) -> None:
        """Let happen what happens until then. Raises Violation."""
        heap, crowded = self._heap, self.crowded
        events, mark, mark_at = self.events, self.events, self.now
        try:
            while heap and heap[0][0] <= until_ns:
                self.now, _, call, args = heappop(heap)
                events += 1
                call(*args)
                if crowded:
                    for check in tuple(crowded.values()):
                        check()
                if events - mark >= SPIN_EVENTS:
                    if self.now - mark_at < 1_000_000:
                        raise Violation(
                            "progress", f"{SPIN_EVENTS} events within a millisecond, the last {call.__name__}{args!r}"
                        )
                    mark, mark_at = events, self.now
            self.now = max(self.now, until_ns)
        finally:
            self.events = events

    # ---- dice

    def chance(self, probability: float) -> bool:
        """Whether it happens, this time."""
        return self.random() < probability

    def between(self, least_ns: int, most_ns: int) -> int:
        """A length between the two."""
        return least_ns + int(self.random() * (most_ns - least_ns))

    def around(self, mean_ns: float) -> int:
        """A length as between events that know nothing of each other."""
        return int(self.rng.expovariate(1.0) * mean_ns) + 1

    # ---- what is told

    def fault(self, kind: str, *words: object) -> None:
        """Count a fault, and tell of it."""
        self.counts[kind] += 1
        if self.log is not None:
            self.tell(kind, *words)

    def tell(self, *words: object) -> None:
        """A line of the trace. Ask for `log` first where the words cost something."""
        if self.log is not None:
            self.log(f"{self.now / NS_PER_S:14.6f} {' '.join(map(str, words))}")
