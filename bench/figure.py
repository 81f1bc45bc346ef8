"""A figure: what was measured, against what, and whether that is as promised."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    `peer` is the floor, or the other thing, measured in the same run and in the same unit; `limit` is held against the
    value, or against the ratio of value and peer; None where nothing is promised.
    """

    name: str
    value: float
    unit: str
    peer: float | None = None
    peer_name: str = ""
    limit: float | None = None
    limit_is: Literal["value at most", "value at least", "ratio at most"] = "value at most"
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Value over peer."""
        return self.value / self.peer if self.peer else None

    @property
    def ok(self) -> bool | None:
        """Whether it is as promised; None where nothing is."""
        if self.limit is None:
            return None
        if self.limit_is == "ratio at most":
            return self.ratio is not None and self.ratio <= self.limit
        return self.value >= self.limit if self.limit_is == "value at least" else self.value <= self.limit

    @property
    def target(self) -> str:
        """The promise, in words."""
        if self.limit is None:
            return ""
        if self.limit_is == "ratio at most":
            return f"≤ {self.limit:g} ×"
        return f"{'≥' if self.limit_is == 'value at least' else '≤'} {self.limit:,g} {self.unit}"


def timed_ms(call: Callable[[], object]) -> float:
    """How long `call` takes, in milliseconds."""
    began = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - began) / 1e6


def side_by_side_ms(calls: Sequence[Callable[[], object]], rounds: int, warm_up: int = 2) -> tuple[float, ...]:
    """The median of each call, in milliseconds, taken in turns so that a busy spell of the host meets all of them."""
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(warm_up + rounds):
        for call, took in zip(calls, times, strict=True):
            once = timed_ms(call)
            if turn >= warm_up:
                took.append(once)
    return tuple(statistics.median(took) for took in times)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
